"""What a call of a cluster class makes, and how it is read."""

from __future__ import annotations

import pytest

from jobclusters import InvalidRequest, LocalQueueCluster
from jobclusters.cluster import factory
from jobclusters.registry import names
from jobclusters.testing import ScriptedCluster, ScriptedQueue

SMALL = {"cores": 1, "memory": "256 MB"}


@pytest.fixture
def readings(monkeypatch):
    """Collect the keywords of each call that is read."""
    found = []

    def reading(dialect, given, *more):
        found.append({key: value for key, value in given.items() if value is not None})
        return read(dialect, given, *more)

    read = factory.read_call
    monkeypatch.setattr(factory, "read_call", reading)
    return found


def test_a_call_is_read_once(readings):
    with LocalQueueCluster(name="a", n_workers=0, **SMALL):
        assert readings == [{"name": "a", "n_workers": 0, **SMALL}]


def test_a_call_of_a_class_with_an_init_of_its_own_is_read_once(readings):
    with ScriptedCluster(ScriptedQueue(), name="a", **SMALL):
        assert readings == [{"name": "a", **SMALL}]


@pytest.mark.parametrize("head", ["process", "detached"])
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n_workers": [3, 1]}, "the minimum, 3 jobs, is above the maximum, 1"),
        ({"job_cls": dict}, "job_cls=dict must be a subclass"),
        ({"cores": 100_000}, "larger than this machine"),
    ],
)
def test_what_is_wrong_with_a_call_is_known_before_its_name_is_taken(head, keywords, message):
    with pytest.raises(InvalidRequest, match=message):
        LocalQueueCluster(name="a", head=head, **{**SMALL, **keywords})
    assert names.names() == []


def test_head_takes_what_is_documented():
    with pytest.raises(InvalidRequest, match=r"unknown head <object .* Valid: detached, job, process"):
        LocalQueueCluster(head=object(), **SMALL)
