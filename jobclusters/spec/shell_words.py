"""Splits a command that a user wrote for a shell into words.

dask-jobqueue copies such text into the script. Here it is split into words first, so that each stays one word; the
shell still expands ``$TMPDIR``, ``${TMPDIR:-/tmp}``, ``$(hostname -i)`` and backticks.
This guards against slips, not against the user: the script runs with the user's own rights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ShellWord:
    """One word as the shell reads it: the source, with the quotes that it needs."""

    source: str

    def __str__(self) -> str:
        return self.source


#: A word of a command; the shell expands nothing in plain text.
Word = str | ShellWord

_SPACE = " \t\r\n"

#: Text, and whether the shell expands it.
_Piece = tuple[str, bool]

_VARIABLE = re.compile(r"\$[a-zA-Z_]\w*", re.ASCII)
_BRACE = re.compile(r"\$\{[#!]?[a-zA-Z_]", re.ASCII)
_ASSIGNMENT = re.compile(r'"?[a-zA-Z_]\w*=', re.ASCII)
_HOME_AS_DEFAULT = re.compile(r"(\$\{\w+:?[-=+])~(?=[/}])", re.ASCII)

#: Characters with a meaning of their own before each of these closes.
_SPECIAL = {"'": "", "`": "\\", '"': '\\"$`', "}": "\\\"'$`", ")": "\\\"'$`("}


def split(text: str) -> tuple[Word, ...]:
    """Split text into words as a shell does.

    An unquoted variable that is a whole word stays unquoted: it may hold several words, or none.

    Raises
    ------
    ValueError
        If a quote or a bracket isn't closed.

    Examples
    --------
    >>> [str(word) for word in split("run 'my image' --at=$(hostname -i) $MORE")]
    ['run', 'my image', '"--at=$(hostname -i)"', '$MORE']
    """
    return tuple(_read(raw) for raw in _raw_words(text))


def one_word(text: str) -> Word:
    """Read text as a single word: spaces and quotes are part of it, and the shell still expands variables.

    Raises
    ------
    ValueError
        If a bracket isn't closed.

    Examples
    --------
    >>> str(one_word("${TMPDIR:-/tmp}/my dask")), one_word("it's")
    ('"${TMPDIR:-/tmp}/my dask"', "it's")
    """
    return _join(_expanded(text, home=True))


def arguments(text: str) -> tuple[Word, ...]:
    """Read an item of a list of arguments: a whole option, a variable that may hold several words, or one word.

    Raises
    ------
    ValueError
        If a quote or a bracket isn't closed.

    Examples
    --------
    >>> [[str(word) for word in arguments(text)] for text in ("--resources a=1", "a b", "$MORE")]
    [['--resources', 'a=1'], ['a b'], ['$MORE']]
    """
    return split(text) if text[:1] in "-'\"" or _is_variable(text) else (one_word(text),)


def assigns(word: Word) -> bool:
    """Whether a word in front of a command sets a variable for it.

    >>> assigns("FOO=1"), assigns("./FOO=1")
    (True, False)
    """
    return bool(_ASSIGNMENT.match(str(word)))


def _raw_words(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        start = at
        while at < len(text) and text[at] not in _SPACE:
            at = _skip(text, at)
        if at > start:
            yield text[start:at]
        at += 1


def _skip(text: str, at: int) -> int:
    """Give the end of the quote, bracket, variable or character that begins here."""
    sign = text[at]
    if sign == "\\":
        if at + 1 == len(text):
            raise ValueError("nothing follows the last backslash")
        return at + 2
    return _closing(text, at + 1, sign) if sign in "'\"" else max(at + 1, _expansion(text, at))


def _is_variable(text: str) -> bool:
    return bool(re.match(r"\$[{\w]", text)) and _expansion(text, 0) == len(text)


def _expansion(text: str, at: int) -> int:
    """Give the end of an expansion of the shell; ``at`` if none begins here."""
    if text[at] == "`":
        return _closing(text, at + 1, "`")
    if text.startswith("$(", at):
        return _closing(text, at + 2, ")")
    if _BRACE.match(text, at):
        return _closing(text, at + 2, "}")
    return match.end() if (match := _VARIABLE.match(text, at)) else at


def _closing(text: str, at: int, end: str) -> int:
    """Give the position behind the closing sign, past quotes and brackets within."""
    while at < len(text):
        sign = text[at]
        if sign == end:
            return at + 1
        if sign not in _SPECIAL[end]:
            at += 1
        elif sign == "\\":
            at += 2
        elif sign in "$`":
            at = max(at + 1, _expansion(text, at))
        else:
            at = _closing(text, at + 1, ")" if sign == "(" else sign)
    raise ValueError(f"no closing {end}")


def _read(raw: str) -> Word:
    """Read one word of a command, quotes and all."""
    if _is_variable(raw):
        return ShellWord(raw)
    pieces: list[_Piece] = []
    at = 0
    while at < len(raw):
        start, at = at, _skip(raw, at)
        chunk = raw[start:at]
        if chunk[0] == "'":
            pieces.append((chunk[1:-1], False))
        elif chunk[0] == '"':
            pieces += _expanded(chunk[1:-1], escaped='\\"$`')
        elif chunk[0] == "\\":
            pieces.append((chunk[1:], False))
        else:
            # Shells leave the ~ of "--option=~/x" alone, and so do most programs.
            home = start == 0 or raw[:start].find("=") == start - 1
            pieces += _expanded(chunk, home=home and raw[at : at + 1] in ("", "/"))
    return _join(pieces)


def _expanded(text: str, *, escaped: str = "", home: bool = False) -> list[_Piece]:
    """Separate plain text from expansions; a backslash may escape ``escaped``, ``home`` allows a leading ``~``."""
    pieces: list[_Piece] = []
    at = 0
    if home and re.match("~(/|$)", text):
        pieces, at = [("$HOME", True)], 1
    while at < len(text):
        start, at = at, _expansion(text, at)
        if at > start:
            pieces.append((_HOME_AS_DEFAULT.sub(r"\1$HOME", text[start:at]), True))
        elif text[start] == "\\" and text[start + 1 : start + 2] in tuple(escaped):
            at = start + 2
            pieces.append((text[start + 1], False))
        else:
            at = start + 1
            pieces.append((text[start], False))
    return pieces


def _join(pieces: list[_Piece]) -> Word:
    """Join pieces to one word."""
    pieces = [piece for piece in pieces if piece[0]]  # a variable looks at the letter behind it
    if not any(live for _, live in pieces):
        return "".join(text for text, _ in pieces)
    source = ""
    for (text, live), (after, _) in zip(pieces, [*pieces[1:], ("", False)], strict=True):
        if live and _VARIABLE.fullmatch(text) and re.match(r"\w", after, re.ASCII):
            source += f"${{{text[1:]}}}"  # $X"y" isn't "$Xy"
        else:
            source += text if live else re.sub(r'([\\"$`])', r"\\\1", text)
    return ShellWord(f'"{source}"')
