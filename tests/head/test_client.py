"""Calls of a head in another process."""

from __future__ import annotations

import asyncio
import pickle
import sys
from types import ModuleType

import pytest

from jobclusters import QueueError, __version__
from jobclusters.head.client import HeadClient
from jobclusters.registry.names import directory
from jobclusters.registry.record import ClusterRecord


class Comm:
    """A connection whose other end gives one answer."""

    def __init__(self, **answer):
        self.answer = answer

    async def jobclusters(self, **call):
        self.call = call
        return self.answer


@pytest.fixture
def head():
    async def connect():
        record = ClusterRecord(
            name="a", run="run0", system="local", head="job", version="0.0.1", scheduler="tcp://127.0.0.1:9"
        )
        return HeadClient(directory("a"), record)

    return asyncio.run(connect())


@pytest.mark.parametrize("kind", ["result", "error"])
def test_an_answer_of_another_version_names_both(head, kind):
    sys.modules["gone"] = module = ModuleType("gone")
    module.View = type("View", (Exception,), {"__module__": "gone"})
    head.comm = Comm(**{kind: pickle.dumps(module.View())})
    del sys.modules["gone"]
    with pytest.raises(QueueError) as raised:
        asyncio.run(head.call("view"))
    assert "an answer of cluster a can't be read: No module named 'gone'" in str(raised.value)
    assert f"Its head runs jobclusters 0.0.1, and this is {__version__}" in str(raised.value)
    assert "jobclusters close a" in str(raised.value)


def test_a_call_says_of_which_version_it_is(head):
    head.comm = Comm(result=pickle.dumps("#!/bin/sh"))
    assert asyncio.run(head.call("job_script")) == "#!/bin/sh"
    assert head.comm.call["version"] == __version__


def test_arguments_may_have_any_name(head):
    head.comm = Comm(result=pickle.dumps(None))
    asyncio.run(head.call("add_group", name="b", verb="c"))
    assert pickle.loads(head.comm.call["keywords"]) == {"name": "b", "verb": "c"}
