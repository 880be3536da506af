"""Memory and time: read what people write, print what batch systems read.

Inside the package memory is an ``int`` of bytes and time a ``timedelta``. Text with units exists at the two
ends only: here, and in the templates' filters. What is asked of a batch system is rounded up.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Literal

from dask.utils import parse_bytes, parse_timedelta

MIB = 2**20

#: The least memory that a job can be asked for with: a number below it is one without its unit.
LEAST_JOB_MEMORY = 10 * MIB

#: The walltime of a job that may run for ever.
UNLIMITED = timedelta.max

#: What ``10`` and ``00:10`` mean to a batch system; no two agree (see each dialect's ``clock``).
Clock = Literal["minutes, MM:SS", "minutes, HH:MM", "seconds, MM:SS"]


def parse_memory(value: object) -> int:
    """Read an amount of memory.

    Parameters
    ----------
    value
        Bytes as a number, or text with a unit: ``"16 GB"`` is 16e9 bytes, ``"16 GiB"`` is 16 * 2**30.

    Returns
    -------
    int
        Bytes, at least 1.

    Raises
    ------
    ValueError
        If it can't be read, or isn't positive.

    Examples
    --------
    >>> parse_memory("16 GB"), parse_memory("1 GiB"), parse_memory(512)
    (16000000000, 1073741824, 512)
    """
    bad = f"memory {value!r} can't be read: write it like '16 GB' or '500 MiB'"
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(bad)
    if isinstance(value, str) and not re.search(r"\d", value):  # Dask reads "GB" as one of them
        raise ValueError(bad)
    try:
        size: int = parse_bytes(value)
    except (ValueError, OverflowError):
        raise ValueError(bad) from None
    if size <= 0:
        raise ValueError(f"memory {value!r} must be more than zero")
    return size


def parse_job_memory(value: object) -> int:
    """Read the memory of a job: as :func:`parse_memory`, but too little for any worker is refused.

    >>> parse_job_memory(16)
    Traceback (most recent call last):
    ...
    ValueError: memory 16 is 16 bytes, too little for a worker: did you mean '16 GB'?
    """
    size = parse_memory(value)
    if size < LEAST_JOB_MEMORY:
        number = re.match(r"[\d.]*", str(value).strip())
        meant = f"{number[0]} GB" if number and number[0] else "16 GB"
        raise ValueError(f"memory {value!r} is {size} bytes, too little for a worker: did you mean {meant!r}?")
    return size


_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<fields>\d+(?::\d+){0,2})")
_UNITS = re.compile(r"[\d.]+\s*[a-zA-Z]+")
_MIN = re.compile(r"mins?$", re.IGNORECASE)  # Dask knows m and minutes only


def parse_walltime(value: object, clock: Clock) -> timedelta:
    """Read a walltime as the batch system would read it.

    Parameters
    ----------
    value
        ``"HH:MM:SS"`` and ``"D-HH:MM:SS"`` mean the same everywhere, as do ``"2h"``, ``"90 min"`` and a ``timedelta``.
        A bare number and ``"00:10"`` are read by the system's own rule. ``"UNLIMITED"`` and ``"infinite"`` are
        :data:`UNLIMITED`.
    clock
        That rule.

    Returns
    -------
    timedelta
        More than zero.

    Raises
    ------
    ValueError
        If it can't be read, or isn't positive.

    Examples
    --------
    >>> parse_walltime("02:00:00", "minutes, MM:SS")
    datetime.timedelta(seconds=7200)
    >>> parse_walltime("00:10", "minutes, HH:MM"), parse_walltime("00:10", "seconds, MM:SS")
    (datetime.timedelta(seconds=600), datetime.timedelta(seconds=10))
    >>> parse_walltime("1-12", "minutes, MM:SS"), parse_walltime("90 min", "minutes, MM:SS")
    (datetime.timedelta(days=1, seconds=43200), datetime.timedelta(seconds=5400))
    """
    if isinstance(value, timedelta):
        time = value
    else:
        text = str(value).strip()
        if text.lower() in ("unlimited", "infinite"):
            return UNLIMITED
        match = _CLOCK.fullmatch(text)
        if not match and not _UNITS.fullmatch(text):
            raise ValueError(_unreadable(value))
        try:
            if match:
                time = _read_clock(match, clock)
            else:
                time = timedelta(seconds=float(parse_timedelta(_MIN.sub("m", text))))
        except (KeyError, ValueError, OverflowError):
            raise ValueError(_unreadable(value)) from None
    if time <= timedelta(0):
        raise ValueError(f"walltime {value!r} must be more than zero")
    return time


def bare_walltime(value: object) -> list[str]:
    """Tell the problem of a walltime that a file holds without quotes.

    YAML reads ``12:00:00`` as a number to the base of 60, and nobody can tell what was meant.

    >>> bare_walltime(43200)
    ["walltime 43200 is a number: write it in quotes, like '12:00:00' (YAML reads 12:00:00 without them as 43200)"]
    >>> bare_walltime("12:00:00")
    []
    """
    if not isinstance(value, (int, float)):
        return []
    hint = "write it in quotes, like '12:00:00' (YAML reads 12:00:00 without them as 43200)"
    return [f"walltime {value!r} is a number: {hint}"]


def _unreadable(value: object) -> str:
    return f"walltime {value!r} can't be read: write it like '02:00:00', '1-12:00:00' (days first), '2h' or '90 min'"


def _read_clock(match: re.Match[str], clock: Clock) -> timedelta:
    fields = [int(field) for field in match["fields"].split(":")]
    if match["days"] is not None:  # D-HH, D-HH:MM, D-HH:MM:SS
        hours, minutes, seconds = (*fields, 0, 0)[:3]
        return timedelta(days=int(match["days"]), hours=hours, minutes=minutes, seconds=seconds)
    if len(fields) == 3:
        return timedelta(hours=fields[0], minutes=fields[1], seconds=fields[2])
    if len(fields) == 2:
        if clock.endswith("HH:MM"):
            return timedelta(hours=fields[0], minutes=fields[1])
        return timedelta(minutes=fields[0], seconds=fields[1])
    return timedelta(minutes=fields[0]) if clock.startswith("minutes") else timedelta(seconds=fields[0])


def mib(size: int) -> int:
    """Bytes as whole MiB, rounded up.

    >>> mib(16_000_000_000), mib(1)
    (15259, 1)
    """
    return math.ceil(size / MIB)


def hms(time: timedelta) -> str:
    """Time as ``HH:MM:SS``, rounded up to the second.

    >>> hms(timedelta(hours=30, milliseconds=1))
    '30:00:01'
    """
    minutes, seconds = divmod(math.ceil(time.total_seconds()), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def hm(time: timedelta) -> str:
    """Time as ``HH:MM``, rounded up to the minute.

    >>> hm(timedelta(hours=30, seconds=1))
    '30:01'
    """
    minutes = math.ceil(time.total_seconds() / 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def in_unit(size: int, unit: str) -> int:
    """Bytes as a number of units ("kb", "mb", ..., or their first letters), rounded up.

    >>> in_unit(16_000_000_000, "GB"), in_unit(16_000_000_000, "mb")
    (15, 15259)
    """
    power: int = 1024 ** (1 + "kmgtpez".index(unit[0].lower()))
    return -(-size // power)


def dhms(time: timedelta) -> str:
    """Time as ``D-HH:MM:SS``, rounded up to the second.

    >>> dhms(timedelta(hours=30))
    '1-06:00:00'
    """
    days, seconds = divmod(math.ceil(time.total_seconds()), 86400)
    return f"{days}-{hms(timedelta(seconds=seconds))}"


def gigabytes(size: int) -> str:
    """Bytes as people say them.

    >>> gigabytes(16_000_000_000), gigabytes(1_500_000_000), gigabytes(2_000_000)
    ('16 GB', '1.5 GB', '0.002 GB')
    """
    return f"{size / 1e9:.4g} GB"
