"""Reads keywords one by one, and notes what can't be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from jobclusters import words
from jobclusters.errors import Problems
from jobclusters.sizes import whole
from jobclusters.words import Word

#: Nothing that would end a directive's line, or hide in it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


class Reader:
    """Reads one keyword after the other.

    Parameters
    ----------
    asked
        What is asked for, by keyword.
    problems
        Where a sentence goes for each value that can't be read.
    """

    def __init__(self, asked: Mapping[str, object], problems: Problems) -> None:
        self.asked = asked
        self.problems = problems

    def count(self, key: str, least: int = 1) -> int | None:
        """Read a whole number."""
        value = self.asked.get(key)
        return None if value is None else self.problems.attempt(lambda: whole(key, value, least), least)

    def flag(self, key: str, otherwise: bool) -> bool:
        """Read True or False."""
        value = self.asked.get(key, otherwise)
        if not isinstance(value, bool):
            self.problems.append(f"{key} must be True or False, not {value!r}")
        return bool(value)

    def text(self, key: str) -> str | None:
        """Read text that goes into a line of the script; empty text is none."""
        value = self.asked.get(key)
        return None if value in (None, "") else self.line(key, self._plain(key, value))

    def _plain(self, key: str, value: object) -> str:
        """Refuse lists and mappings where text belongs."""
        if isinstance(value, (Mapping, list, tuple, set, bytes)):
            self.problems.append(f"{key} must be text, not {value!r}")
            return ""
        return str(value)

    def word(self, key: str, *, spaces: bool = False) -> str | None:
        """Read text without quotes, and without spaces unless they may be: the name of a queue, an account, ..."""
        value = self.text(key)
        if value is not None and re.search(r"['\"\\]" if spaces else r"[\s'\"\\]", value):
            self.problems.append(f"{key}={value!r} can't hold {'' if spaces else 'spaces, '}quotes or backslashes")
        return value

    def line(self, key: str, value: str) -> str:
        """Refuse line breaks and other control characters."""
        if _CONTROL.search(value):
            self.problems.append(f"{key}={value!r} can't hold line breaks or control characters")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of texts, or a mapping of options to their values."""
        value = self.asked.get(key)
        if isinstance(value, Mapping):
            value = [_option(str(name), of) for name, of in value.items()]
        return tuple(self.line(key, item) for item in self._items(key, value))

    def lines(self, key: str) -> tuple[str, ...]:
        """Read a list of shell commands, which may have several lines."""
        return self._items(key, self.asked.get(key))

    def _items(self, key: str, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            example = [*value] if isinstance(value, Mapping) else [value]
            self.problems.append(f"{key} must be a list of texts, such as {example!r}, not {value!r}")
            return ()
        return tuple(self._plain(key, item) for item in value if item not in (None, ""))

    def words(self, key: str) -> tuple[Word, ...]:
        """Read a command as a shell would; empty text is none."""
        value = self.asked.get(key)
        return () if value is None else self._shell(key, self._plain(key, value), words.split)

    def arguments(self, key: str) -> tuple[Word, ...]:
        """Read a list of arguments for a command."""
        return tuple(word for item in self.texts(key) for word in self._shell(key, item, words.arguments))

    def one(self, key: str, value: str) -> Word:
        """Read text as one word, which the shell may fill in."""
        return self._shell(key, value, lambda text: (words.one(text),))[0]

    def _shell(self, key: str, value: str, read: Callable[[str], tuple[Word, ...]]) -> tuple[Word, ...]:
        try:
            return read(value)
        except ValueError as error:
            self.problems.append(f"{key}={value!r} can't be read by a shell: {error}")
            return (value,)


def _option(name: str, value: object) -> str:
    if value in (None, ""):
        return name
    return f"{name}{value}" if name.endswith("=") else f"{name} {value}"
