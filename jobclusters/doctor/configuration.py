"""Reads all there is in the configuration, whichever call would need it, and finds all that is wrong with it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobclusters.batch.template_check import check_templates
from jobclusters.config import keywords as table
from jobclusters.config import saved, settings
from jobclusters.config.call import read_call
from jobclusters.config.head_options import head_kind, head_spec
from jobclusters.config.machine import configured_machine
from jobclusters.config.origins import written
from jobclusters.config.places import Finding, files, repeated
from jobclusters.config.resolve import resolve_layers
from jobclusters.config.site import Site
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Dialect
from jobclusters.doctor.report import Verdict, ok, wrong
from jobclusters.errors import InvalidRequest, Problems, nearest
from jobclusters.registry.files import root
from jobclusters.scaling.policy import read_policy
from jobclusters.spec.job_spec import NO_SCHEDULER
from jobclusters.spec.reader import Reader
from jobclusters.spec.software import read_software

#: The shape of a job that any queue holds: what is wrong with it is wrong with a keyword.
_SMALL: Mapping[str, object] = {"cores": 1, "memory": "1 GB"}

_SPOT: Mapping[str, object] = {**_SMALL, "worker_is_spot": True}

#: The sections of Dask's configuration that are read here.
OURS = ("jobclusters", "jobqueue")

Job = Mapping[str, object]


def check_configuration() -> list[Finding]:
    """Find all that is wrong with the files that Dask reads and the user's configurations: problems, then warnings."""
    settings.load()
    with settings.without_warnings():
        found = [*_files(), *settings.unknown_keys(), *_single_settings(), *_templates()]
        with settings.mended():
            found += [*_sections(), *_sizes(), *_queues(), *_spot(), *_software()]
            found += _configurations([each.says for each in found])
    once = {(each.place, each.says): each for each in reversed(found)}
    return sorted(once.values(), key=lambda each: (each.warning, each.place))


def systems_in_use() -> list[Dialect]:
    """Give the batch systems that the files name; this machine's if they name none."""
    named: set[str] = set()
    for _, given in written():
        ours, sections = _mapping(given.get("jobclusters")), _mapping(given.get("jobqueue"))
        named |= {str(ours.get("system")), *map(str, sections)}
        for key in ("queues", "spot"):
            named |= {*map(str, _mapping(ours.get(key)))}
        for entry in _mapping(ours.get("sizes")).values():
            named |= {*map(str, _mapping(entry))}
        named |= {str(_mapping(entry).get("system")) for entry in _mapping(ours.get("configurations")).values()}
    found = [each for name, each in DIALECTS.items() if name in named or (each.section and each.section in named)]
    return found or [DIALECTS[settings.find_system()]]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _located(path: tuple[str, ...], problems: Iterable[str], entry: Job, file: str = "") -> Iterator[Finding]:
    """Give problems of an entry the line of the key that they name, or else quote the value of."""
    for problem in problems:
        words = re.findall(r"[\w-]+", problem.removeprefix(".".join(path)))
        spelt = {key.replace("-", "_"): key for key in map(str, entry)}
        key = next((spelt[each] for each in (word.replace("-", "_") for word in words) if each in spelt), None)
        key = key or next((str(key) for key, value in entry.items() if value and repr(value) in problem), None)
        yield Finding((*path, key) if key else path, problem, file=file)


# -- files and single settings -------------------------------------------------------------------------------------


def _files() -> Iterator[Finding]:
    for file in files():
        if not os.access(file, os.R_OK):
            yield Finding((), "the file can't be read, and Dask leaves it out without a word", file=file)
        for line, key in repeated(file):
            says = f"{key!r} is there twice in one mapping: only the last of them counts"
            yield Finding((), says, file=file, line=line)
    for source, given in written():
        for key in given:
            # Of Dask's own and other packages' sections nothing is known: only one that nearly is ours is a slip.
            if key not in OURS and (hint := nearest(key, OURS, cutoff=0.85)):
                yield Finding((str(key),), f"{key} means nothing here, and is ignored:{hint}", True, file=source)
        for name in OURS:
            value = given.get(name)
            if not isinstance(value, Mapping) and value is not None:
                yield Finding((name,), f"{name} must be a mapping, not {value!r}", file=source)
            for key, inner in _mapping(value).items():
                must = name == "jobqueue" or isinstance(settings.ours().get(str(key).replace("_", "-")), Mapping)
                if must and not isinstance(inner, Mapping) and inner is not None:
                    yield Finding((name, str(key)), f"{name}.{key} must be a mapping, not {inner!r}", file=source)


def _single_settings() -> Iterator[Finding]:
    for key, read in {**settings.READERS, "directory": root}.items():
        yield from _attempt(("jobclusters", key), read)
    yield from _attempt(("jobclusters", "local"), configured_machine, settings.section("local"))
    spec, _ = resolve_layers(DIALECTS["local"], [("", _SMALL)], _site(DIALECTS["local"]), "w", NO_SCHEDULER)
    adaptive = settings.section("adaptive")
    for finding in _attempt(("jobclusters", "adaptive"), lambda: read_policy(spec, {}, adaptive), adaptive):
        yield Finding(finding.path, f"jobclusters.adaptive: {finding.says.removeprefix('jobclusters.adaptive.')}")


