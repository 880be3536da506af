"""Pieces of a configuration file as text: comments, YAML's values, amounts of memory and time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta

import yaml

from jobclusters.units import MIB, UNLIMITED, dhms, hms


def clean(text: str) -> str:
    """Make one printable line of it: it is others' words, and may hold anything."""
    return "".join(sign if sign.isprintable() else " " for sign in re.sub(r"\s+", " ", text)).strip()


def comment(text: str, indent: str, width: int = 110) -> list[str]:
    """Write a text as lines of a comment.

    >>> comment("one two three", "  ", 10)
    ['  # one two', '  # three']
    """
    lines = [""]
    for word in clean(text).split():
        if lines[-1] and len(indent) + len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}"
    return [f"{indent}#{line}" for line in lines]


def scalar(value: object) -> str:
    """Write one value; quotes stand where YAML would take it for something else."""
    if isinstance(value, list):
        return f"[{', '.join(scalar(each) for each in value)}]"
    if isinstance(value, str):
        text: str = yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True)
        return text.strip()[1:-1]
    return str(value)


def flow(entry: Mapping[str, object]) -> str:
    """Write a mapping on one line.

    >>> print(flow({"cores": 4, "walltime": "12:00:00", "slurm": {"queue": "no"}}))
    {cores: 4, walltime: "12:00:00", slurm: {queue: 'no'}}
    """
    parts: Iterable[str] = (
        f"{scalar(key)}: {flow(value) if isinstance(value, Mapping) else _quoted(key, value)}"
        for key, value in entry.items()
    )
    return f"{{{', '.join(parts)}}}"


def _quoted(key: str, value: object) -> str:
    return f'"{value}"' if key == "walltime" else scalar(value)


def walltime(time: timedelta) -> str:
    """Write a walltime as every batch system reads it.

    >>> walltime(timedelta(hours=4)), walltime(timedelta(days=2)), walltime(UNLIMITED)
    ('04:00:00', '2-00:00:00', 'unlimited')
    """
    if time == UNLIMITED:
        return "unlimited"
    return hms(time) if time < timedelta(days=1) else dhms(time)


def binary(memory: int) -> str:
    """Write what a batch system counts, exactly: it is a limit.

    >>> binary(256000 * 2**20), binary(244 * 2**30)
    ('250 GiB', '244 GiB')
    """
    size = memory // MIB
    return f"{size} MiB" if size % 1024 else f"{size // 1024} GiB"


def decimal(memory: int) -> str:
    """Write the memory of a size, in whole MB.

    >>> decimal(64_000_000_000), decimal(8_388_000_000)
    ('64 GB', '8388 MB')
    """
    return f"{memory // 10**6} MB" if memory % 10**9 else f"{memory // 10**9} GB"
