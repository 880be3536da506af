"""Merges the layers of a request: keywords over a configuration over the size's details over the site's settings.

Each value keeps its source, for :meth:`~jobclusters.cluster.job_cluster.JobCluster.explain`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from jobclusters.config.keywords import SIZE_KEYWORDS, WAYS, number_keywords, renamed, shape_keywords
from jobclusters.config.site import Site
from jobclusters.dialects.base import Dialect
from jobclusters.errors import Problems, unknown
from jobclusters.spec.keyword import Way
from jobclusters.spec.reader import Reader
from jobclusters.spec.sizes import Size, fit
from jobclusters.spec.units import parse_walltime

#: The source of keywords, and their values.
Layer = tuple[str, Mapping[str, object]]

#: The source of the keywords of the call itself.
KEYWORD = "keyword"

#: The source of the keywords that a group takes over from its cluster.
CLUSTER = "the cluster"


@dataclass(frozen=True)
class MergedKeywords:
    """The merged keywords of a job.

    Attributes
    ----------
    values
        The given ones, under today's names.
    sources
        The source of each.
    size
        None if the keywords give cores and memory instead; the default if nothing does.
    user_sources
        The sources that are the user's, the strongest first.
    sized
        Whether ``size`` is given; False for the default, too.
    """

    values: Mapping[str, object]
    sources: Mapping[str, str]
    size: Size | None
    user_sources: tuple[str, ...] = ()
    sized: bool = False

    def size_words(self) -> str:
        """Give the keywords that say how large the job is, as they were given."""
        keys = [key for way in WAYS.values() for key in way if key in self.values]
        return ", ".join(f"{key}={self.values[key]!r}" for key in keys) or "the size of a job"

    def rank(self, key: str) -> int:
        """Give the rank of a keyword's source among the user's, 0 for the strongest; others come after them."""
        source = self.sources.get(key)
        return self.user_sources.index(source) if source in self.user_sources else len(self.user_sources)

    def from_user(self, key: str) -> bool:
        """Tell whether the user gives a keyword."""
        return self.sources.get(key) in self.user_sources

    def of_the_user(self, keys: Collection[str]) -> dict[str, object]:
        """Give those of these values that the user gives."""
        return {key: self.values[key] for key in self.values.keys() & keys if self.from_user(key)}


def gather(
    dialect: Dialect, given: Sequence[Layer], site: Site, problems: Problems, inherited: Mapping[str, object]
) -> MergedKeywords:
    """Merge the call and its configuration over the size's details and the site's settings.

    Parameters
    ----------
    dialect
        Of the batch system.
    given
        The user's layers, the strongest first.
    site
        The configuration.
    problems
        Gets a sentence for each problem.
    inherited
        The keywords that a group takes over from its cluster, under today's names; a size's details win over them.
    """
    users = _merged(given, dialect)
    unset = {key for key, (value, _) in users.items() if key in number_keywords(dialect) and value == ""}
    users = {key: value for key, value in users.items() if key not in unset}
    configured = _with_new_names(site.job, dialect)
    sized = True
    if ways := _ways(users):
        size = _size({key: value for key, (value, _) in users.items()}, site, problems)
        unset |= _other_ways(ways)
    else:
        usable = configured.keys() - unset
        size = _size({key: configured[key] for key in SIZE_KEYWORDS if key in usable}, site, problems)
        sized = not usable.isdisjoint(key for keys in WAYS.values() for key in keys)
        size = size if sized else site.default
    if size:  # the site's cores, memory and processes are for calls without a size
        unset |= shape_keywords(dialect)
    configured = {key: value for key, value in configured.items() if key not in unset}
    from_size = _with_new_names(size.keywords(dialect.name), dialect) if size else {}
    asked = {
        **_from(site.section, configured),
        **_from(CLUSTER, inherited),
        **_from(f"size {size.name!r}" if size else "", from_size),
        **users,
    }
    if asked.get("worker_is_spot", (False, ""))[0] is True:
        problems += site.wrong_spot
        spot = {key: value for key, value in site.spot.items() if value is not None and key not in users}
        asked.update(_from(f"jobclusters.spot.{dialect.name}", spot))
    return MergedKeywords(
        values={key: value for key, (value, _) in asked.items()},
        sources={key: source for key, (_, source) in asked.items()},
        size=size,
        user_sources=(*(source for source, _ in given), *([CLUSTER] if inherited else [])),
        sized=sized and size is not None,
    )


#: The source of what a directive of the user's own says.
DIRECTIVES = "job_extra_directives"

#: Kinds of directives that are read, and the keywords that they stand for.
_READ = {"walltime": "walltime", "name": "job_name", "queue": "queue"}


def heed_directives(dialect: Dialect, asked: MergedKeywords, problems: Problems) -> MergedKeywords:
    """Read the walltime, the name and the queue of directives of the user's own, which win over ours.

    A keyword from a stronger source than that of the directives wins over them, and takes their place. The resources of
    ``resource_spec`` are as good as a directive.
    """
    wrong = Problems()
    given = {DIRECTIVES: dialect.written(asked.values.get(DIRECTIVES))}
    lines = Reader(given, wrong).texts(DIRECTIVES)
    if wrong:  # who reads them reports it
        return asked
    values, sources, kept = dict(asked.values), dict(asked.sources), list[str]()
    for line in lines:
        requests = dialect.requests(line)
        found = {_READ[kind]: value for kind, value in requests.items() if kind in _READ}
        weaker = {key for key in found if asked.rank(key) < asked.rank(DIRECTIVES)}
        if len(requests) == 1 and (weaker or "job_name" in found):
            found = {key: value for key, value in found.items() if key not in weaker}
        elif "job_name" in found:
            problems.append(f"{DIRECTIVES}: {line!r} names the job beside other things: say job_name= instead")
        else:
            kept.append(line)
        values |= {key: _readable(dialect, key, value) for key, value in found.items()}
        sources |= dict.fromkeys(found, DIRECTIVES)
    if lines:
        values[DIRECTIVES] = kept
    if (resources := values.get("resource_spec")) and (time := dialect.requests(f"-l {resources}").get("walltime")):
        values["walltime"], sources["walltime"] = _readable(dialect, "walltime", time), "resource_spec"
    return replace(asked, values=values, sources=sources)


def _readable(dialect: Dialect, key: str, value: str) -> str:
    """Give the value of a directive; "" for a walltime that only the batch system can read."""
    if key == "walltime":
        with suppress(ValueError):
            parse_walltime(value, dialect.clock)
            return value
        return ""
    return value


def _from(source: str, layer: Mapping[str, object]) -> dict[str, tuple[object, str]]:
    return {key: (value, source) for key, value in layer.items()}


def _merged(layers: Sequence[Layer], dialect: Dialect) -> dict[str, tuple[object, str]]:
    """Merge the stronger over the weaker; one that gives the size in another way replaces the weaker's whole size."""
    merged: dict[str, tuple[object, str]] = {}
    for source, layer in reversed(layers):
        over = _with_new_names(layer, dialect)
        if (ways := _ways(over)) and merged.keys() & _other_ways(ways):
            replaced = _other_ways(ways) | shape_keywords(dialect)
            merged = {key: value for key, value in merged.items() if key not in replaced}
        merged.update(_from(source, over))
    return merged


