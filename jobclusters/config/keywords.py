"""The keywords of a cluster: one table, from which signatures, documentation and command line options derive.

A dialect's ``keywords`` has those of one batch system.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Dialect
from jobclusters.errors import InvalidRequest, unknown
from jobclusters.spec.keyword import Keyword, Scope, Shared, Way
from jobclusters.spec.reader import Reader
from jobclusters.spec.sizes import whole
from jobclusters.spec.units import read_ports, read_timeout

#: The name of a cluster, which names files, jobs and workers, too.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_name(name: object) -> str:
    """Give the name of a cluster as text; raise InvalidRequest if it can't be one.

    >>> check_name("production")
    'production'
    """
    text = str(name)
    if not _NAME.fullmatch(text):
        better = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")[:64]
        hint = f": say {better!r}" if _NAME.fullmatch(better) else ""
        raise InvalidRequest(
            f"name={text!r}: a cluster's name is made of at most 64 letters, digits and _ . -, the first a letter or"
            f" digit, as it names files and jobs{hint}"
        )
    return text


def is_range(value: object) -> bool:
    """Tell whether ``n_workers`` is a minimum and a maximum, for adaptive scaling.

    >>> is_range([2, 10]), is_range(2), is_range([2])
    (True, False, False)
    """
    return isinstance(value, (list, tuple)) and len(value) == 2


def _shebang(read: Reader, key: str) -> str | None:
    value = read.text(key)
    if value is not None and not value.startswith("#!"):
        read.problems.append(f"{key}={value!r} must begin with #!, as in '#!/bin/bash': a shell would run it otherwise")
    return value


# -- readers of the cluster's keywords -----------------------------------------------------------------------------


def _count(read: Reader, key: str) -> object:
    value = read.asked[key]
    read.problems.attempt(lambda: whole(key, value, least=0), 0)
    return value


def _count_or_range(read: Reader, key: str) -> object:
    value = read.asked[key]
    return value if is_range(value) else _count(read, key)


def _text(read: Reader, key: str) -> object:
    value = read.asked[key]
    if value and not isinstance(value, str):
        read.problems.append(f"{key} must be text, not {value!r}")
    return value


def _mapping(read: Reader, key: str) -> object:
    value = read.asked[key]
    if not isinstance(value or {}, Mapping):
        read.problems.append(f"{key} must be a mapping, not {value!r}")
    return value


def _security(read: Reader, key: str) -> object:
    value = read.asked[key]
    if not (isinstance(value, bool) or hasattr(value, "get_tls_config_for_role")):
        read.problems.append(f"{key} must be True, False or a distributed.Security, not {value!r}")
    return value


def _timeout(read: Reader, key: str) -> object:
    value = read.asked[key]
    read.problems.attempt(lambda: read_timeout(key, value), None)
    return value


def _cluster_name(read: Reader, key: str) -> object:
    value = read.asked[key]
    return value if value in ("", None) else read.problems.attempt(lambda: check_name(value), "")  # a file may say 2026


def _ports(read: Reader, key: str) -> object:
    value = read.asked[key]
    read.problems.attempt(lambda: read_ports(value), None)
    return value


# -- the table -----------------------------------------------------------------------------------------------------

#: The section with the keywords of one batch system, too.
BATCH_SYSTEM = "What the batch system is asked for"

#: All keywords that every batch system has, by the section of their documentation; a row takes a line or two.
# fmt: off
SECTIONS: dict[str, tuple[Keyword, ...]] = {
    "How large a job is: one of three ways": (
        Keyword("worker_size", "str", "The size of a job by name: ``describe_sizes()`` lists them.",
            way=Way.NAMED, option="NAME"),
        Keyword("worker_cpu", "int", "Cores of a job without a named size.", default="4", way=Way.FITTED, option="N"),
        Keyword("worker_memory", "str or int", "Memory of a job without a named size, such as ``64 GB``.",
            default="16 GiB", way=Way.FITTED, option="AMOUNT"),
        Keyword("worker_gpu", "int", "GPUs of a job without a named size, with a worker for each.",
            default="0", way=Way.FITTED, option="N"),
        Keyword("cores", "int", "Cores of a job, as in dask-jobqueue: divided into workers as Dask does.",
            read=Reader.count, way=Way.PLAIN, option="N"),
        Keyword("memory", "str or int", "Memory of a job with ``cores``, such as ``64 GB``.",
            read=Reader.memory, way=Way.PLAIN, option="AMOUNT"),
        Keyword("gpus", "int", "GPUs of a job with ``cores``.", default="0", read=Reader.counts, way=Way.PLAIN),
    ),
    "How many workers share a job, and what they run": (
        Keyword("processes", "int", "Workers in a job.",
            default="1 with a size, one for each GPU; with ``cores`` about their square root, as in Dask",
            read=Reader.count, old_names=("nprocs",), shape=True, option="N"),
        Keyword("nthreads", "int", "Threads of each worker.", default="cores / processes", read=Reader.count),
        Keyword("nanny", "bool", "Whether a nanny restarts each worker that dies.", default="True", read=Reader.yes),
        Keyword("software", "str or dict",
            "The software environment of the workers: a name in ``jobclusters.software``, or a mapping with its keys.",
            shared=Shared.ALL, option="NAME"),
        Keyword("python", "str", "The command of the workers' Python.",
            default="that of ``software``, else the one that makes the cluster", read=Reader.words,
            shared=Shared.GROUPS, option="COMMAND"),
        Keyword("worker_command", "str", "The program that Python runs as the worker.",
            default="``distributed.cli.dask_worker``, or ``dask cuda worker`` for GPUs", read=Reader.words),
        Keyword("worker_extra_args", "list of str", "More arguments of the worker's command.",
            read=Reader.arguments, old_names=("extra",)),
        Keyword("worker_class", "str or type", "The class of the workers, or its name to import.", default="Nanny"),
        Keyword("worker_options", "dict", "Arguments of that class for which the worker's command has a flag."),
        Keyword("death_timeout", "str or int", "Seconds after which a worker without a scheduler ends.",
            default="60", read=Reader.text, shared=Shared.GROUPS),
        Keyword("local_directory", "str", "Where workers spill to on their node, such as ``$TMPDIR``.",
            read=Reader.text, shared=Shared.GROUPS),
    ),
    BATCH_SYSTEM: (
        Keyword("queue", "str", "The queue or partition.",
            default="the best fit in ``jobclusters.queues``, else the batch system's", read=Reader.word,
            shared=Shared.ALL, spot=True, option="NAME"),
        Keyword("walltime", "str or timedelta",
            "How long a job may run, such as ``02:00:00``, ``1-12:00:00``, ``2h`` or ``UNLIMITED``.",
            default="00:30:00", shared=Shared.ALL, option="TIME"),
        Keyword("gpu_type", "str", "The type of the GPUs, as the site calls it.", read=Reader.word, option="TYPE"),
        Keyword("worker_is_spot", "bool",
            "Whether jobs may be preempted: they go where ``jobclusters.spot`` says, and are requeued.",
            default="False", read=Reader.no),
        Keyword("job_name", "str", "The name of the jobs, which gets a unique ending.",
            default="dask-worker", read=Reader.text, shared=Shared.GROUPS, option="NAME"),
        Keyword("log_directory", "str", "Where the jobs' output goes; ``~`` and variables expand.",
            read=Reader.text, shared=Shared.GROUPS, option="DIRECTORY"),
        Keyword("shebang", "str", "The first line of the job script.",
            default="#!/usr/bin/env bash", read=_shebang, shared=Shared.ALL),
        Keyword("job_script_prologue", "list of str", "Shell lines before the worker.",
            read=Reader.lines, old_names=("env_extra",), shared=Shared.ALL),
        Keyword("job_script_epilogue", "list of str", "Shell lines after the worker.",
            read=Reader.lines, shared=Shared.GROUPS),
        Keyword("job_extra_directives", "list of str", "More directives, without their beginning.",
            read=Reader.texts, old_names=("job_extra",), shared=Shared.ALL),
        Keyword("job_directives_skip", "list of str",
            "Directives to leave out: ``--mem``, ``-n 1``; without a leading ``-``, those that contain the text.",
            read=Reader.texts, old_names=("header_skip",), shared=Shared.ALL),
    ),
    "The cluster": (
        Keyword("n_workers", "int or list",
            "Workers to ask for at once; a list of two scales with the work, between these.", default="0",
            read=_count_or_range, scope=Scope.CLUSTER),
        Keyword("n_jobs", "int", "Jobs to ask for at once.", default="0", read=_count, scope=Scope.CLUSTER),
        Keyword("configuration", "str", "The name of a saved set of keywords; keywords of the call win over it.",
            scope=Scope.CALL),
        Keyword("name", "str", "The name of the cluster: a call with the name of a cluster that runs connects to it.",
            read=_cluster_name, scope=Scope.DASK),
        Keyword("asynchronous", "bool", "Whether the cluster is used in an event loop, with ``await``.",
            default="False", scope=Scope.DASK, connection=True),
        Keyword("loop", "IOLoop", "The event loop.", scope=Scope.DASK, saved=False, connection=True),
        Keyword("silence_logs", "int or str", "The level below which Dask logs nothing.",
            default="error", scope=Scope.DASK),
        Keyword("job_cls", "type", "A subclass of the class of jobs.", scope=Scope.CLUSTER, saved=False),
        Keyword("security", "bool or Security",
            "Whether connections are encrypted, with credentials for this cluster alone; or whose.", default="True",
            read=_security, scope=Scope.CLUSTER),
        Keyword("shared_temp_directory", "str", "Where a private directory for these credentials is made.",
            default="``jobclusters.directory``", scope=Scope.DASK, setting=True),
        Keyword("interface", "str", "The network of scheduler and workers, such as ``ib0``.",
            default="the fastest network there is", read=_text, scope=Scope.CLUSTER, setting=True, option="NAME"),
        Keyword("protocol", "str", "The protocol of the connections.",
            default="``tls://``", read=_text, scope=Scope.DASK),
        Keyword("ports", "str",
            "The ports for scheduler, workers and nannies, such as ``40000-40100``, where a firewall leaves a range.",
            read=_ports, scope=Scope.CLUSTER, setting=True, option="FIRST-LAST"),
        Keyword("host", "str", "The address at which the scheduler listens.", scope=Scope.DASK),
        Keyword("dashboard_address", "str", "The address of the scheduler's dashboard.",
            default="a free port of this machine alone", scope=Scope.DASK),
        Keyword("scheduler_options", "dict", "Arguments of the Dask scheduler.",
            read=_mapping, scope=Scope.CLUSTER, setting=True),
        Keyword("scheduler_class", "str or type", "The class of the Dask scheduler, or its name to import.",
            default="Scheduler", scope=Scope.CLUSTER, old_names=("scheduler_cls",)),
        Keyword("send_dask_config", "bool", "Whether workers get the settings of the program's ``dask.config.set()``.",
            default="True", read=Reader.yes, scope=Scope.CLUSTER),
        Keyword("config_name", "str", "The section of ``jobqueue`` in the configuration that holds the settings.",
            default="the batch system's name", read=_text, scope=Scope.CLUSTER),
        Keyword("template_dirs", "list of str", "Directories with your own templates.",
            default="``jobclusters.template-dirs``", scope=Scope.CLUSTER),
    ),
    "Where its scheduler runs, and when it ends": (
        Keyword("head", "str", "Where the scheduler runs: in this ``process``, ``detached`` from it, or in a ``job``.",
            default="process, or job with one of ``scheduler_...``", scope=Scope.CLUSTER),
        Keyword("scheduler_size", "str", "The size by name of a job for the scheduler.", scope=Scope.HEAD,
            head_sets="worker_size"),
        Keyword("scheduler_cpu", "int", "Cores of that job, where no size is named.", default="1", scope=Scope.HEAD,
            head_sets="worker_cpu"),
        Keyword("scheduler_memory", "str or int", "Its memory, where no size is named.",
            default="8 GiB", scope=Scope.HEAD, head_sets="worker_memory"),
        Keyword("scheduler_queue", "str", "Its queue.", default="``queue``", scope=Scope.HEAD, head_sets="queue"),
        Keyword("scheduler_walltime", "str", "Its walltime.",
            default="the longest that ``jobclusters.queues`` says of its queue, else ``walltime``", scope=Scope.HEAD,
            head_sets="walltime"),
        Keyword("scheduler_extra_directives", "list of str", "Its directives.",
            default="``job_extra_directives``", scope=Scope.HEAD, head_sets="job_extra_directives"),
        Keyword("shutdown_on_close", "bool", "Whether the cluster ends when this object is closed.",
            default="True, if it was made here", scope=Scope.CLUSTER, connection=True),
        Keyword("idle_timeout", "str, float or None", "After which time without work the cluster closes; None: never.",
            default="20 minutes", read=_timeout, scope=Scope.CLUSTER, never=True),
        Keyword("no_client_timeout", "str, float or None", "After which time without a client the cluster closes.",
            default="never", read=_timeout, scope=Scope.CLUSTER, never=True),
    ),
}
# fmt: on

_TABLE = tuple(keyword for section in SECTIONS.values() for keyword in section)

#: By each of their names.
_BY_NAME = {name: keyword for keyword in _TABLE for name in keyword.names}

_JOB = tuple(keyword for keyword in _TABLE if keyword.scope is Scope.JOB)


def sections(dialect: Dialect) -> dict[str, tuple[Keyword, ...]]:
    """Give the keywords of a cluster on a batch system, by section."""
    return {title: (*rows, *(dialect.keywords if title == BATCH_SYSTEM else ())) for title, rows in SECTIONS.items()}


def systems(keyword: Keyword) -> list[Dialect]:
    """Give the batch systems whose own keyword this is; none if all have it."""
    return [dialect for dialect in DIALECTS.values() if keyword.row in (each.row for each in dialect.keywords)]


def everywhere() -> dict[str, tuple[Keyword, ...]]:
    """Give the keywords of all batch systems, by section; two meanings of a keyword are two rows."""
    own = {each.row: each for dialect in DIALECTS.values() for each in dialect.keywords}
    return {title: (*rows, *(own.values() if title == BATCH_SYSTEM else ())) for title, rows in SECTIONS.items()}


def read_value(read: Reader, name: str, otherwise: object = None) -> Any:
    """Read a keyword that every batch system has; one that has no reader of its own is ``otherwise``."""
    keyword = _BY_NAME[name]
    return otherwise if keyword.read is None else keyword.read(read, name)


# -- selections from the table -------------------------------------------------------------------------------------


def _names(keywords: Iterable[Keyword]) -> frozenset[str]:
    return frozenset(name for keyword in keywords for name in keyword.names)


#: Keywords of a cluster that Dask's and dask-jobqueue's classes read.
DASK_KEYWORDS = _names(keyword for keyword in _TABLE if keyword.scope is Scope.DASK)

#: Keywords that concern the cluster, not its jobs.
CLUSTER_KEYWORDS = _names(keyword for keyword in _TABLE if keyword.scope in (Scope.DASK, Scope.CLUSTER, Scope.HEAD))

#: Those of them that are objects of the program, which a configuration can't hold.
OBJECTS = _names(keyword for keyword in _TABLE if not keyword.saved)

#: Those for which None doesn't mean "not given", but "never".
TIMEOUTS = _names(keyword for keyword in _TABLE if keyword.never)

#: Those that the section of ``jobqueue`` may hold.
CLUSTER_SETTINGS = _names(keyword for keyword in _TABLE if keyword.setting)

#: Keywords of the head's job, each of which asks for one, and the keywords of a job that they set.
HEAD_KEYWORDS = {keyword.name: keyword.head_sets for keyword in _TABLE if keyword.scope is Scope.HEAD}

#: Keywords of the connection to a cluster.
CONNECTION_KEYWORDS = _names(keyword for keyword in _TABLE if keyword.connection)

#: The keywords of each way to give the size of a job.
WAYS = {way: tuple(keyword.name for keyword in _JOB if keyword.way is way) for way in Way}

#: The keywords that name or make a size.
SIZE_KEYWORDS = (*WAYS[Way.NAMED], *WAYS[Way.FITTED])


def job_rows(dialect: Dialect) -> tuple[Keyword, ...]:
    """Give the keywords of a job on a batch system."""
    return (*_JOB, *dialect.keywords)


def job_keywords(dialect: Dialect) -> frozenset[str]:
    """Name all keywords of a job, old names included."""
    return _names(job_rows(dialect))


def renamed(dialect: Dialect) -> dict[str, str]:
    """Map the old names of a job's keywords to today's."""
    return {old: keyword.name for keyword in job_rows(dialect) for old in keyword.old_names}


def shape_keywords(dialect: Dialect) -> frozenset[str]:
    """Name the keywords of a configuration that a size replaces."""
    return frozenset(each.name for each in job_rows(dialect) if each.shape or each.way is Way.PLAIN)


def number_keywords(dialect: Dialect) -> frozenset[str]:
    """Name the keywords that empty text unsets, whichever layer gives them."""
    return frozenset(each.name for each in job_rows(dialect) if each.number)


def shared_keywords(dialect: Dialect, *, head: bool) -> frozenset[str]:
    """Name the keywords of the user and the site, which a cluster's groups, or the job of its head, take over."""
    takers = (Shared.ALL,) if head else (Shared.ALL, Shared.GROUPS)
    return frozenset(each.name for each in job_rows(dialect) if each.shared in takers)


