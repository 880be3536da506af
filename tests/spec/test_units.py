from __future__ import annotations

from datetime import timedelta

import pytest

from jobclusters.spec.units import dhms, hms, memory_text, mib, parse_memory, parse_walltime

SLURM, LSF, PBS = "minutes, MM:SS", "minutes, HH:MM", "seconds, MM:SS"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16 GB", 16 * 10**9),
        ("16GiB", 16 * 2**30),
        ("128GB", 128 * 10**9),
        (" 1.5 GB ", 1_500_000_000),
        ("500M", 500 * 10**6),
        ("512", 512),
        (512, 512),
        (1e9, 10**9),
    ],
)
def test_memory(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "lots",
        "16 XB",
        "0 GB",
        "-4 GB",
        "0.1",
        0,
        -1,
        None,
        True,
        [],
        float("nan"),
        float("inf"),
        "",
        "GB",
    ],
)
def test_memory_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="memory"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "slurm", "lsf", "pbs"),
    [
        ("10", timedelta(minutes=10), timedelta(minutes=10), timedelta(seconds=10)),
        (10, timedelta(minutes=10), timedelta(minutes=10), timedelta(seconds=10)),
        ("10:00", timedelta(minutes=10), timedelta(hours=10), timedelta(minutes=10)),
        ("00:10", timedelta(seconds=10), timedelta(minutes=10), timedelta(seconds=10)),
        ("90:00", timedelta(minutes=90), timedelta(hours=90), timedelta(minutes=90)),
    ],
)
def test_walltime_that_each_system_reads_differently(text, slurm, lsf, pbs):
    assert [parse_walltime(text, clock) for clock in (SLURM, LSF, PBS)] == [slurm, lsf, pbs]


@pytest.mark.parametrize("clock", [SLURM, LSF, PBS])
@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("02:00:00", timedelta(hours=2)),
        ("100:00:01", timedelta(hours=100, seconds=1)),
        ("1-12", timedelta(days=1, hours=12)),
        ("1-12:30", timedelta(days=1, hours=12, minutes=30)),
        ("1-12:30:15", timedelta(days=1, hours=12, minutes=30, seconds=15)),
        ("0-0:0:1", timedelta(seconds=1)),
        ("2h", timedelta(hours=2)),
        ("90 minutes", timedelta(minutes=90)),
        ("90 min", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1h30min", timedelta(minutes=90)),
        ("1 day 2 hours", timedelta(hours=26)),
        ("1 day, 2 hours and 30 minutes", timedelta(hours=26, minutes=30)),
        ("1.5h 10 s", timedelta(minutes=90, seconds=10)),
        ("1.5 days", timedelta(hours=36)),
        (timedelta(hours=3), timedelta(hours=3)),
        ("UNLIMITED", timedelta.max),
        ("Infinite", timedelta.max),
        (" 02:00:00 ", timedelta(hours=2)),
    ],
)
def test_walltime_that_means_the_same_everywhere(text, time, clock):
    assert parse_walltime(text, clock) == time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2 fortnights",
        "1:2:3:4",
        "1-",
        "-1",
        "-02:00:00",
        "1.5",
        "1.2.3 h",
        "1h30",
        "1h and",
        "and 1h",
        "1h 2 fortnights",
        "1h -30m",
        "02:00:00\n#SBATCH --uid=0",
        "0",
        "00:00:00",
        timedelta(0),
        None,
        True,
        [],
        "9" * 20,
        "9" * 20 + " h",
    ],
)
def test_walltime_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="walltime"):
        parse_walltime(text, SLURM)


@pytest.mark.parametrize(
    ("time", "with_days", "without_days"),
    [
        (timedelta(hours=2), "0-02:00:00", "02:00:00"),
        (timedelta(seconds=1), "0-00:00:01", "00:00:01"),
        (timedelta(microseconds=1), "0-00:00:01", "00:00:01"),
        (timedelta(minutes=1, milliseconds=-1), "0-00:01:00", "00:01:00"),
        (timedelta(hours=23, minutes=59, seconds=59, milliseconds=1), "1-00:00:00", "24:00:00"),
        (timedelta(days=8, seconds=5), "8-00:00:05", "192:00:05"),
    ],
)
def test_time_is_printed_rounded_up(time, with_days, without_days):
    assert (dhms(time), hms(time)) == (with_days, without_days)


@pytest.mark.parametrize(("size", "whole"), [(1, 1), (2**20, 1), (2**20 + 1, 2), (128 * 10**9, 122071)])
def test_memory_is_printed_rounded_up(size, whole):
    assert mib(size) == whole


@pytest.mark.parametrize(
    ("size", "text"), [(4 * 10**9, "4 GB"), (512 * 10**9, "512 GB"), (1_500_000_000, "1.5 GB"), (10**12, "1000 GB")]
)
def test_memory_is_described_as_people_say_it(size, text):
    assert memory_text(size) == text
