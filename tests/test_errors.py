from __future__ import annotations

import pytest

import jobclusters
from jobclusters import errors
from jobclusters.errors import InvalidRequest, Problems, unknown


@pytest.mark.parametrize(
    ("error", "caught_as"),
    [
        ("InvalidRequest", ("ValueError", "JobClustersError")),
        ("TemplateError", ("JobClustersError",)),
        ("NoBatchSystem", ("QueueError", "RuntimeError", "JobClustersError")),
        ("Refused", ("QueueError", "RuntimeError", "JobClustersError")),
        ("SubmitLimit", ("Refused", "QueueError")),
        ("Unavailable", ("QueueError", "RuntimeError", "JobClustersError")),
        ("JobsFailed", ("QueueError", "RuntimeError", "JobClustersError")),
    ],
)
def test_what_catches_what(error, caught_as):
    names = {base.__name__ for base in getattr(errors, error).__mro__}
    assert names.issuperset(caught_as)


@pytest.mark.parametrize(("one", "other"), [("Refused", "Unavailable"), ("Unavailable", "Refused")])
def test_a_refusal_is_no_outage(one, other):
    assert not issubclass(getattr(errors, one), getattr(errors, other))


def test_every_public_name_can_be_had():
    assert [name for name in jobclusters.__all__ if getattr(jobclusters, name).__name__ != name] == []
    assert set(jobclusters.__all__) <= set(dir(jobclusters))
    with pytest.raises(AttributeError, match="SLURMCluste'"):
        _ = jobclusters.SLURMCluste


@pytest.mark.parametrize("name", ["SLURMRunner"])
def test_what_only_dask_jobqueue_has_is_reported_where_it_is_imported(name):
    with pytest.raises(ImportError, match=f"no {name}: there are Cluster, .*, TORQUECluster. dask_jobqueue"):
        getattr(jobclusters, name)
    assert name not in dir(jobclusters)


def test_one_problem_is_a_sentence_and_many_are_a_list():
    assert str(InvalidRequest("no")) == "no"
    assert str(InvalidRequest(["no"])) == "no"
    error = InvalidRequest(["no", "never"])
    assert str(error) == "2 problems:\n- no\n- never"
    assert error.problems == ("no", "never")


def test_problems_are_reported_once_each_and_in_order():
    problems = Problems(["first"])
    assert problems.attempt(lambda: int("x"), 7) == 7
    assert problems.attempt(lambda: InvalidRequest("third").problems[0], "") == "third"

    def several():
        raise InvalidRequest(["first", "third"])

    assert problems.attempt(several, None) is None
    with pytest.raises(InvalidRequest) as caught:
        problems.raise_any()
    assert caught.value.problems == ("first", "invalid literal for int() with base 10: 'x'", "third")


def test_no_problem_is_no_error():
    Problems().raise_any()


@pytest.mark.parametrize(
    ("name", "valid", "text"),
    [
        ("2xlrge", ["large", "2xlarge"], "unknown size '2xlrge': did you mean '2xlarge'? Valid: 2xlarge, large"),
        ("qqq", ["large"], "unknown size 'qqq': Valid: large"),
        (3, [], "unknown size 3: Valid: none"),
        ("\n", ["a"], "unknown size '\\n': Valid: a"),
        ("2XLARGE", ["2xlarge"], "unknown size '2XLARGE': did you mean '2xlarge'? Valid: 2xlarge"),
    ],
)
def test_unknown_names_the_nearest(name, valid, text):
    assert unknown("size", name, valid) == text


MANY = [f"size{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("name", "see", "text"),
    [
        ("siez3", "", "unknown size 'siez3': did you mean 'size3'? Similar: size13, size9, size8; there are 20"),
        ("qqq", "jobclusters sizes", "unknown size 'qqq': jobclusters sizes lists all 20"),
    ],
)
def test_of_many_names_the_near_ones_are_listed(name, see, text):
    assert unknown("size", name, MANY, see=see) == text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SaturnCluster", r"Cluster\(\) takes Saturn Cloud's keywords"),
        ("SlurmCluster", "say SLURMCluster"),
        ("LocalCluster", "LocalQueueCluster"),
    ],
)
def test_classes_of_others_say_what_to_take(name, told):
    with pytest.raises(ImportError, match=told):
        getattr(jobclusters, name)


def test_dir_lists_what_is_public():
    assert not [name for name in dir(jobclusters) if not name.startswith("__") and name not in jobclusters.__all__]