def spot_keywords(dialect: Dialect) -> tuple[str, ...]:
    """Name the keywords that ``jobclusters.spot.<system>`` may hold."""
    return tuple(each.name for each in job_rows(dialect) if each.spot)


def options() -> dict[str, Keyword]:
    """Give the keywords that are options of commands, for all batch systems."""
    return {each.name: each for section in everywhere().values() for each in section if each.option}


# -- names of others -----------------------------------------------------------------------------------------------

#: What to give instead of keywords of LocalCluster, Coiled, Saturn Cloud and dask-jobqueue's commands.
INSTEAD = {
    "autoclose": "shutdown_on_close=",
    "backend_options": "job_extra_directives=[...] for the batch system's own options",
    "compute_purchase_option": "worker_is_spot=True",
    "container": "software={'container': 'image.sif'}",
    "cpus_per_task": "worker_cpu=",
    "environ": "software={'environment': {...}}",
    "environment": "software={'environment': {...}}",
    "max_workers": "n_workers=[2, 10], or cluster.adapt(maximum=10)",
    "mem": "worker_memory=",
    "memory_limit": "worker_memory= for the job, of which its workers get their shares",
    "min_workers": "n_workers=[2, 10], or cluster.adapt(minimum=2)",
    "n_nodes": "n_jobs=",
    "nodes": "n_jobs=",
    "ntasks": "processes=",
    "num_workers": "n_workers=",
    "package_sync": "software=, as the workers run the Python that makes the cluster",
    "partition": "queue=",
    "region": "queue=, which says where jobs run",
    "scheduler_disk_size": "scheduler_size=",
    "scheduler_vm_types": "scheduler_size=, or scheduler_cpu= and scheduler_memory=",
    "spot_policy": "worker_is_spot=True",
    "threads_per_worker": "nthreads=",
    "time": "walltime=",
    "worker_disk_size": "local_directory=, where workers spill to",
    "worker_vm_types": "worker_size=, or worker_cpu= and worker_memory=",
}


