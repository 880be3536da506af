"""Sizes: named shapes of a job, from the catalogue, the site's configuration and the user's.

The fourteen built-in sizes stand in ``jobclusters.yaml`` beside this module, in the form that a site or a user
writes too. Which of them win is the configuration's affair (user over site over built-in); here a mapping is
read into :class:`Size` objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.units import bare_walltime, gigabytes, parse_job_memory

#: What Coiled gives a worker when only some of ``worker_cpu``, ``worker_gpu`` and ``worker_memory`` are asked for.
DEFAULT_CPU = 4
DEFAULT_MEMORY = "16 GiB"


@dataclass(frozen=True)
class Size:
    """A named shape of a job.

    Attributes
    ----------
    name
        What the user writes: ``worker_size="large"``.
    label
        What the catalogue calls it: ``"T4-XLarge"``. A label promises nothing about the site's hardware.
    cores
        Cores of the job.
    memory
        Of the job, in bytes.
    gpus
        Of the job; there will be one worker for each.
    details
        Keywords that come with the size on every batch system (``queue``, ``gpu_type``, ``walltime``, ...).
    per_system
        The same for one batch system alone, by its name; they win over ``details``.
    """

    name: str
    label: str
    cores: int
    memory: int
    gpus: int = 0
    details: Mapping[str, object] = field(default_factory=dict, compare=False)
    per_system: Mapping[str, Mapping[str, object]] = field(default_factory=dict, compare=False)

    def describe(self) -> str:
        """Say what it holds.

        >>> Size("g4dnxlarge", "T4-XLarge", 4, 16_000_000_000, 1).describe()
        'T4-XLarge - 4 cores - 16 GB RAM - 1 GPU'
        """
        text = f"{self.label} - {self.cores} cores - {gigabytes(self.memory)} RAM"
        return f"{text} - {self.gpus} GPU" if self.gpus else text

    def keywords(self, system: str) -> dict[str, object]:
        """Give the keywords that come with this size on a batch system."""
        return {**self.details, **self.per_system.get(system, {})}


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
    return count


def read_sizes(
    entries: Mapping[str, object], systems: Iterable[str], keywords: Iterable[str]
) -> tuple[dict[str, Size], list[str]]:
    """Read the ``jobclusters.sizes`` section of the configuration.

    Parameters
    ----------
    entries
        Name to a mapping with ``cores``, ``memory``, perhaps ``gpus``, ``label``, job keywords, and a section for
        each batch system that differs. A name without a mapping (``large:`` alone) takes that size away.
    systems
        Names of batch systems.
    keywords
        Job keywords that may stand in a size, with underscores.

    Returns
    -------
    sizes : dict of str to Size
        The readable ones, in the order given.
    problems : list of str
        A sentence for each thing that's wrong.
    """
    sizes: dict[str, Size] = {}
    problems: list[str] = []
    for name, entry in entries.items():
        if entry is None:
            continue
        where = f"jobclusters.sizes.{name}"
        if not isinstance(entry, Mapping):
            problems.append(f"{where} must be a mapping with cores and memory, not {entry!r}")
            continue
        try:
            sizes[str(name)] = _read_size(str(name), entry, frozenset(systems), frozenset(keywords))
        except InvalidRequest as error:
            problems += [f"{where}: {problem}" for problem in error.problems]
    return sizes, problems


_SHAPE = frozenset({"label", "cores", "memory", "gpus"})
#: Keywords that say themselves how large a job is have no place in a size's details.
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
            problems += [unknown(f"key of {key}", k, keywords) for k in section if k not in keywords]
            per_system[key] = section
        elif key in keywords:
            details[key] = value
        else:
            problems.append(unknown("key", raw, _SHAPE | systems | keywords))

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
    """Make a size from numbers: ``worker_cpu``, ``worker_memory``, ``worker_gpu``.

    A batch queue gives exactly what is asked for, so nothing is rounded up to a size of the catalogue.

    Raises
    ------
    InvalidRequest
        With every number that can't be read.
    """
    problems = Problems()
    cores = problems.attempt(lambda: whole("worker_cpu", DEFAULT_CPU if cpu is None else cpu), 1)
    size = problems.attempt(lambda: parse_job_memory(DEFAULT_MEMORY if memory is None else memory), 1)
    gpus = problems.attempt(lambda: whole("worker_gpu", 0 if gpu is None else gpu, least=0), 0)
    problems.raise_any()
    return Size(name="custom", label="custom", cores=cores, memory=size, gpus=gpus)


def fitting(sizes: Iterable[Size], cores: int, memory: int, gpus: int) -> list[str]:
    """Name the sizes that a machine of this shape can hold, smallest first."""
    fits = [s for s in sizes if s.cores <= cores and s.memory <= memory and s.gpus <= gpus]
    return [size.name for size in sorted(fits, key=lambda s: (s.gpus, s.cores, s.memory))]
