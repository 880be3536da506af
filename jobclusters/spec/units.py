"""Memory and time: reads the user's text, prints the batch systems'.

Inside the package memory is an ``int`` of bytes and time a ``timedelta``. Only this module and the templates' filters
know text with units. Requests to a batch system are rounded up.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Literal, NamedTuple

from dask.utils import parse_bytes, parse_timedelta

from jobclusters.errors import InvalidRequest

MIB = 2**20
GIB = 2**30

#: The least memory of a job: a smaller number lacks its unit.
LEAST_JOB_MEMORY = 10 * MIB

#: The walltime of a job without a limit.
UNLIMITED = timedelta.max

#: The meanings of ``10`` and ``00:10`` to a batch system (see each dialect's ``clock``).
Clock = Literal["minutes, MM:SS", "minutes, HH:MM", "seconds, MM:SS", "hours, HH:MM"]


def parse_memory(value: object) -> int:
    """Read an amount of memory.

    Parameters
    ----------
    value
        Bytes as a number, or text with a unit.

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
    """Read the memory of a job: as :func:`parse_memory`, but refuse too little for a worker.

    >>> parse_job_memory(16)
    Traceback (most recent call last):
    ...
    ValueError: memory 16 is 16 bytes, too little for a worker: did you mean '16 GB'?
    """
    size = parse_memory(value)
    if size < LEAST_JOB_MEMORY:
        number = re.match(r"[\d.]*", str(value).strip())
        meant = f"{number[0]} GB" if number and number[0] else "16 GB"
        raise ValueError(
            f"memory {value!r} is {counted(size, 'byte')}, too little for a worker: did you mean {meant!r}?"
        )
    return size


_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<fields>\d+(?::\d+){0,2})")
_UNIT = r"\d+(?:\.\d*)?\s*[a-zA-Z]+|\.\d+\s*[a-zA-Z]+"
_UNITS = re.compile(rf"(?:{_UNIT})(?:(?:\s*,)?(?:\s+and\b)?\s*(?:{_UNIT}))*")
_MIN = re.compile(r"mins?$", re.IGNORECASE)  # Dask knows m and minutes only


def parse_walltime(value: object, clock: Clock) -> timedelta:
    """Read a walltime as the batch system would read it.

    Parameters
    ----------
    value
        ``"HH:MM:SS"`` and ``"D-HH:MM:SS"`` mean the same everywhere, as do ``"2h"``, ``"1h30m"``, ``"1 day 2 hours"``
        and a ``timedelta``.
        A bare number and ``"00:10"`` are read by the system's own rule. ``"UNLIMITED"`` and ``"infinite"`` are
        :data:`UNLIMITED`.
    clock
        That rule.

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
    >>> parse_walltime("36", "hours, HH:MM")
    datetime.timedelta(days=1, seconds=43200)
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
                parts = re.findall(_UNIT, text)
                time = timedelta(seconds=sum(float(parse_timedelta(_MIN.sub("m", part))) for part in parts))
        except (KeyError, ValueError, OverflowError):
            raise ValueError(_unreadable(value)) from None
    if time <= timedelta(0):
        raise ValueError(f"walltime {value!r} must be more than zero")
    return time


def bare_walltime(value: object) -> list[str]:
    """Give the problem of a walltime without quotes in a file, if there is one: YAML reads ``12:00:00`` as 43200.

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
    return timedelta(**{clock.partition(",")[0]: fields[0]})


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


def memory_text(size: int, like: int | None = None) -> str:
    """Bytes for messages, in the unit that makes them, or ``like``, round: most likely the one that was given.

    >>> memory_text(16_000_000_000), memory_text(2**34), memory_text(1536 * MIB), memory_text(500 * MIB)
    ('16 GB', '16 GiB', '1.5 GiB', '500 MiB')
    >>> memory_text(25_283_190_784), memory_text(256_000_000)
    ('25.28 GB', '256 MB')
    """
    model = size if like is None else like
    if model % MIB == 0 and model % 10**6:
        return f"{size / GIB:.4g} GiB" if size >= GIB else f"{size / MIB:.4g} MiB"
    return f"{size / 1e9:.4g} GB" if size >= 10**9 else f"{size / 1e6:.4g} MB"


def counted(number: int, noun: str) -> str:
    """Write a number of things.

    >>> counted(1, "job"), counted(2, "job")
    ('1 job', '2 jobs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def read_timeout(key: str, value: object) -> float | None:
    """Read a timeout in seconds; None for never; raise InvalidRequest if it isn't a time above 0.

    >>> read_timeout("idle_timeout", "2 hours"), read_timeout("idle_timeout", None)
    (7200.0, None)
    """
    if value is None or value is False:
        return None
    try:
        seconds = 0.0 if value is True else float(parse_timedelta(value))
    except (ValueError, TypeError, AttributeError, LookupError):  # the parser's, for lists or ""
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidRequest(f"{key} must be a time such as '20 minutes', or None for never, not {value!r}")
    return seconds


def read_ports(value: object) -> tuple[int, int] | None:
    """Read a range of ports: the first and the last; None if there is none. Raise InvalidRequest for anything else.

    >>> read_ports("40000-40100"), read_ports("40000:40100"), read_ports(None)
    ((40000, 40100), (40000, 40100), None)
    """
    if value in (None, ""):
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*[-:]\s*(\d{1,5})\s*", str(value), re.ASCII)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 < first < last < 2**16:
        raise InvalidRequest(
            f"ports must be a range of ports, the first and the last, such as '40000-40100', not {value!r}"
        )
    return first, last


class HandoverTimes(NamedTuple):
    """When a job hands over, in seconds after its start; all None, and 0, for a job whose workers stay.

    Attributes
    ----------
    due
        The start of the handover.
    lifetime, stagger
        The time at which its workers leave, and its variation, so that they don't leave all at once.
    """

    due: int | None = None
    lifetime: int | None = None
    stagger: int = 0


def handover_times(walltime: timedelta | None, margin: timedelta | None) -> HandoverTimes:
    """Plan the handover of a job within the margin before the end of its walltime.

    In half of the margin the replacement starts and tasks end, then workers leave one after another; in the last third
    the last of them hand over their results. A margin of None is a tenth of the walltime, at least 40 seconds and at
    most 10 minutes.

    >>> handover_times(timedelta(hours=1), None)
    HandoverTimes(due=3240, lifetime=3450, stagger=30)
    >>> handover_times(timedelta(minutes=2), None), handover_times(timedelta(minutes=1), None)
    (HandoverTimes(due=80, lifetime=103, stagger=3), HandoverTimes(due=None, lifetime=None, stagger=0))
    """
    if walltime is None or walltime == UNLIMITED:
        return HandoverTimes()
    seconds = walltime.total_seconds()
    spare = min(600.0, max(40.0, seconds / 10)) if margin is None else margin.total_seconds()
    if seconds <= 2 * spare:
        return HandoverTimes()
    stagger = int(spare / 12)
    return HandoverTimes(int(seconds - spare), int(seconds - spare / 2) + stagger, stagger)
