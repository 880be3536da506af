"""Names the files of settings that Dask can't read: while there is one, it can't be imported."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import yaml


def malformed(error: Exception) -> list[str]:
    """Describe the file that an error of Dask's names, and those beside it, each with the line where reading ends.

    Give nothing for other errors.
    """
    found = re.search(r"config file at '(.+?)' is malformed", str(error))
    if not found:
        return [line for directory in _directories(error) for line in _numbers(Path(directory))]
    path = Path(found[1])
    return [
        *_wrong(path),
        *(each for other in sorted(path.parent.glob("*.y*ml")) if other != path for each in _wrong(other)),
    ]


def _wrong(path: Path) -> Iterator[str]:
    try:
        settings = yaml.safe_load(path.read_text())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        yield f"{path}, line {line}: the file is no YAML: {error.problem}"
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        yield f"{path}: the file is no YAML: {' '.join(str(error).split())}"
    except OSError:  # Dask leaves it out
        return
    else:
        if not isinstance(settings, (dict, type(None))):
            yield f"{path}, line 1: the file must be a mapping, such as jobclusters: {{...}}, not {settings!r:.60}"


def _directories(error: Exception) -> list[str]:
    """Name the directories that Dask was reading when it failed: it can't be asked, as it isn't imported."""
    paths: list[str] = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__") == "dask.config":
            paths = frame.f_globals.get("paths", paths)
    return paths


def _numbers(directory: Path) -> Iterator[str]:
    """Find keys that are no text, which Dask can't compare with others."""
    for path in [directory, *sorted(directory.glob("*.y*ml"))]:
        try:
            nodes = [yaml.compose(path.read_text(), Loader=yaml.SafeLoader)]
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            continue
        while nodes:
            node = nodes.pop()
            for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
                nodes.append(value)
                if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                    line = key.start_mark.line + 1
                    yield f"{path}, line {line}: the key {key.value} is no text: write it in quotes, {key.value!r}"
