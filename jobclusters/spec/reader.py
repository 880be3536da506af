"""Reads keywords one by one, and collects the problems."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from jobclusters.errors import Problems
from jobclusters.spec import shell_words
from jobclusters.spec.shell_words import Word
from jobclusters.spec.sizes import whole
from jobclusters.spec.units import parse_job_memory

#: Characters that would end a directive's line, or hide in it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


class Reader:
    """Reads one keyword after the other.

    Parameters
    ----------
    asked
        Values, by keyword.
    problems
        Gets a sentence for each value that can't be read.
    """

    def __init__(self, asked: Mapping[str, object], problems: Problems) -> None:
        self.asked = asked
        self.problems = problems

    def count(self, key: str, least: int = 1) -> int | None:
        """Read a whole number."""
        value = self.asked.get(key)
        return None if value is None else self.problems.attempt(lambda: whole(key, value, least), least)

    def counts(self, key: str) -> int | None:
        """Read a whole number that may be zero."""
        return self.count(key, least=0)

    def memory(self, key: str) -> int | None:
        """Read an amount of memory, as bytes."""
        value = self.asked.get(key)
        return None if value is None else self.problems.attempt(lambda: parse_job_memory(value), 1)

    def flag(self, key: str, otherwise: bool) -> bool:
        """Read True or False."""
        value = self.asked.get(key, otherwise)
        if not isinstance(value, bool):
            self.problems.append(f"{key} must be True or False, not {value!r}")
        return bool(value)

    def yes(self, key: str) -> bool:
        """Read True or False; True unless given."""
        return self.flag(key, True)

    def no(self, key: str) -> bool:
        """Read True or False; False unless given."""
        return self.flag(key, False)

    def text(self, key: str) -> str | None:
        """Read text for a line of the script; empty text is None."""
        value = self.asked.get(key)
        return None if value in (None, "") else self.line(key, self._plain(key, value))

    def _plain(self, key: str, value: object) -> str:
        """Refuse lists and mappings where text belongs."""
        if isinstance(value, (Mapping, list, tuple, set, bytes)):
            self.problems.append(f"{key} must be text, not {value!r}")
            return ""
        return str(value)

    def word(self, key: str, *, spaces: bool = False) -> str | None:
        """Read the name of a queue, an account, ...: text without quotes, and without spaces by default."""
        value = self.text(key)
        if value is not None and re.search(r"['\"\\]" if spaces else r"[\s'\"\\]", value):
            self.problems.append(f"{key}={value!r} can't hold {'' if spaces else 'spaces, '}quotes or backslashes")
        return value

    def name(self, key: str) -> str | None:
        """Read a word that may hold spaces."""
        return self.word(key, spaces=True)

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
        """Read a command as a shell would; empty text is ()."""
        value = self.asked.get(key)
        return () if value is None else self._shell(key, self._plain(key, value), shell_words.split)

    def arguments(self, key: str) -> tuple[Word, ...]:
        """Read a list of arguments for a command."""
        return tuple(word for item in self.texts(key) for word in self._shell(key, item, shell_words.arguments))

    def one(self, key: str, value: str) -> Word:
        """Read text as one word, in which the shell expands variables."""
        return self._shell(key, value, lambda text: (shell_words.one_word(text),))[0]

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
