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


_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<fields>\d+(?::\d+){0,2})")
_UNITS = re.compile(r"[\d.]+\s*[a-zA-Z]+")
_MIN = re.compile(r"mins?$", re.IGNORECASE)  # Dask knows m and minutes only


def parse_walltime(value: object, clock: Clock) -> timedelta:
    """Read a walltime as the batch system would read it.

    Parameters
    ----------
    value
        ``"HH:MM:SS"`` and ``"D-HH:MM:SS"`` mean the same everywhere, as do ``"2h"``, ``"90 min"`` and a ``timedelta``.
        A bare number and ``"00:10"`` are read by the system's own rule.
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
