"""The arguments of adapt()."""

from __future__ import annotations

import math

import dask.config
import pytest

from jobclusters.config import settings as config
from jobclusters.config.resolve import resolve
from jobclusters.config.site import Site
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest
from jobclusters.scaling import policy as policies


@pytest.fixture(autouse=True)
def settings():
    config.load()


def read_policy(spec, asked):
    return policies.read_policy(spec, asked, config.adaptive())


def spec(**keywords):
    keywords = {"cores": 6, "memory": "12 GB", "processes": 3, **keywords}
    return resolve(DIALECTS["slurm"], keywords, Site(job={}, sizes={}, python="python"), "C-0", "tcp://x:1")


@pytest.mark.parametrize(
    ("limits", "minimum", "maximum"),
    [
        ({}, 0, 100),
        ({"minimum": 4, "maximum": 10}, 2, 3),
        ({"minimum": 3, "maximum": 9}, 1, 3),
        ({"minimum_jobs": 2, "maximum_jobs": 7}, 2, 7),
        ({"minimum_cores": 7, "maximum_cores": 17}, 2, 2),
        ({"minimum_memory": "13 GB", "maximum_memory": "47 GB"}, 2, 3),
        ({"maximum_jobs": 7, "maximum_cores": 12}, 7, 2),
        ({"minimum_jobs": 1, "minimum": 9}, 3, 100),
        ({"minimum_jobs": 200}, 200, 200),
        ({"maximum": math.inf}, 0, 100),
        ({"maximum": 0}, 0, 0),
        ({"minimum": None, "maximum": "6"}, 0, 2),
    ],
)
def test_limits_are_exact_in_every_unit(limits, minimum, maximum):
    if "minimum_jobs" not in limits and limits.get("maximum_jobs") == 7:
        minimum = 0
    policy = read_policy(spec(), limits)
    assert (policy.minimum, policy.maximum) == (minimum, maximum)


def test_what_a_job_is():
    policy = read_policy(
        spec(), {"target_duration": "30s", "patience": "1 hour", "max_pending": 2, "max_core_hours": 9}
    )
    assert (policy.threads, policy.cores, policy.memory) == (6, 6, 3 * spec().memory_limit)
    assert (policy.target_duration, policy.patience, policy.idle) == (30.0, 3600.0, 2.0)
    assert (policy.max_pending, policy.max_core_hours) == (2, 9.0)


def test_the_configuration_says_the_rest():
    with dask.config.set(
        {"jobclusters.adaptive": {"maximum-jobs": 5, "max-pending": 3, "idle": "1 minute", "prefer": "core-hours"}}
    ):
        config.load()
        policy = read_policy(spec(), {})
        assert read_policy(spec(), {"prefer": "time"}).prefer == "time"
    assert policy.prefer == "core-hours"
    assert (policy.maximum, policy.max_pending, policy.idle, policy.patience) == (5, 3, 60.0, 120.0)


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"minimum_jobs": 3, "maximum_jobs": 2}, "minimum_jobs=3, maximum_jobs=2: the minimum, 3 jobs, is above the"),
        ({"minimum": 4, "maximum_jobs": 1}, "a job has 3 workers, 6 cores and 12 GB"),
        ({"maximum": 2}, "maximum=2 is less than one job: a job has 3 workers"),
        ({"maximum_cores": 5}, "maximum_cores=5 is less than one job"),
        ({"minimum": -1}, "minimum must be at least 0, not -1"),
        ({"maximum_jobs": "many"}, "maximum_jobs must be a whole number, not 'many'"),
        ({"maximum_memory": "much"}, "memory 'much' can't be read"),
        ({"maximum_job": 3}, "unknown argument of adapt() 'maximum_job': did you mean 'maximum_jobs'?"),
        ({"max_pending": 0}, "max_pending must be at least 1, not 0"),
        ({"max_core_hours": -3}, "max_core_hours must be a number above 0, not -3"),
        ({"max_core_hours": "few"}, "max_core_hours must be a number above 0, not 'few'"),
        ({"prefer": "money"}, "prefer must be 'time' or 'core-hours', not 'money'"),
        ({"patience": "long"}, "patience must be a time such as '2 minutes' or a number of seconds, not 'long'"),
        ({"idle": -1}, "idle must be a time"),
        ({"target_duration": 0}, "target_duration must be a time such as"),
        ({"interval": "often"}, "interval must be a time such as '2 minutes' or a number of seconds, not 'often'"),
        ({"interval": 0}, "interval must be a time such as"),
    ],
)
def test_bad_limits(limits, problem):
    with pytest.raises(InvalidRequest) as caught:
        read_policy(spec(), limits)
    assert problem in str(caught.value)


def test_what_only_dasks_own_scaler_heeds_is_taken():
    policy = read_policy(spec(), {"maximum": 8, "wait_count": 3, "worker_key": str})
    assert policy == read_policy(spec(), {"maximum": 8})


def test_all_that_is_wrong_is_reported_at_once():
    with pytest.raises(InvalidRequest) as caught:
        read_policy(spec(), {"minimum": -1, "maxmum": 2, "patience": "x"})
    assert len(caught.value.problems) == 3
