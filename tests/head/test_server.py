"""What a cluster answers other processes."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import replace
from types import SimpleNamespace

import cloudpickle
import pytest
from distributed.core import Status

from jobclusters import __version__
from jobclusters.errors import InvalidRequest, JobsFailed, Refused
from jobclusters.head.methods import METHODS
from jobclusters.head.server import Service
from jobclusters.registry.record import ClusterRecord

RECORD = ClusterRecord(name="a", run="run0", system="slurm", head="job")


class Awkward(Exception):
    """Can be pickled, but not read again."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Fake(SimpleNamespace):
    """A cluster that notes what it is asked."""

    def __init__(self, **values):
        self.asked = []
        super().__init__(status=Status.running, history=[], **values)

    def scale(self, **keywords):
        self.asked.append(("scale", keywords))
        return "nothing that could be pickled", lambda: None

    def job_script(self):
        return "#!/bin/sh"

    def add_group(self, name, error=None):
        if error is not None:
            raise error
        return name

    async def scale_down(self, workers):
        await asyncio.sleep(0)
        return sorted(workers)

    async def finish(self, why):
        self.asked.append(("finish", why))


def ask(cluster, verb, keywords=None, times=1):
    async def main():
        service = Service(cluster, RECORD)
        data = b"" if keywords is None else cloudpickle.dumps(keywords)
        for _ in range(times):
            answer = await service.answer(verb=verb, keywords=data, reply=True)
        await asyncio.sleep(0)
        return answer

    return asyncio.run(main())


def result(*args, **keywords):
    return pickle.loads(ask(*args, **keywords)["result"])


def error(*args):
    return pickle.loads(ask(*args)["error"])


def test_it_says_which_cluster_it_is():
    assert ask(Fake(), "hello") == {"run": "run0", "version": __version__}


def test_methods_are_called_with_their_keywords():
    cluster = Fake()
    assert result(cluster, "scale", {"n": None, "jobs": 2}) is None
    assert cluster.asked == [("scale", {"n": None, "jobs": 2})]
    assert result(cluster, "job_script") == "#!/bin/sh"
    assert result(cluster, "scale_down", {"workers": {"b", "a"}}) == ["a", "b"]


@pytest.mark.parametrize("verb", ["sync", "__init__", "_close", "pool", "", "scheduler", "answer", "portable"])
def test_nothing_else_can_be_called(verb):
    assert verb not in METHODS
    problem = error(Fake(), verb)
    assert type(problem) is InvalidRequest
    assert f"runs jobclusters {__version__}, which has no method {verb!r}" in str(problem)


@pytest.mark.parametrize(("version", "caller"), [("9.9.9", "jobclusters 9.9.9"), (None, "another version")])
def test_a_method_that_only_the_caller_knows_names_both_versions(version, caller):
    more = {} if version is None else {"version": version}
    answer = asyncio.run(Service(Fake(), RECORD).answer(verb="teleport", **more))
    problem = pickle.loads(answer["error"])
    assert type(problem) is InvalidRequest
    assert str(problem) == (
        f"the cluster's head runs jobclusters {__version__}, which has no method 'teleport', and its caller {caller}:"
        " give both the same version"
    )


@pytest.mark.parametrize(
    "raised",
    [
        InvalidRequest("a"),
        InvalidRequest(["a", "b"]),
        Refused("no"),
        JobsFailed("| log"),
        KeyError("x"),
        OSError(5, "io"),
    ],
)
def test_errors_keep_their_class_and_text(raised):
    problem = error(Fake(), "add_group", {"name": "b", "error": raised})
    assert (type(problem), str(problem), problem.args) == (type(raised), str(raised), raised.args)


def test_errors_that_cannot_be_carried_keep_their_text():
    problem = error(Fake(), "add_group", {"name": "b", "error": None, "more": 1})
    assert type(problem) is TypeError

    class Cluster(Fake):
        def add_group(self, name):
            raise Awkward("this", "that")

    problem = error(Cluster(), "add_group", {"name": "b"})
    assert (type(problem), str(problem)) == (RuntimeError, "Awkward: this and that")


def test_results_that_cannot_be_carried_are_an_error():
    class Cluster(Fake):
        def job_script(self):
            return (number for number in ())

    assert "pickle" in str(error(Cluster(), "job_script"))


def test_keywords_that_cannot_be_read_are_an_error():
    async def main():
        return await Service(Fake(), RECORD).answer(verb="scale", keywords=b"nonsense")

    assert isinstance(pickle.loads(asyncio.run(main())["error"]), pickle.UnpicklingError)


def test_it_is_closed_once_and_answers_before():
    cluster = Fake()
    assert result(cluster, "close", {"why": "enough"}) is True
    assert cluster.asked == [("finish", "enough")]
    cluster.status = Status.closing
    assert result(cluster, "close", {"why": "again"}) is True
    assert cluster.asked == [("finish", "enough")]


@pytest.mark.parametrize(
    ("head", "trouble", "jobs", "hint"),
    [
        ("job", Refused("denied"), {}, True),
        ("job", Refused("denied"), {"12": "RUNNING"}, False),
        ("job", JobsFailed("exit code 1"), {}, False),
        ("detached", Refused("denied"), {}, False),
    ],
)
def test_a_node_that_may_not_submit_is_reported_with_what_to_do(head, trouble, jobs, hint):
    seen = {key: {} for key in ("groups", "usage", "plan", "requested", "observed")}
    words = dict.fromkeys(("summary", "notice", "ends"))
    cluster = Fake(**seen, **words, trouble=trouble, jobs=jobs, scheduler=SimpleNamespace(identity=dict))
    answer = asyncio.run(Service(cluster, replace(RECORD, head=head)).answer(verb="view"))
    problem = pickle.loads(answer["result"]).trouble
    assert type(problem) is type(trouble)
    assert str(problem).startswith(str(trouble))
    assert ("head='detached' runs it where you are" in str(problem)) == hint
