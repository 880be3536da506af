"""Words of a command, read from what a user wrote for a shell.

dask-jobqueue puts such text into the script as it is. Here it is cut into words first, so that each arrives as one;
what the shell would fill in (``$TMPDIR``, ``${TMPDIR:-/tmp}``, ``$(hostname -i)``, backticks) it still fills in.
This guards against slips, not against the user: the script is their own, and runs with their rights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ShellWord:
    """One word as the shell is to read it: it goes into a script unquoted.

    Attributes
    ----------
    source
        Its text, with whatever quotes it needs.
    """

    source: str

    def __str__(self) -> str:
        return self.source


#: A word of a command: plain text arrives just as it is.
Word = str | ShellWord

_SPACE = " \t\r\n"

#: Text, and whether the shell is to fill it in.
_Piece = tuple[str, bool]

_VARIABLE = re.compile(r"\$[a-zA-Z_]\w*", re.ASCII)
_BRACE = re.compile(r"\$\{[#!]?[a-zA-Z_]", re.ASCII)
_ASSIGNMENT = re.compile(r'"?[a-zA-Z_]\w*=', re.ASCII)
_HOME_AS_DEFAULT = re.compile(r"(\$\{\w+:?[-=+])~(?=[/}])", re.ASCII)

#: What else has a meaning until each of these closes.
_SPECIAL = {"'": "", "`": "\\", '"': '\\"$`', "}": "\\\"'$`", ")": "\\\"'$`("}


def split(text: str) -> tuple[Word, ...]:
    """Cut text into words as a shell does.

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


def one(text: str) -> Word:
    """Read text as a single word: spaces and quotes are part of it, the shell still fills in.

    Raises
    ------
    ValueError
        If a bracket isn't closed.

    Examples
    --------
    >>> str(one("${TMPDIR:-/tmp}/my dask")), one("it's")
    ('"${TMPDIR:-/tmp}/my dask"', "it's")
    """
    return _join(_filled_in(text, home=True))


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
    return split(text) if text[0] in "-'\"" or _is_variable(text) else (one(text),)


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
    """Give where the quote, the bracket, the variable or the character that begins here ends."""
    sign = text[at]
    if sign == "\\":
        if at + 1 == len(text):
            raise ValueError("nothing follows the last backslash")
        return at + 2
    return _closing(text, at + 1, sign) if sign in "'\"" else max(at + 1, _expansion(text, at))


def _is_variable(text: str) -> bool:
    return bool(re.match(r"\$[{\w]", text)) and _expansion(text, 0) == len(text)


def _expansion(text: str, at: int) -> int:
    """Give where what the shell would fill in ends; ``at`` if nothing of that kind begins here."""
    if text[at] == "`":
        return _closing(text, at + 1, "`")
    if text.startswith("$(", at):
        return _closing(text, at + 2, ")")
    if _BRACE.match(text, at):
        return _closing(text, at + 2, "}")
    return match.end() if (match := _VARIABLE.match(text, at)) else at


def _closing(text: str, at: int, end: str) -> int:
    """Give the position behind the sign that closes, past quotes and brackets within."""
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
            pieces += _filled_in(chunk[1:-1], escaped='\\"$`')
        elif chunk[0] == "\\":
            pieces.append((chunk[1:], False))
        else:
            # Shells leave the ~ of "--option=~/x" alone, and then nobody knows what it means.
            home = start == 0 or raw[:start].find("=") == start - 1
            pieces += _filled_in(chunk, home=home and raw[at : at + 1] in ("", "/"))
    return _join(pieces)


def _filled_in(text: str, *, escaped: str = "", home: bool = False) -> list[_Piece]:
    """Part plain text from what the shell fills in; ``escaped`` may stand behind a backslash, ``home`` be a ``~``."""
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
    """Make one word of its pieces."""
    if not any(live for _, live in pieces):
        return "".join(text for text, _ in pieces)
    source = ""
    for (text, live), (after, _) in zip(pieces, [*pieces[1:], ("", False)], strict=True):
        if live and _VARIABLE.fullmatch(text) and re.match(r"\w", after, re.ASCII):
            source += f"${{{text[1:]}}}"  # $X"y" isn't "$Xy"
        else:
            source += text if live else re.sub(r'([\\"$`])', r"\\\1", text)
    return ShellWord(f'"{source}"')
