"""Sizes: named shapes of a job, from the catalogue, the site's configuration and the user's.

The fourteen built-in sizes are in ``jobclusters.yaml``, in the form that sites and users write, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.spec.units import bare_walltime, counted, memory_text, parse_job_memory

#: Coiled's defaults of ``worker_cpu`` and ``worker_memory``.
DEFAULT_CPU = 4
DEFAULT_MEMORY = "16 GiB"

T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    """A named shape of a job.

    Attributes
    ----------
    name
        As in ``worker_size="large"``.
    label
        As in the catalogue: ``"T4-XLarge"``. A label promises nothing about the site's hardware.
    cores, memory, gpus
        Of the job; memory in bytes, a worker for each GPU.
    details
        Its keywords on every batch system (``queue``, ``gpu_type``, ``walltime``, ...).
    per_system
        Its keywords on one batch system, by the system's name; they win over ``details``.
    """

    name: str
    label: str
    cores: int
    memory: int
    gpus: int = 0
    details: Mapping[str, object] = field(default_factory=dict, compare=False)
    per_system: Mapping[str, Mapping[str, object]] = field(default_factory=dict, compare=False)

    def describe(self) -> str:
        """Describe it in a line.

        >>> Size("g4dnxlarge", "T4-XLarge", 4, 16_000_000_000, 1).describe()
        'T4-XLarge - 4 cores - 16 GB RAM - 1 GPU'
        """
        text = f"{self.label} - {counted(self.cores, 'core')} - {memory_text(self.memory)} RAM"
        return f"{text} - {self.gpus} GPU" if self.gpus else text

    def keywords(self, system: str) -> dict[str, object]:
        """Give its keywords on a batch system."""
        return {**self.details, **self.per_system.get(system, {})}


#: More than any machine or cluster has: a slip of the pen would take hours to be counted out.
MOST_COUNTED = 1_000_000


def whole(name: str, value: object, least: int = 1) -> int:
    """Read a count, or raise ValueError with a sentence.

    >>> whole("cores", "24"), whole("cores", 4.0)
    (24, 4)
    """
    try:
        count = int(value) if isinstance(value, float) and value.is_integer() else int(str(value))
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None
    if count < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
    if count > MOST_COUNTED:
        raise ValueError(f"{name} must be at most {MOST_COUNTED:,}, not {value!r}")
    return count


def read_sizes(
    entries: Mapping[str, object], systems: Iterable[str], keywords: Iterable[str]
) -> tuple[dict[str, Size], dict[str, list[str]]]:
    """Read ``jobclusters.sizes``: see :func:`read_section`.

    Parameters
    ----------
    entries
        Name to a mapping with ``cores``, ``memory``, perhaps ``gpus``, ``label``, job keywords, and a section for
        each batch system that differs.
    systems
        Names of batch systems.
    keywords
        Job keywords that a size may hold, with underscores.
    """
    valid = frozenset(systems), frozenset(keywords)
    return read_section(
        entries, "jobclusters.sizes", "with cores and memory", lambda name, entry: _read_size(name, entry, *valid)
    )


def read_section(
    entries: Mapping[str, object], section: str, like: str, read: Callable[[str, Mapping[str, object]], T]
) -> tuple[dict[str, T], dict[str, list[str]]]:
    """Read the named entries of a section of the configuration.

    Parameters
    ----------
    entries
        Name to mapping. A name without a mapping (``large:`` alone) removes that entry.
    section
        Its name, such as ``jobclusters.sizes``.
    like
        The mapping in words, for the error.
    read
        Reads an entry, by its name and its mapping.

    Returns
    -------
    found : dict
        The readable entries, in the order given.
    wrong : dict
        The names of the others, with a sentence for each problem.
    """
    found: dict[str, T] = {}
    wrong: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if isinstance(entry, Mapping):
            try:
                found[str(name)] = read(str(name), entry)
            except InvalidRequest as error:
                wrong[str(name)] = [f"{section}.{name}: {problem}" for problem in error.problems]
        elif entry is not None:
            wrong[str(name)] = [f"{section}.{name} must be a mapping {like}, not {entry!r}"]
    return found, wrong


_SHAPE = frozenset({"label", "cores", "memory", "gpus"})
#: Keywords that give the size of a job can't be details of a size.
_NO_DETAILS = _SHAPE | {"worker_size", "worker_cpu", "worker_gpu", "worker_memory"}


def _read_size(name: str, entry: Mapping[str, object], systems: frozenset[str], keywords: frozenset[str]) -> Size:
    problems = Problems()
    keywords -= _NO_DETAILS
    per_system: dict[str, Mapping[str, object]] = {}
    details: dict[str, object] = {}
    shape: dict[str, object] = {}
    for raw, value in entry.items():
        key = str(raw).replace("-", "_")
        if key in _SHAPE:
            shape[key] = value
        elif key in systems and isinstance(value, Mapping):
            section = {str(k).replace("-", "_"): v for k, v in value.items()}
            problems += [
                unknown(f"key of {key}", k, keywords, see="jobclusters keywords") for k in section if k not in keywords
            ]
            per_system[key] = section
        elif key in keywords:
            details[key] = value
        else:
            problems.append(unknown("key", raw, _SHAPE | systems | keywords, see="jobclusters keywords"))

    for each in (details, *per_system.values()):
        problems += bare_walltime(each.get("walltime"))
    if missing := [key for key in ("cores", "memory") if key not in shape]:
        raise InvalidRequest([*problems, f"{' and '.join(missing)} missing"])
    size = Size(
        name=name,
        label=str(shape.get("label", name)),
        cores=problems.attempt(lambda: whole("cores", shape["cores"]), 1),
        memory=problems.attempt(lambda: parse_job_memory(shape["memory"]), 1),
        gpus=problems.attempt(lambda: whole("gpus", shape.get("gpus", 0), least=0), 0),
        details=MappingProxyType(details),
        per_system=MappingProxyType(per_system),
    )
    problems.raise_any()
    return size


def fit(cpu: object = None, memory: object = None, gpu: object = None) -> Size:
    """Make a size from ``worker_cpu``, ``worker_memory`` and ``worker_gpu``; raise InvalidRequest with all problems.

    A batch system grants exactly that request, so nothing is rounded up to a size of the catalogue.
    """
    problems = Problems()
    cores = problems.attempt(lambda: whole("worker_cpu", DEFAULT_CPU if cpu is None else cpu), 1)
    wrong = Problems()
    size = wrong.attempt(lambda: parse_job_memory(DEFAULT_MEMORY if memory is None else memory), 1)
    problems += [f"worker_{problem}" for problem in wrong]  # it begins with "memory"
    gpus = problems.attempt(lambda: whole("worker_gpu", 0 if gpu is None else gpu, least=0), 0)
    problems.raise_any()
    return Size(name="custom", label="custom", cores=cores, memory=size, gpus=gpus)


#: The size of a job where nothing says how large it is: Coiled's default.
DEFAULT = Size("default", "default", DEFAULT_CPU, parse_job_memory(DEFAULT_MEMORY))


def sizes_that_fit(sizes: Iterable[Size], cores: int, memory: int, gpus: int) -> list[str]:
    """Name the sizes that a machine of this shape holds, smallest first."""
    fits = [s for s in sizes if s.cores <= cores and s.memory <= memory and s.gpus <= gpus]
    return [size.name for size in sorted(fits, key=lambda s: (s.gpus, s.cores, s.memory))]
