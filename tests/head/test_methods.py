"""The methods of a cluster that other processes may call."""

from __future__ import annotations

import inspect

import pytest

from jobclusters.cluster.connected import ConnectedCluster
from jobclusters.cluster.job_cluster import JobCluster
from jobclusters.head.methods import METHODS, Kind

CALLED = [method.name for method in METHODS.values() if method.kind in (Kind.METHOD, Kind.THREAD)]


def named(method):
    """Give the keywords that a method names, with their defaults."""
    parameters = inspect.signature(method).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize("name", CALLED)
def test_a_connection_takes_the_keywords_that_its_head_takes(name):
    here, connected = inspect.signature(getattr(JobCluster, name)), named(getattr(ConnectedCluster, name))
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in here.parameters.values()):
        assert connected.items() <= named(getattr(JobCluster, name)).items()
    else:
        assert connected == named(getattr(JobCluster, name))


@pytest.mark.parametrize("name", [method.name for method in METHODS.values() if method.kind is Kind.PROPERTY])
def test_properties_are_at_both_ends(name):
    for cls in (JobCluster, ConnectedCluster):
        assert isinstance(getattr(cls, name), property)
