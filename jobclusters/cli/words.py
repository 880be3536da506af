"""Puts errors into the words of the command line: options where Python has keywords."""

from __future__ import annotations

import re

from jobclusters.config.keywords import everywhere, options

#: Keywords with an option or argument of some command, which is no option of a job.
_OWN = {"head": "--head", "configuration": "--configuration", "name": "NAME"}

#: What a call of Python's would do, and what does the same here.
_SAYINGS = (
    (r"LocalQueueCluster\(\) runs", "--system local runs"),
    (r"save_configuration\(\) makes one", "jobclusters.save_configuration() in Python makes one"),
)


def in_options(problem: str) -> str:
    """Name options in a problem in place of Python's keywords.

    >>> in_options("give worker_size='large', or worker_cpu= and worker_memory=, or set qos='high'")
    'give --worker-size large, or --worker-cpu and --worker-memory, or set --set qos=high'
    >>> in_options("dask.config.set({'jobclusters.local.oversubscribe': True}) allows it")
    'DASK_JOBCLUSTERS__LOCAL__OVERSUBSCRIBE=True in the environment allows it'
    """
    if problem.startswith(("jobclusters.", "jobqueue.", "configuration ")):  # it speaks of a file
        return problem
    names = {name for section in everywhere().values() for keyword in section for name in keyword.names}
    alternatives = "|".join(sorted(names, key=len, reverse=True))
    problem = re.sub(
        rf"(?<![\w.'\"({{/-])({alternatives})=('[^']*'|\"[^\"]*\"|[\w.]*)",
        lambda match: _option(match[1], match[2].strip("'\"")),
        problem,
    )
    bare = "|".join(sorted((name for name in names if "_" in name), key=len, reverse=True))
    problem = re.sub(
        rf"(?<![\w.'\"({{/-])({bare})\b(?![=(])|^(cores|memory|processes|nthreads)(?= must )",
        lambda match: _option(match[0], ""),
        problem,
    )
    problem = re.sub(
        r"dask\.config\.set\(\{'([\w.-]+)': (\w+)\}\)",
        lambda match: f"DASK_{match[1].upper().replace('.', '__').replace('-', '_')}={match[2]} in the environment",
        problem,
    )
    for pattern, words in _SAYINGS:
        problem = re.sub(pattern, words, problem)
    return problem


def _option(name: str, value: str) -> str:
    dashed = name.replace("_", "-")
    if name in options():
        text = f"--{dashed}"
    elif name in _OWN:
        text = _OWN[name]
    else:
        return f"--set {dashed}={value}" if value else f"--set {dashed}"
    if not value:
        return text
    return f"{text} {value!r}" if re.search(r"[^\w./:-]", value) else f"{text} {value}"
