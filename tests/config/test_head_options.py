"""Where a head runs, and what its job asks for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import dask.config
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobclusters.config.call import read_call
from jobclusters.config.head_options import Head, head_kind, head_spec
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest
from jobclusters.spec.software import NO_SOFTWARE
from tests.helpers.golden import HEADS, head_script, site

SCRIPTS = Path(__file__).parents[1] / "scripts"
SMALL = {"cores": 1, "memory": "1 GiB"}


def call(system="slurm", **keywords):
    return read_call(DIALECTS[system], {**SMALL, **keywords})


def spec(system="slurm", **keywords):
    return head_spec(call(system, **keywords), site(DIALECTS[system]), "production")


@pytest.mark.parametrize("case", HEADS)
def test_script(case, request):
    file = SCRIPTS / f"{case}.sh"
    text = head_script(case)
    if request.config.getoption("--rewrite-scripts"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize(
    ("keywords", "kind"),
    [
        ({}, "process"),
        ({"head": "process"}, "process"),
        ({"head": "detached"}, "detached"),
        ({"head": "job"}, "job"),
        ({"scheduler_size": "medium"}, "job"),
        ({"scheduler_cpu": 2}, "job"),
        ({"scheduler_memory": "2 GB"}, "job"),
        ({"scheduler_queue": "long"}, "job"),
        ({"scheduler_walltime": "7-0"}, "job"),
        ({"scheduler_extra_directives": ["--comment=x"]}, "job"),
        ({"head": "job", "shutdown_on_close": False}, "job"),
        ({"head": "detached", "shutdown_on_close": False}, "detached"),
    ],
)
def test_where_it_runs(keywords, kind):
    assert head_kind(call(**keywords)) == kind


@pytest.mark.parametrize(
    ("system", "keywords", "message"),
    [
        ("slurm", {"head": "jobs"}, "unknown head 'jobs': did you mean 'job'?"),
        ("slurm", {"head": 3}, "unknown head 3: Valid: detached, job, process"),
        (
            "slurm",
            {"head": "process", "scheduler_size": "medium"},
            "head='process' has no job, but scheduler_size asks",
        ),
        ("slurm", {"shutdown_on_close": False}, "with head='job' or head='detached' the cluster goes on"),
        ("local", {"head": "job"}, "say head='detached'"),
    ],
)
def test_where_it_cannot_run(system, keywords, message):
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        head_kind(call(system, **keywords))


def test_it_has_one_core_and_8_gib_unless_something_is_said():
    assert (spec().cores, spec().memory) == (1, 8 * 2**30)
    assert (spec(scheduler_cpu=4).cores, spec(scheduler_cpu=4).memory) == (4, 8 * 2**30)
    assert (spec(scheduler_memory="2 GiB").cores, spec(scheduler_memory="2 GiB").memory) == (1, 2 * 2**30)
    assert (spec(scheduler_size="large").cores, spec(scheduler_size="large").memory) == (2, 16 * 10**9)
    assert spec(worker_cpu=16, worker_memory="99 GiB", cores=None, memory=None).cores == 1


def test_it_shares_with_the_workers_where_it_goes():
    shared = spec(account="physics", qos="low", queue="normal", walltime="03:00:00", job_extra_directives=["--nice"])
    assert (shared.options["account"], shared.options["qos"], shared.queue) == ("physics", "low", "normal")
    assert shared.walltime.total_seconds() == 3 * 3600
    assert "--nice" in shared.directives


def test_it_goes_to_another_place_instead():
    own = spec(
        queue="normal", scheduler_queue="services", walltime="01:00:00", scheduler_walltime="7-0",
        job_extra_directives=["--gpu-bind=none"], scheduler_extra_directives=["--comment=head"],
    )  # fmt: skip
    assert (own.queue, own.walltime.days) == ("services", 7)
    assert own.directives == ("--comment=head",)


def test_it_is_never_spot_and_has_no_gpu():
    spot = {"jobclusters.spot.slurm": {"queue": "preemptable", "qos": "scavenge"}}
    with dask.config.set(spot):
        own = spec(worker_size="p38xlarge", worker_is_spot=True, cores=None, memory=None)
    assert (own.queue, own.options["qos"], own.requeue, own.gpus) == (None, None, False, 0)


def test_a_size_with_gpus_is_refused():
    with pytest.raises(InvalidRequest, match="scheduler_size='p32xlarge' has GPUs, which a scheduler doesn't use"):
        spec(scheduler_size="p32xlarge")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"scheduler_size": "mediun"}, "unknown size 'mediun': did you mean 'medium'?"),
        ({"scheduler_memory": "much"}, "'much'"),
        ({"scheduler_cpu": 0}, "0"),
        ({"scheduler_size": "medium", "scheduler_cpu": 2}, "scheduler_size"),
        ({"scheduler_walltime": "long"}, "'long'"),
    ],
)
def test_what_is_wrong_with_a_head_is_reported_in_its_own_words(keywords, message):
    with pytest.raises(InvalidRequest) as raised:
        spec(**keywords)
    assert message in str(raised.value)
    assert "worker_" not in str(raised.value), "these are not the keywords of the call"


def test_it_outlasts_its_workers_where_the_queue_says_how():
    queues = {"jobclusters.queues.slurm.normal": {"walltime": "2-00:00:00"}}
    with dask.config.set(queues):
        assert spec(queue="normal", walltime="01:00:00").walltime.days == 2
        assert spec(queue="normal", scheduler_walltime="02:00:00").walltime.seconds == 7200


def test_until_when_it_runs():
    assert Head("detached").walltime is None
    assert Head("job", spec(walltime="unlimited")).walltime is None
    assert Head("job", spec(walltime="01:00:00")).walltime.seconds == 3600


def test_a_container_of_the_workers_is_not_the_heads():
    assert spec(software={"container": "/images/rapids.sif"}).software == NO_SOFTWARE
    assert spec(software={"modules": ["gcc"]}).software.modules == ("gcc",)


HOSTILE = ["/my files/a", "/a'b", "/a$(reboot)", "/a;reboot", '/a"b', "/a`reboot`", "/é", "/a&b", "/a*", "/~root"]


@pytest.mark.parametrize("directory", HOSTILE)
@pytest.mark.parametrize("system", ["slurm", "pbs", "lsf", "sge"])
def test_a_directory_is_one_word_whatever_it_is_called(system, directory):
    text = head_script(f"{system}-head", directory=directory)
    (start,) = [line for line in text.splitlines() if "jobclusters.head /" in line or "jobclusters.head '" in line]
    (after,) = [line for line in text.splitlines() if "--sweep" in line]
    assert shlex.split(start)[3:8] == ["-m", "jobclusters.head", directory, "run0", "digest0"]
    assert shlex.split(after)[3:] == ["-m", "jobclusters.head", "--sweep", directory, "run0"]


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20))
def test_any_directory_is_one_word(name):
    directory = str(Path("/", name))
    text = head_script("slurm-head", directory=directory)
    (after,) = [line for line in text.splitlines() if "--sweep" in line]
    assert shlex.split(after)[6] == directory