def _attempt(path: tuple[str, ...], read: Callable[[], object], entry: Job = {}) -> Iterator[Finding]:  # noqa: B006
    problems = Problems()
    problems.attempt(read, None)
    yield from _located(path, problems, entry)


def _templates() -> Iterator[Finding]:
    path = ("jobclusters", "template-dirs")
    try:
        directories = settings.template_dirs()
    except InvalidRequest:  # reported already
        return
    for directory in directories:
        if not Path(directory).is_dir():
            yield Finding(path, f"jobclusters.template-dirs: there is no directory {directory}")
            continue
        names = {f"{name}.sh.j2" for name in DIALECTS}
        for each in sorted(Path(directory).glob("*.sh.j2")):
            if each.name not in names and (hint := nearest(each.name, names)):
                says = f"no batch system has a template of this name, so it is never used:{hint}"
                yield Finding((), says, warning=True, file=str(each))
        for dialect in DIALECTS.values():
            spec, _ = resolve_layers(dialect, [("", _SMALL)], _site(dialect), "w", NO_SCHEDULER)
            for file, line, says in check_templates(dialect, directory, spec.options):
                yield Finding((), says, file=file, line=line)


# -- entries -------------------------------------------------------------------------------------------------------


def _site(dialect: Dialect, **more: Any) -> Site:
    """Make a site of what is to be tried, and nothing else."""
    sizes, _ = settings.read_all_sizes()
    rest = {"job": {"walltime": "00:30:00"}, "section": f"jobqueue.{dialect.name}", **more}
    return Site(sizes=sizes, python=sys.executable, software=settings.section("software"), **rest)


def _problems(dialect: Dialect, site: Site, job: Job) -> tuple[str, ...]:
    try:
        resolve_layers(dialect, [("keyword", job)], site, "w", NO_SCHEDULER)
    except InvalidRequest as error:
        return error.problems
    return ()


def _values(path: tuple[str, ...], entry: Job, trial: Callable[[Job], Sequence[str]], file: str = "") -> list[Finding]:
    """Try all keywords of an entry together, and find the one that each problem is about by trying them alone."""
    together = trial(entry)
    found: list[Finding] = []
    alone = {key: trial({key: value}) for key, value in entry.items()} if together else {}
    for problem in together:
        key = next((key for key, problems in alone.items() if problem in problems), None)
        says = problem if problem.startswith(".".join(path)) or not path else f"{'.'.join(path)}: {problem}"
        if key is None:
            found += _located(path, [says], entry, file)
        else:
            found.append(Finding((*path, key), says, file=file))
    return found


def _underscored(entry: Mapping[str, object]) -> dict[str, object]:
    return {str(key).replace("-", "_"): value for key, value in entry.items() if value is not None}


def _sections() -> Iterator[Finding]:
    """Check the sections of ``jobqueue``; one of a name of its own may be for any batch system."""
    for name, entry in _given_sections().items():
        own = [each for each in DIALECTS.values() if name in (each.name, each.usual_section)]
        tried = [[*_section(each, name, entry)] for each in own or systems_in_use()]
        yield from min(tried, key=len)


def _given_sections() -> Mapping[str, Job]:
    """Give the settings of ``jobqueue`` that are written somewhere, by section."""
    found: dict[str, dict[str, object]] = {}
    for _, given in reversed(written()):
        for name, entry in _mapping(given.get("jobqueue")).items():
            if isinstance(entry, Mapping):
                found.setdefault(str(name), {}).update(_underscored(entry))
    return found


def _section(dialect: Dialect, name: str, entry: Job) -> Iterator[Finding]:
    yield from settings.unknown_in_section(dialect, name, entry)
    path, problems = ("jobqueue", name), Problems()
    for key in sorted(entry.keys() & table.CLUSTER_SETTINGS):
        problems.clear()
        table.read_value(Reader({key: entry[key]}, problems), key)
        yield from (Finding((*path, key), f"{'.'.join(path)}: {problem}") for problem in problems)
    known = settings.section_keywords(dialect) - table.CLUSTER_SETTINGS
    job = {key: value for key, value in entry.items() if key in known}
    section = ".".join(path)
    yield from _values(
        path, job, lambda each: _problems(dialect, _site(dialect, job={**_SMALL, **each}, section=section), {})
    )


def _sizes() -> Iterator[Finding]:
    sizes, bad = settings.read_all_sizes()
    for name, problems in bad.items():
        yield from _located(("jobclusters", "sizes", name), problems, settings.section("sizes", name))
    systems = systems_in_use()
    for name in sizes.keys() & {*map(str, settings.section("sizes"))}:
        size, path = sizes[name], ("jobclusters", "sizes", name)
        found = _values(path, size.details, _trial_of_keywords(_with_most(systems, size.details)))
        for system, own in size.per_system.items():
            found += _values((*path, system), own, _trial_of_keywords(DIALECTS[system]))
        yield from found or _fits(path, name, systems)


