"""Reads the arguments of ``adapt()``: limits in workers, jobs, cores or memory, and the patience of the scaler."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from dask.utils import parse_timedelta

from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.scaling.model import Policy
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.sizes import whole
from jobclusters.spec.units import counted, memory_text, parse_memory

#: The endings of ``minimum`` and ``maximum``.
_UNITS = ("", "_jobs", "_cores", "_memory")
_TIMES = ("target_duration", "patience", "idle")
#: Of these, 0 means nothing: it would decide without a pause, or want all work done at once.
_ABOVE_ZERO = ("target_duration", "interval")
_ENDS = tuple(f"{end}{unit}" for end in ("minimum", "maximum") for unit in _UNITS)
#: Of distributed's Adaptive, and without a meaning here.
_DASKS = ("wait_count", "worker_key")
#: What may be preferred; the default first.
PREFER = ("time", "core-hours")
_VALID = (*_ENDS, "max_pending", "max_core_hours", "prefer", "interval", *_DASKS, *_TIMES)


def read_policy(spec: JobSpec, asked: Mapping[str, object], settings: Mapping[str, object]) -> Policy:
    """Read the limits for jobs of one size; exact for any number of workers in a job.

    Parameters
    ----------
    spec
        A job.
    asked
        The keywords of ``adapt()``; None means not given.
    settings
        The section ``jobclusters.adaptive``: what holds for keywords that are not given.

    Raises
    ------
    InvalidRequest
        With everything that's wrong.
    """
    problems = Problems(
        unknown("argument of adapt()", key, _VALID, see="help(cluster.adapt)") for key in asked if key not in _VALID
    )
    given = {key: value for key, value in asked.items() if value is not None and key in _VALID}
    minimum = max((need for need, _ in _limits("minimum", math.ceil, spec, given, problems)), default=0)
    most = _limits("maximum", math.floor, spec, given, problems)
    usual = problems.attempt(lambda: whole("jobclusters.adaptive.maximum-jobs", settings["maximum-jobs"]), 1)
    maximum = min((jobs for jobs, _ in most), default=max(usual, minimum))
    for jobs, text in most:
        if jobs == 0 and not text.endswith("=0"):
            problems.append(f"{text} is less than one job: {_shape(spec)}")
    if minimum > maximum:
        limits = ", ".join(f"{key}={value!r}" for key, value in given.items() if key in _ENDS)
        least = counted(minimum, "job")
        problems.append(f"{limits}: the minimum, {least}, is above the maximum, {maximum}; {_shape(spec)}")
    pending = given.get("max_pending", settings.get("max-pending"))
    hours = given.get("max_core_hours")
    prefer = given.get("prefer", settings.get("prefer"))
    if prefer not in PREFER:
        problems.append(f"prefer must be {' or '.join(map(repr, PREFER))}, not {prefer!r}")
    times = {key: given.get(key, settings.get(key.replace("_", "-"))) for key in _TIMES}
    if "interval" in given:
        _seconds("interval", given["interval"], problems)
    policy = Policy(
        threads=spec.nthreads * spec.processes,
        cores=spec.cores,
        memory=spec.memory_limit * spec.processes,
        minimum=minimum,
        maximum=max(minimum, maximum),
        max_pending=None if pending is None else problems.attempt(lambda: whole("max_pending", pending), 1),
        max_core_hours=None if hours is None else problems.attempt(lambda: _positive("max_core_hours", hours), 1.0),
        prefer=str(prefer),
        **{key: _seconds(key, value, problems) for key, value in times.items()},
    )
    problems.raise_any()
    return policy


def _limits(
    end: str, cut: Callable[[float], int], spec: JobSpec, given: Mapping[str, object], problems: Problems
) -> list[tuple[int, str]]:
    """Give each limit among the arguments, in jobs, and as text."""
    each = {"": spec.processes, "_jobs": 1, "_cores": spec.cores, "_memory": spec.memory}
    found = []
    for unit in _UNITS:
        key, value = f"{end}{unit}", given.get(f"{end}{unit}")
        if value is None or (end == "maximum" and value == math.inf):
            continue
        if unit == "_memory":
            amount = problems.attempt(lambda value=value: 0 if value in (0, "0") else parse_memory(value), 0)  # type: ignore[misc]
        else:
            amount = problems.attempt(lambda key=key, value=value: whole(key, value, least=0), 0)  # type: ignore[misc]
        found.append((cut(amount / each[unit]), f"{key}={value}"))
    return found


def _shape(spec: JobSpec) -> str:
    workers = f"{spec.processes} worker{'s' * (spec.processes != 1)}"
    return f"a job has {workers}, {counted(spec.cores, 'core')} and {memory_text(spec.memory)}"


def _positive(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not number > 0:
        raise InvalidRequest(f"{name} must be a number above 0, not {value!r}")
    return number


def _seconds(name: str, value: object, problems: Problems) -> float:
    try:
        seconds = float(parse_timedelta(value))
    except (TypeError, ValueError, KeyError, AttributeError):
        seconds = -1.0
    if not seconds >= 0 or (seconds == 0 and name in _ABOVE_ZERO):
        problems.append(f"{name} must be a time such as '2 minutes' or a number of seconds, not {value!r}")
        return 0.0
    return seconds