def _ways(layer: Mapping[str, object]) -> list[Way]:
    """Give the ways in which a layer gives the size of a job."""
    return [way for way, keys in WAYS.items() if any(layer.get(key) not in (None, "") for key in keys)]


def _other_ways(ways: Sequence[Way]) -> set[str]:
    return {key for way, keys in WAYS.items() if way not in ways for key in keys}


def _with_new_names(layer: Mapping[str, object], dialect: Dialect) -> dict[str, object]:
    """Give the given keywords under today's names; of a value under either name, today's wins, unless empty."""
    given = {key: value for key, value in layer.items() if value is not None}
    for old, new in renamed(dialect).items():
        if old in given:
            value = given.pop(old)
            if not given.get(new):
                given[new] = value
    return given


def _size(given: Mapping[str, object], site: Site, problems: Problems) -> Size | None:
    """Find or make the size; None for ``cores`` and ``memory``."""
    fitted = [key for key in WAYS[Way.FITTED] if key in given]
    plain = [key for key in WAYS[Way.PLAIN] if key in given]
    name = given.get("worker_size")
    ways = [f"worker_size={name!r}"] * (name is not None) + [", ".join(keys) for keys in (fitted, plain) if keys]
    if len(ways) > 1:
        problems.append(f"{' and '.join(ways)}: each says how large a job is; give only one of them")
        return None
    if name is not None:
        if str(name) in site.wrong_sizes:
            problems += site.wrong_sizes[str(name)]
            return None
        if str(name) not in site.sizes:
            problems.append(unknown("size", name, site.sizes, see="jobclusters sizes"))
            return None
        return site.sizes[str(name)]
    if fitted:
        cpu, memory, gpu = (given.get(key) for key in ("worker_cpu", "worker_memory", "worker_gpu"))
        return problems.attempt(lambda: fit(cpu=cpu, memory=memory, gpu=gpu), None)
    return None
