"""What a keyword is: its name, its reader, where it applies, and what its documentation prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Any

from jobclusters.spec.reader import Reader

#: Reads the value of a keyword, and notes what is wrong with it.
Read = Callable[[Reader, str], Any]


class Scope(Enum):
    """What a keyword concerns."""

    #: The call itself; no configuration holds it.
    CALL = "call"
    #: The cluster; Dask's and dask-jobqueue's classes read it.
    DASK = "dask"
    #: The cluster.
    CLUSTER = "cluster"
    #: The job of the head; each of these asks for one.
    HEAD = "head"
    #: The jobs of workers.
    JOB = "job"


class Way(Enum):
    """The ways to give the size of a job; a call takes one of them."""

    NAMED = "named"
    FITTED = "fitted"
    PLAIN = "plain"


class Shared(Enum):
    """Which jobs take a keyword over from the cluster."""

    NONE = "none"
    #: The jobs of its groups.
    GROUPS = "groups"
    #: The jobs of its groups, and the job of its head.
    ALL = "all"


@dataclass(frozen=True)
class Keyword:
    """A keyword of a cluster: one row of the table in :mod:`jobclusters.config.keywords`, or of a dialect's own.

    Attributes
    ----------
    name
        As in a call.
    type, doc, default
        Its documentation: the type, one line with names in pairs of backquotes, and the default.
    read
        Reads its value; None where it is read together with others.
    scope
        What it concerns.
    old_names
        Its former names, here or in dask-jobqueue.
    shared
        Which jobs take it over from the cluster.
    way
        The way to give the size of a job that it belongs to.
    shape
        Whether it refines the size of a job: a size replaces its value in a configuration.
    head_sets
        Of a keyword that concerns the job of the head: the keyword of a job that it sets.
    connection
        Whether it concerns this connection to the cluster, and not the cluster.
    never
        Whether None means "never", and not "not given".
    spot
        Whether ``jobclusters.spot`` may set it for spot jobs.
    setting
        Of a keyword that concerns the cluster: whether the section of ``jobqueue`` may hold it.
    saved
        Whether a saved configuration may hold it; False for objects of the program.
    option
        The placeholder of its value in the help of the command line; "" if only ``--set`` gives it.
    """

    name: str
    type: str
    doc: str
    _: KW_ONLY
    default: str = ""
    read: Read | None = None
    scope: Scope = Scope.JOB
    old_names: tuple[str, ...] = ()
    shared: Shared = Shared.NONE
    way: Way | None = None
    shape: bool = False
    head_sets: str = ""
    connection: bool = False
    never: bool = False
    spot: bool = False
    setting: bool = False
    saved: bool = True
    option: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Today's name, and the old ones."""
        return (self.name, *self.old_names)

    @property
    def row(self) -> tuple[object, ...]:
        """Its row in the documentation."""
        return (self.name, self.type, self.default, self.doc, self.old_names)

    def value(self, read: Reader) -> Any:
        """Read its value."""
        return None if self.read is None else self.read(read, self.name)

    @property
    def number(self) -> bool:
        """Whether its value is a number, or gives one: empty text unsets it."""
        return self.way is not None or self.shape or self.read in (Reader.count, Reader.counts)


class Options(Mapping[str, Any]):
    """The options of a job that only its batch system has, by keyword; hashable, as a spec is.

    Examples
    --------
    >>> Options(qos="low")["qos"]
    'low'
    """

    def __init__(self, **values: object) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Options({', '.join(f'{key}={value!r}' for key, value in self._values.items())})"


#: For a batch system without keywords of its own.
NO_OPTIONS = Options()
