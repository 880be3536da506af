"""Reads large JSON piece by piece: Python's own reader would block all other threads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SPACE = re.compile(r"\s*")


def parts(text: str, name: str, *, strict: bool = True) -> Iterator[tuple[str, Any]]:
    """Give the keys ("" in an array) and values of the object or array of this name, one by one.

    Raise ValueError if the text isn't JSON to the end; ``strict`` refuses control characters.

    >>> list(parts('{"n": 2, "Jobs": {"a": 1, "b": {}}}', "Jobs")), list(parts('{"Jobs": [1, 2], "n": 2}', "Jobs"))
    ([('a', 1), ('b', {})], [('', 1), ('', 2)])
    >>> list(parts('{"n": 0}', "Jobs"))
    []
    """
    decoder = json.JSONDecoder(strict=strict)
    began = re.search(rf'"{name}"\s*:\s*([\[{{])', text)
    if began is None:
        decoder.decode(text)
        return
    closing = "]" if began[1] == "[" else "}"
    place = _after_space(text, began.end())
    while not text.startswith(closing, place):
        key = ""
        if closing == "}":
            key, place = decoder.raw_decode(text, place)
            place = _behind(text, place, ":")
        value, place = decoder.raw_decode(text, place)
        yield key, value
        place = _after_space(text, place)
        if not text.startswith(closing, place):
            place = _behind(text, place, ",")
    decoder.decode(text[: began.end()] + text[place:])


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _behind(text: str, place: int, sign: str) -> int:
    place = _after_space(text, place)
    if not text.startswith(sign, place):
        raise ValueError(f"no {sign!r} at character {place}: {text[place : place + 20]!r}")
    return _after_space(text, place + 1)
