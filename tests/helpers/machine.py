"""This machine as the tests see it: one without a batch system, also where they run on a login node."""

from __future__ import annotations

import os
import tempfile
from functools import cache

from jobclusters.dialects import DIALECTS
from jobclusters.discovery import SURVEYS
from jobclusters.state import JobState, JobStatus


def _commands():
    """Name the commands of all batch systems, as dialects and surveys call them."""
    argvs = [argv for survey in SURVEYS.values() for argv in survey.questions.values()]
    for dialect in (each for each in DIALECTS.values() if each.probe):
        argvs += [(dialect.probe,), dialect.version_argv, dialect.queues_argv, dialect.identity_argv]
        argvs += [dialect.submit_argv(1), dialect.query_argv(["1"]), dialect.find_argv("name", "user")]
        argvs += [dialect.accounts_argv("user"), dialect.detail_argv("1") or ()]
        argvs += dialect.cancel_argvs(["1"], {"1": JobStatus(JobState.PENDING)})
    return {name for argv in argvs for name in argv[:1]}


@cache
def path_without_batch_systems(path, place):
    """Give a PATH with all that this one has but the commands of batch systems; links to the others go to a directory."""
    hidden, kept = _commands(), []
    for each in filter(None, path.split(os.pathsep)):
        if any(os.path.exists(os.path.join(each, name)) for name in hidden):
            links = tempfile.mkdtemp(prefix="path-", dir=place)
            for name in set(os.listdir(each)) - hidden:
                os.symlink(os.path.join(os.path.abspath(each), name), os.path.join(links, name))
            kept.append(links)
        else:
            kept.append(each)
    return os.pathsep.join(kept)
