"""Who wins: a keyword over a configuration over the size's details over the site's settings."""

from __future__ import annotations

import pytest

from jobclusters.config.layers import KEYWORD, gather
from jobclusters.config.resolve import resolve_layers
from jobclusters.config.site import Site
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, Problems
from jobclusters.spec.sizes import Size

GB = 10**9
SIZES = {
    "large": Size("large", "Large", 2, 16 * GB),
    "xlarge": Size("xlarge", "XLarge", 4, 32 * GB),
    "a100": Size("a100", "A100", 16, 120 * GB, 1, details={"queue": "gpu"}),
}
CORES = {"cores": 24, "memory": "128GB", "processes": 6, "job_cpu": 12}
NIGHT = "configuration"


def ask(keywords, saved, system="slurm", **site):
    """Resolve a job from keywords, a configuration and the site's settings."""
    settings = Site(job=site, sizes=SIZES, python="/opt/python", section=f"jobqueue.{system}")
    return resolve_layers(DIALECTS[system], [(KEYWORD, keywords), (NIGHT, saved)], settings, "C-0", "tcp://x:1")[0]


def shape(*layers, **site):
    spec = ask(*layers, **site)
    return spec.cores, spec.memory // GB, spec.gpus, spec.processes, spec.options["job_cpu"]


@pytest.mark.parametrize(
    ("keywords", "saved", "expected"),
    [
        # One who says in another way how large a job is means that alone.
        ({}, CORES, (24, 128, 0, 6, 12)),
        ({"worker_size": "large"}, CORES, (2, 16, 0, 1, None)),
        ({"worker_cpu": 3}, CORES, (3, 17, 0, 1, None)),
        ({"worker_cpu": 3}, {"worker_size": "large"}, (3, 17, 0, 1, None)),
        ({"cores": 8, "memory": "9GB"}, {"worker_size": "large", "processes": 2}, (8, 9, 0, 4, None)),
        ({"worker_size": "large", "processes": 2}, CORES, (2, 16, 0, 2, None)),
        # In the same way, a part of it may be changed.
        ({"worker_size": "xlarge"}, {"worker_size": "large", "processes": 2}, (4, 32, 0, 2, None)),
        ({"cores": 8}, CORES, (8, 128, 0, 6, 12)),
        ({"gpus": 2}, {"cores": 8, "memory": "9GB"}, (8, 9, 2, 2, None)),
        ({"worker_gpu": 1}, {"worker_cpu": 3}, (3, 17, 1, 1, None)),
        ({"worker_size": "large"}, {"processes": 2}, (2, 16, 0, 2, None)),
        # "" takes away.
        ({"worker_size": "", "worker_cpu": 3}, {"worker_size": "large"}, (3, 17, 0, 1, None)),
        ({"worker_size": ""}, {"worker_size": "large"}, (40, 400, 0, 8, None)),
        ({"processes": "", "job_cpu": ""}, CORES, (24, 128, 0, 6, None)),
        ({"memory": ""}, {"worker_size": "large"}, (2, 16, 0, 1, None)),
    ],
)
def test_how_large_a_job_is(keywords, saved, expected):
    assert shape(keywords, saved, cores=40, memory="400GB") == expected


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, (2, 16, 0, 1, None)),
        ({"cores": 4, "memory": "9GB"}, (4, 9, 0, 4, None)),
        ({"worker_cpu": 3}, (3, 17, 0, 1, None)),
        ({"worker_size": "xlarge"}, (4, 32, 0, 1, None)),
    ],
)
def test_a_sites_usual_size_gives_way(keywords, expected):
    assert shape(keywords, {}, worker_size="large") == expected


def test_a_sites_usual_size_is_no_excuse_for_half_a_size():
    with pytest.raises(InvalidRequest, match="a job's size is incomplete: give memory=, too"):
        ask({"cores": 4}, {}, worker_size="large")


def test_a_sites_usual_size_can_be_left_out():
    assert shape({"worker_size": ""}, {}, worker_size="large") == (4, 17, 0, 1, None)


@pytest.mark.parametrize(
    ("keywords", "saved", "site", "queue"),
    [
        ({}, {}, "site", "site"),
        ({}, {"queue": "night"}, "site", "night"),
        ({"queue": "mine"}, {"queue": "night"}, "site", "mine"),
        ({"queue": ""}, {"queue": "night"}, "site", None),
        ({"queue": None}, {"queue": "night"}, "site", "night"),
        ({}, {"queue": ""}, "site", None),
        ({}, {"queue": None}, "site", "site"),
        ({"worker_size": "a100"}, {}, "site", "gpu"),
        ({"worker_size": "a100"}, {"queue": "night"}, "site", "night"),
        ({}, {"worker_size": "a100"}, "site", "gpu"),
    ],
)
def test_queue(keywords, saved, site, queue):
    assert (
        ask({"worker_size": "large", **keywords} if not saved.get("worker_size") else keywords, saved, queue=site).queue
        == queue
    )


@pytest.mark.parametrize(("old", "new"), [("project", "account"), ("job_extra", "job_extra_directives")])
@pytest.mark.parametrize("swap", [False, True])
def test_old_and_new_names_are_one_keyword(old, new, swap):
    stronger, weaker = (new, old) if swap else (old, new)
    value = {"account": "mine", "project": "mine"}.get(stronger, ["--mine"])
    other = {"account": "theirs", "project": "theirs"}.get(weaker, ["--theirs"])
    spec = ask({"worker_size": "large", stronger: value}, {weaker: other})
    assert "mine" in str((spec.options["account"], spec.directives))
    assert "theirs" not in str((spec.options["account"], spec.directives))


def test_the_source_of_each_value():
    site = Site(
        job={"queue": "site", "project": "site", "nthreads": 1}, sizes=SIZES, python="p", section="jobqueue.slurm"
    )
    given = [
        (KEYWORD, {"worker_size": "a100", "qos": "low"}),
        (NIGHT, {"qos": "high", "walltime": "1h", "python": "p"}),
    ]
    asked = gather(DIALECTS["slurm"], given, site, Problems(), {})
    assert asked.sources == {
        "worker_size": "keyword",
        "qos": "keyword",
        "walltime": NIGHT,
        "python": NIGHT,
        "queue": "size 'a100'",
        "account": "jobqueue.slurm",
        "nthreads": "jobqueue.slurm",
    }
    assert [asked.rank(key) for key in ("qos", "python", "account", "nobody")] == [0, 1, 2, 2]