def _with_most(systems: Sequence[Dialect], keywords: Job) -> Dialect:
    """Choose the batch system that has most of the keywords."""
    return max(systems, key=lambda each: len(keywords.keys() & table.job_keywords(each)))


def _trial_of_keywords(dialect: Dialect) -> Callable[[Job], Sequence[str]]:
    valid = table.job_keywords(dialect)

    def trial(job: Job) -> Sequence[str]:
        return _problems(dialect, _site(dialect), {**_SMALL, **{k: v for k, v in job.items() if k in valid}})

    return trial


def _fits(path: tuple[str, ...], name: str, systems: Sequence[Dialect]) -> Iterator[Finding]:
    """Warn of a size that no batch system takes without another keyword: its keywords alone are right."""
    first: tuple[str, ...] = ()
    for dialect in systems:
        queues, bad = settings.queues_of(dialect)
        section = _underscored(_given_sections().get(dialect.name, _given_sections().get(dialect.usual_section, {})))
        site = _site(dialect, job=section, queues=queues, wrong_queues=bad)
        problems = _problems(dialect, site, {"worker_size": name})
        if not problems:
            return
        first = first or problems
    keywords = {problem for dialect in systems for problem in _problems(dialect, _site(dialect), _SMALL)}
    for problem in first:
        if problem not in keywords:
            yield Finding(path, f"{'.'.join(path)}: {problem}", warning=True)


def _queues() -> Iterator[Finding]:
    for dialect in DIALECTS.values():
        _, bad = settings.queues_of(dialect)
        path = ("jobclusters", "queues", dialect.name)
        for name, problems in bad.items():
            yield from _located((*path, name), problems, settings.section(*path[1:], name))


def _spot() -> Iterator[Finding]:
    for dialect in DIALECTS.values():
        path = ("jobclusters", "spot", dialect.name)
        spot, bad = settings.spot_of(dialect)
        yield from _located(path, bad, settings.section(*path[1:]))
        given = {key: value for key, value in spot.items() if value is not None}
        yield from _values(path, given, lambda each, on=dialect: _problems(on, _site(on, spot=each), _SPOT))  # type: ignore[misc]


def _software() -> Iterator[Finding]:
    named = settings.section("software")
    for name in map(str, named):
        problems = Problems()
        read_software(name, named, problems)
        yield from _located(("jobclusters", "software", name), problems, settings.section("software", name))


def _configurations(known: Sequence[str]) -> Iterator[Finding]:
    """Check the site's and the user's configurations; what is known already is wrong elsewhere."""
    for name, file in saved.places().items():
        path = () if file else ("jobclusters", "configurations", name)
        try:
            configuration = saved.read_configuration(name)
        except InvalidRequest as error:
            entry = settings.section("configurations", name) if not file else dict.fromkeys(_keys(file))
            yield from _located(path, error.problems, entry, file)
            continue
        systems = [DIALECTS[configuration.system]] if configuration.system else systems_in_use()
        tried: list[Sequence[str]] = [_problems_of_call(each, configuration) for each in systems]
        problems = [problem for problem in min(tried, key=len) if not any(text.endswith(problem) for text in known)]
        where = ".".join(path)
        yield from _located(
            path, [f"{where}: {each}" if path else each for each in problems], configuration.keywords, file
        )


def _keys(file: str) -> Iterator[str]:
    """Give the words of a file that may be keys."""
    return iter(re.findall(r"^([\w-]+):", Path(file).read_text(errors="replace"), re.MULTILINE))


def _problems_of_call(dialect: Dialect, configuration: saved.Configuration) -> Sequence[str]:
    """Give the problems of a call with a configuration, its head and its limits included."""
    problems = Problems()
    call = problems.attempt(lambda: read_call(dialect, {}, configuration), None)
    if call is not None:
        problems.attempt(lambda: read_policy(call.spec, call.limits, settings.adaptive()), None)
        if problems.attempt(lambda: head_kind(call), "") == "job":
            site = settings.site(dialect, call.value("config_name"))
            problems.attempt(lambda: head_spec(call, site, "checked"), None)
    return problems


def configuration_verdicts() -> list[Verdict]:
    """Judge the configuration: a verdict for each problem; warnings are counted."""
    found = check_configuration()
    wrong_ones = [each for each in found if not each.warning]
    if wrong_ones:
        return [wrong("configuration", str(each), "mend that entry; jobclusters config --check") for each in wrong_ones]
    warnings = f"; {len(found)} without a meaning: jobclusters config --check names them" if found else ""
    return [ok("configuration", f"all settings can be read{warnings}")]


def as_facts(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """Give findings as plain data."""
    return [
        {"file": file, "line": line or None, "warning": each.warning, "says": each.says}
        for each in findings
        for file, line in [each.place]
    ]
