"""Finds the file and the line of each setting, for messages about a site's or a user's files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dask.config
import yaml

#: What a file of settings may be called.
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with the settings, or strange.

    Attributes
    ----------
    path
        The names of the setting: ``("jobclusters", "sizes", "node")``.
    says
        One sentence.
    warning
        Whether it only means nothing here, such as a key of another version.
    file, line
        The file, if it isn't to be found by the path, and the line in it.
    """

    path: tuple[str, ...]
    says: str
    warning: bool = False
    file: str = ""
    line: int = 0

    @property
    def place(self) -> tuple[str, int]:
        """The file and the line, from 1; a file of "" is set by the program, a line of 0 is unknown."""
        if self.file:
            return self.file, self.line or _within([self.file], self.path)[1]
        return place(self.path)

    def __str__(self) -> str:
        file, line = self.place
        where = f"{file}, line {line}" if line else file
        return f"{where}: {self.says}" if where else self.says


def place(path: Sequence[str]) -> tuple[str, int]:
    """Give the file and the line of a setting: of the strongest place that has it, else that has what is around it."""
    if _has(dask.config.collect_env(), path):
        return "the environment", 0
    return _within(reversed(files()), path)


def files() -> list[str]:
    """Name the files that Dask reads, the weakest first."""
    found: list[str] = []
    for path in map(Path, dask.config.paths):
        if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
            found += sorted(str(each) for each in path.iterdir() if each.suffix.lower() in _SUFFIXES)
        elif path.is_file():
            found.append(str(path))
    return found


def repeated(file: str) -> Iterator[tuple[int, str]]:
    """Give the line and the name of each key that is twice in a mapping of a file: YAML keeps the last alone."""
    nodes = [_compose(file)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen and key.value != "<<":
                    yield key.start_mark.line + 1, str(key.value)
                seen.add(str(key.value))
                nodes.append(value)


def _within(files: Iterable[str], path: Sequence[str]) -> tuple[str, int]:
    """Give the place of a setting in the first of the files that hold most names of its path."""
    deepest, found = 0, ("", 0)
    for file in files:
        depth, line = _descend(_compose(file), path)
        if depth > deepest:
            deepest, found = depth, (file, line)
    return found


def _descend(node: yaml.Node | None, path: Sequence[str]) -> tuple[int, int]:
    """Give how many names of a path are in a tree, and the line of the last of them."""
    line = 0
    for depth, name in enumerate(path):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        for key, value in reversed(pairs):
            if same_key(key.value, name):
                node, line = value, key.start_mark.line + 1
                break
        else:
            return depth, line
    return len(path), line


def _has(settings: object, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(settings, dict):
            return False
        key = next((key for key in settings if same_key(key, name)), None)
        if key is None:
            return False
        settings = settings[key]
    return True


def same_key(one: object, other: str) -> bool:
    """Tell whether two keys of settings are one, written with ``-`` or with ``_``."""
    return str(one).replace("-", "_") == other.replace("-", "_")


def _compose(file: str) -> yaml.Node | None:
    try:
        return yaml.compose(Path(file).read_text(), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):  # changed since it was read
        return None