def unknown_keyword(name: object, dialect: Dialect | None) -> str:
    """Describe an unknown keyword of a cluster on a batch system; None for all."""
    if instead := INSTEAD.get(str(name)):
        return f"unknown keyword {name!r}: say {instead}"
    rows = sections(dialect) if dialect else everywhere()
    valid = _names(keyword for section in rows.values() for keyword in section)
    others = [other.title for other in DIALECTS.values() if str(name) in _names(other.keywords)]
    if dialect and others:
        return f"unknown keyword {name!r} on {dialect.title}: it is for {', '.join(others)}; leave it out here"
    return unknown("keyword", name, valid, see="jobclusters keywords")


# -- documentation -------------------------------------------------------------------------------------------------


def signature(dialect: Dialect | None) -> inspect.Signature:
    """Give the signature of a cluster class, or of all: keywords under today's names; old names are keywords, too."""
    first = ("n_workers", "job_cls")
    table = everywhere() if dialect is None else sections(dialect)
    rows = dict.fromkeys(each.name for section in table.values() for each in section if each.name not in first)
    kinds = inspect.Parameter
    return inspect.Signature(
        [
            *(kinds(name, kinds.POSITIONAL_OR_KEYWORD, default=None) for name in first),
            *(kinds(name, kinds.KEYWORD_ONLY, default=None) for name in rows),
            kinds("old_names", kinds.VAR_KEYWORD),
        ]
    )


def parameters(dialect: Dialect) -> str:
    """Describe each keyword of a cluster class, as numpydoc has it."""
    lines = ["Parameters", "----------"]
    for section in sections(dialect).values():
        for each in section:
            lines.append(f"{each.name} : {each.type}, {f'default {each.default}' if each.default else 'optional'}")
            old = f" Old name: {', '.join(f'``{name}``' for name in each.old_names)}." if each.old_names else ""
            lines.append(f"    {each.doc}{old}")
    return "\n".join(lines)


def markdown() -> str:
    """Print the tables of docs/keywords.md."""
    lines: list[str] = []
    for title, section in everywhere().items():
        lines += [f"## {title}", "", "| keyword | type | default | means |", "|---|---|---|---|"]
        for each in section:
            old = f" ({', '.join(f'`{name}`' for name in each.old_names)})" if each.old_names else ""
            only = ", ".join(dialect.title for dialect in systems(each))
            means = each.doc.replace("``", "`")
            lines.append(
                f"| `{each.name}`{old} | {each.type} | {each.default.replace('``', '`')} |"
                f" {f'{only}: ' if only else ''}{means} |"
            )
        lines.append("")
    return "\n".join(lines)
