"""What a call becomes: keywords over the size's details over the configuration."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

import pytest

from jobclusters.config.resolve import resolve
from jobclusters.config.site import Site
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.queues import Queue
from jobclusters.spec.sizes import Size

GB = 10**9
SIZES = {
    size.name: size
    for size in (
        Size("large", "Large", 2, 16 * GB),
        Size("p38xlarge", "V100-8XLarge", 32, 244 * GB, 4),
        Size(
            "a100",
            "A100",
            16,
            120 * GB,
            1,
            details={"queue": "gpu", "walltime": "01:00:00", "gpu_type": "a100"},
            per_system={"slurm": {"queue": "slurm-gpu"}, "local": {"queue": "local-gpu"}},
        ),
    )
}
SLIDES: dict[str, Any] = {
    "queue": "normal",
    "cores": 24,
    "memory": "128GB",
    "walltime": "02:00:00",
    "job_extra": ["--constraint=haswell"],
}
LARGE = {"worker_size": "large"}


def ask(keywords, system="slurm", spot=None, **configured) -> JobSpec:
    site = Site(job=configured, sizes=SIZES, python="/opt/python", spot=spot or {})
    return resolve(DIALECTS[system], keywords, site, "C-0", "tcp://10.0.0.1:8786")


def problems_of(keywords, **site):
    with pytest.raises(InvalidRequest) as caught:
        ask(keywords, **site)
    return caught.value.problems


def test_the_call_of_the_slides():
    spec = ask(SLIDES)
    assert (spec.queue, spec.walltime, spec.directives) == ("normal", timedelta(hours=2), ("--constraint=haswell",))
    assert (spec.cores, spec.memory, spec.processes, spec.nthreads) == (24, 128 * GB, 6, 4)
    assert spec.memory_limit == 18310 * 2**20


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("job_extra", "job_extra_directives", ["--constraint=haswell"]),
        ("env_extra", "job_script_prologue", ["module load x"]),
        ("header_skip", "job_directives_skip", ["--mem"]),
        ("extra", "worker_extra_args", ["--lifetime", "1h"]),
        ("project", "account", "physics"),
        ("nprocs", "processes", 2),
    ],
)
def test_old_names_mean_the_same_without_a_warning(old, new, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ask({**LARGE, old: value}) == ask({**LARGE, new: value}) != ask(LARGE)


@pytest.mark.parametrize(
    ("old", "new", "value", "empty"),
    [
        ("job_extra", "job_extra_directives", ["--constraint=haswell"], []),
        ("env_extra", "job_script_prologue", ["module load x"], []),
        ("header_skip", "job_directives_skip", ["--mem"], []),
        ("extra", "worker_extra_args", ["--lifetime", "1h"], []),
        ("project", "account", "physics", None),
        ("nprocs", "processes", 2, None),
    ],
)
def test_old_names_in_files(old, new, value, empty):
    """jobqueue.yaml has both names, one of them empty."""
    assert ask(LARGE, **{old: value, new: empty}) == ask(LARGE, **{new: value})


def test_of_both_names_todays_wins():
    assert ask({**LARGE, "project": "old", "account": "new"}).options["account"] == "new"


def test_old_name_given_wins_over_new_name_configured():
    assert ask({**LARGE, "project": "mine"}, account="site").options["account"] == "mine"


@pytest.mark.parametrize(
    ("keywords", "queue", "walltime"),
    [
        ({"worker_size": "large"}, "site", timedelta(minutes=30)),
        ({"worker_size": "a100"}, "slurm-gpu", timedelta(hours=1)),
        ({"worker_size": "a100", "queue": "mine", "walltime": "2h"}, "mine", timedelta(hours=2)),
        ({"worker_size": "a100", "queue": None}, "slurm-gpu", timedelta(hours=1)),
    ],
)
def test_keyword_over_size_over_configuration(keywords, queue, walltime):
    spec = ask(keywords, queue="site", walltime="00:30:00")
    assert (spec.queue, spec.walltime) == (queue, walltime)


def test_a_size_brings_what_its_system_says():
    assert ask({"worker_size": "a100"}, system="local").queue == "local-gpu"
    assert ask({"worker_size": "a100"}).gpu_type == "a100"


def test_an_empty_keyword_takes_a_setting_away():
    spec = ask({**LARGE, "queue": "", "walltime": "", "job_extra_directives": []}, queue="q", walltime="1h")
    assert (spec.queue, spec.walltime, spec.directives) == (None, None, ())


@pytest.mark.parametrize(
    ("keywords", "configured", "shape"),
    [
        (LARGE, {}, (2, 16 * GB, 0, 1, 2)),
        (LARGE, {"cores": 99, "memory": "1 TB", "processes": 9, "job_cpu": 7}, (2, 16 * GB, 0, 1, 2)),
        ({**LARGE, "processes": 2}, {}, (2, 16 * GB, 0, 2, 1)),
        ({**LARGE, "nthreads": 8}, {}, (2, 16 * GB, 0, 1, 8)),
        ({"worker_size": "p38xlarge"}, {}, (32, 244 * GB, 4, 4, 8)),
        ({"worker_size": "p38xlarge", "processes": 1}, {}, (32, 244 * GB, 4, 1, 32)),
        ({"worker_cpu": 4}, {}, (4, 16 * 2**30, 0, 1, 4)),
        ({"worker_gpu": 2, "worker_memory": "8 GB"}, {}, (4, 8 * GB, 2, 2, 2)),
        ({"cores": 24, "memory": "1 GB"}, {}, (24, GB, 0, 6, 4)),
        ({"cores": 24, "memory": "1 GB", "processes": 1}, {}, (24, GB, 0, 1, 24)),
        ({"cores": 4, "memory": "1 GB"}, {}, (4, GB, 0, 4, 1)),
        ({"cores": 1, "memory": "1 GB"}, {}, (1, GB, 0, 1, 1)),
        ({"cores": 8, "memory": "1 GB", "gpus": 2}, {}, (8, GB, 2, 2, 4)),
        ({"cores": 2, "memory": "1 GB", "processes": 8}, {}, (2, GB, 0, 8, 1)),
        ({}, {"cores": 24, "memory": "128GB"}, (24, 128 * GB, 0, 6, 4)),
        ({"cores": 8}, {"cores": 24, "memory": "128GB"}, (8, 128 * GB, 0, 4, 2)),
        ({"nprocs": 2}, {"cores": 24, "memory": "128GB"}, (24, 128 * GB, 0, 2, 12)),
        ({"cores": "24", "memory": GB}, {}, (24, GB, 0, 6, 4)),
        ({"cores": 4.0, "memory": "1 GB", "processes": 2.0}, {}, (4, GB, 0, 2, 2)),
    ],
)
def test_shape(keywords, configured, shape):
    spec = ask(keywords, **configured)
    assert (spec.cores, spec.memory, spec.gpus, spec.processes, spec.nthreads) == shape


@pytest.mark.parametrize(
    ("keywords", "configured", "shape"),
    [
        pytest.param({}, {"worker_size": "large"}, (2, 16 * GB, 0), id="configured worker-size: 1 core, 1 byte"),
        pytest.param({**LARGE, "gpus": 2}, {}, (2, 16 * GB, 2), id="gpus beside a size: dropped"),
        pytest.param({"worker_memory": "4 GB", "gpus": 2}, {}, (4, 4 * GB, 2), id="gpus beside numbers: dropped"),
    ],
)
def test_shape_is_used_or_refused(keywords, configured, shape):
    try:
        spec = ask(keywords, **configured)
    except InvalidRequest:
        return
    assert (spec.cores, spec.memory, spec.gpus) == shape


@pytest.mark.parametrize("system", list(DIALECTS))
@pytest.mark.parametrize("processes", [1, 2, 7])
@pytest.mark.parametrize("memory", [10 * 2**20, 300 * 2**20, 2 * GB, 488 * GB])
def test_dask_gives_up_before_the_batch_system_does(system, processes, memory):
    slots = {"parallel_environment": "smp"} if system == "sge" else {}
    spec = ask({"cores": 8, "memory": memory, "processes": processes, **slots}, system=system)
    nannies = min(memory / 2, processes * 60 * 2**20)
    assert 0 <= spec.memory_limit * processes <= memory - nannies
    if memory >= 2 * GB:
        assert spec.memory_limit * processes >= 0.6 * memory, "and doesn't waste it"


@pytest.mark.parametrize(
    ("keywords", "args"),
    [
        ({}, ("--nanny",)),
        ({"nanny": False}, ("--no-nanny",)),
        ({"processes": 2}, ("--nworkers", "2", "--nanny")),
        ({"worker_class": "distributed.Worker"}, ("--no-nanny",)),
        ({"worker_class": "distributed.Nanny"}, ("--nanny",)),
        ({"worker_class": "mine.Nanny"}, ("--nanny", "--worker-class", "mine.Nanny")),
        ({"worker_class": Size}, ("--nanny", "--worker-class", "jobclusters.spec.sizes.Size")),
        ({"death_timeout": 60, "local_directory": "/x y"}, ("--nanny", "--death-timeout", "60", "--local-directory", "/x y")),
        ({"worker_options": {"resources": {"a": 1, "b": 2}}}, ("--nanny", "--resources", "a=1,b=2")),
        ({"worker_options": {"lifetime_restart": True, "dashboard": False}}, ("--nanny", "--lifetime-restart", "--no-dashboard")),
        ({"worker_options": {"preload": ["a", "b"], "host": None}}, ("--nanny", "--preload", "a", "--preload", "b")),
        ({"worker_extra_args": ["a", None, ""]}, ("--nanny", "a")),
        ({"worker_extra_args": ["--resources a=1", "b c", "--x='y z'"]}, ("--nanny", "--resources", "a=1", "b c", "--x=y z")),
        ({"worker_command": ""}, ("--nanny",)),
        ({"worker_command": "dask_cuda.cli"}, ()),
        ({"worker_command": "my.cli worker --fast"}, ()),
    ],
)  # fmt: skip
def test_worker_arguments(keywords, args):
    assert without_dashboard(ask({**LARGE, **keywords}).worker_args) == args


def without_dashboard(args):
    """Leave out what is in nearly all of them; tests/test_links.py is about it."""
    at = args.index("--no-dashboard") if "--dashboard-address" in args else len(args)
    return args[:at] + args[at + 3 :]


@pytest.mark.parametrize(
    ("directives", "lines"),
    [
        ({"-C geyser": None, "--exclusive": ""}, ("-C geyser", "--exclusive")),
        ({"--gres=": "gpu:1", "--mail-type": "END"}, ("--gres=gpu:1", "--mail-type END")),
        (["--exclusive", None, ""], ("--exclusive",)),
    ],
)
def test_directives(directives, lines):
    assert ask({**LARGE, "job_extra_directives": directives}).directives == lines


def test_prologue_skips_what_is_empty():
    assert ask({**LARGE, "job_script_prologue": ["a", None, ""]}).prologue == ("a",)


@pytest.mark.parametrize("word", ["UNLIMITED", "infinite"])
def test_a_walltime_without_limit(word):
    assert ask({**LARGE, "walltime": word}).walltime == timedelta.max


def test_a_walltime_without_limit_is_refused_where_there_is_no_word_for_it(monkeypatch):
    monkeypatch.setattr(type(DIALECTS["slurm"]), "unlimited", False)
    (problem,) = problems_of({**LARGE, "walltime": "UNLIMITED"})
    assert problem == "walltime='UNLIMITED': SLURM has no word for that; give a time like '02:00:00'"


def test_worker_command_may_hold_arguments():
    assert ask({**LARGE, "worker_command": "my.cli worker --fast"}).worker_command == ("my.cli", "worker", "--fast")


@pytest.mark.parametrize(
    ("keywords", "resource"), [({}, "GPU=1"), ({"processes": 1}, "GPU=4"), ({"processes": 4}, "GPU=1")]
)
def test_gpus_are_resources_of_their_workers(keywords, resource):
    args = without_dashboard(ask({"worker_size": "p38xlarge", **keywords}).worker_args)
    assert args == ("--nanny", "--resources", resource)


def test_workers_of_a_gpu_each_need_no_nanny():
    assert "--no-nanny" in ask({"worker_size": "p38xlarge", "nanny": False}).worker_args


@pytest.mark.parametrize(
    ("python", "words"),
    [(None, ("/opt/python",)), ("", ("/opt/python",)), ("python3", ("python3",)), ("FOO='a b' python", ("env", "FOO=a b", "python")), ("singularity exec 'my image' python", ("singularity", "exec", "my image", "python"))],
)  # fmt: skip
def test_python(python, words):
    assert ask({**LARGE, "python": python}).python == words


SPOT = {"queue": "spot", "qos": "low"}


@pytest.mark.parametrize(
    ("keywords", "configured", "queue", "qos", "requeue"),
    [
        ({}, {}, None, None, None),
        ({"worker_is_spot": False}, {}, None, None, None),
        ({"worker_is_spot": True}, {}, "spot", "low", True),
        ({"worker_is_spot": True}, {"queue": "normal"}, "spot", "low", True),
        ({"worker_is_spot": True, "queue": "mine"}, {}, "mine", "low", True),
        ({}, {"worker_is_spot": True}, "spot", "low", True),
    ],
)  # fmt: skip
def test_spot(keywords, configured, queue, qos, requeue):
    spec = ask({**LARGE, **keywords}, spot=SPOT, **configured)
    assert (spec.queue, spec.options["qos"], spec.requeue) == (queue, qos, requeue)


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"cores": 1}, "a job's size is incomplete: give memory=, too; or instead worker_size='large'"),
        ({"gpus": 1}, "a job's size is incomplete: give cores= and memory=, too"),
        ({"worker_size": "larg"}, "unknown size 'larg': did you mean 'large'? Valid: a100, large, p38xlarge"),
        ({"worker_size": ["large"]}, "unknown size ['large']"),
        ({**LARGE, "cores": 4}, "worker_size='large' and cores: each says how large a job is"),
        ({**LARGE, "cores": 4, "memory": "1 GB"}, "worker_size='large' and cores, memory: each says"),
        ({**LARGE, "worker_cpu": 4}, "worker_size='large' and worker_cpu: each says"),
        ({"worker_cpu": 4, "cores": 4, "memory": GB}, "worker_cpu and cores, memory: each says"),
        ({"cores": 0, "memory": GB}, "cores must be at least 1, not 0"),
        ({"cores": -4, "memory": GB}, "cores must be at least 1, not -4"),
        ({"cores": 10**30, "memory": GB}, "cores must be at most 1,000,000, not 1000000000000000000000000000000"),
        ({**LARGE, "shebang": "/bin/bash"}, "shebang='/bin/bash' must begin with #!, as in '#!/bin/bash'"),
        ({**LARGE, "worker_extra_args": [[]]}, "worker_extra_args must be text, not []"),
        ({"cores": "four", "memory": GB}, "cores must be a whole number, not 'four'"),
        ({"cores": 1, "memory": "lots"}, "memory 'lots' can't be read"),
        ({**LARGE, "processes": 0}, "processes must be at least 1, not 0"),
        ({**LARGE, "nprocs": -1}, "nprocs must be at least 1, not -1"),
        ({**LARGE, "nthreads": 0}, "nthreads must be at least 1, not 0"),
        ({"worker_size": "p38xlarge", "processes": 2}, "processes=2 with 4 GPUs: it must be 4"),
        ({**LARGE, "processes": 2, "nanny": False}, "2 processes in a job need nannies"),
        ({**LARGE, "nanny": "no"}, "nanny must be True or False, not 'no'"),
        ({**LARGE, "worker_is_spot": 1}, "worker_is_spot must be True or False, not 1"),
        ({**LARGE, "walltime": "soon"}, "walltime 'soon' can't be read"),
        ({**LARGE, "walltime": "00:00"}, "walltime '00:00' must be more than zero"),
        ({**LARGE, "quue": "x"}, "unknown keyword 'quue': did you mean 'queue'?"),
        ({**LARGE, "resource_spec": "x"}, "unknown keyword 'resource_spec'"),
        ({**LARGE, "queue": "a b"}, "queue='a b' can't hold spaces, quotes or backslashes"),
        ({**LARGE, "account": "a'b"}, "can't hold spaces, quotes or backslashes"),
        ({**LARGE, "qos": 'a"b'}, "can't hold spaces, quotes or backslashes"),
        ({"worker_size": "p38xlarge", "gpu_type": "a b"}, "can't hold spaces, quotes or backslashes"),
        ({"cores": 1.5, "memory": GB}, "cores must be a whole number, not 1.5"),
        ({"cores": 1, "memory": 16}, "memory 16 is 16 bytes, too little for a worker: did you mean '16 GB'?"),
        ({"worker_memory": "64"}, "did you mean '64 GB'?"),
        ({**LARGE, "job_name": "a,b"}, "can't hold ,"),
        ({**LARGE, "job_name": "a/b%j"}, "can't hold / or %"),
        ({**LARGE, "walltime": "0"}, "walltime '0' must be more than zero"),
        ({**LARGE, "job_cpu": 0}, "job_cpu must be at least 1, not 0"),
        ({**LARGE, "job_mem": "16 gigs"}, "job_mem='16 gigs' can't be read: write it as SLURM does"),
        ({**LARGE, "job_extra": "--exclusive"}, "job_extra must be a list of texts, such as ['--exclusive']"),
        ({**LARGE, "env_extra": "module load x"}, "env_extra must be a list of texts"),
        ({**LARGE, "header_skip": 5}, "header_skip must be a list of texts"),
        ({**LARGE, "worker_extra_args": ["--x 'y"]}, "can't be read by a shell: no closing '"),
        ({**LARGE, "python": "py'thon"}, "can't be read by a shell: no closing '"),
        ({**LARGE, "python": "$(which python"}, "can't be read by a shell: no closing )"),
        ({**LARGE, "worker_command": "`mine"}, "can't be read by a shell: no closing `"),
        ({**LARGE, "local_directory": "${TMPDIR:-/tmp"}, "can't be read by a shell: no closing }"),
        ({**LARGE, "worker_extra_args": ["${X:-'}"]}, "can't be read by a shell: no closing '"),
        ({**LARGE, "worker_extra_args": ["$(x"]}, "can't be read by a shell: no closing )"),
        ({**LARGE, "job_script_prologue": {"a": 1}}, "job_script_prologue must be a list of texts, such as ['a']"),
        ({**LARGE, "worker_options": {"memory": 1}}, "unknown worker option 'memory': did you mean 'memory_limit'?"),
        ({**LARGE, "worker_options": ["x"]}, "worker_options must be a mapping, not ['x']"),
        ({**LARGE, "worker_class": "Worker"}, "worker_class='Worker' can't be imported by a worker"),
        ({**LARGE, "worker_class": type("Mine", (), {"__module__": "__main__"})}, "can't be imported by a worker"),
    ],
)  # fmt: skip
def test_what_cannot_be(keywords, problem):
    (only,) = problems_of(keywords)
    assert problem in only


# Everything that is a line of the script's head, or part of one.
ONE_LINE = ["queue", "account", "qos", "job_name", "log_directory", "shebang", "local_directory", "gpu_type"]
LISTS = ["job_extra_directives", "job_directives_skip", "worker_extra_args", "job_extra", "header_skip"]


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\x0bb", "a\x00b", "a\x1bb", "a\x85b", "a\u2028b"])
@pytest.mark.parametrize("keyword", ONE_LINE + LISTS)
def test_nothing_can_break_out_of_its_line(keyword, value):
    problems = problems_of({**LARGE, keyword: [value] if keyword in LISTS else value})
    assert any("line breaks or control characters" in problem for problem in problems)


def test_everything_wrong_is_reported_at_once():
    problems = problems_of(
        {
            "cores": -1,
            "memory": "x",
            "worker_size": "large",
            "nthreads": 0,
            "walltime": "soon",
            "queue": "a\nb",
            "quue": 1,
            "worker_options": {"memry": 1},
            "job_extra": "--x",
        }
    )
    for words in (
        "each says",
        "cores",
        "memory 'x'",
        "nthreads",
        "walltime",
        "queue='a\\nb'",
        "'quue'",
        "'memry'",
        "list",
    ):
        assert any(words in problem for problem in problems), words


def test_a_system_has_no_keywords_of_another():
    (problem,) = problems_of({**LARGE, "account": "x"}, system="local")
    assert problem.startswith("unknown keyword 'account'")


def test_a_spec_cannot_be_changed():
    spec = ask(LARGE)
    with pytest.raises(AttributeError):
        spec.cores = 3
    assert hash(spec) == hash(ask(LARGE)), "all that's in it can't be changed either"


QUEUES = {
    "normal": Queue("normal", cores=24, memory=256 * GB, gpus=0, walltime=timedelta(hours=4)),
    "gpu": Queue("gpu", cores=32, memory=244 * GB, gpus=4, gpu_types=("v100",)),
}


@pytest.mark.parametrize(
    ("keywords", "queue"),
    [
        (LARGE, "normal"),
        ({**LARGE, "walltime": "08:00:00"}, "gpu"),
        ({"worker_size": "p38xlarge"}, "gpu"),
        ({**LARGE, "queue": "other"}, "other"),
        ({**LARGE, "queue": ""}, None),
        ({**LARGE, "job_extra_directives": ["-p gpu"]}, "gpu"),
        ({**LARGE, "job_extra_directives": ["--partition=normal,gpu"]}, "normal,gpu"),
        ({**LARGE, "job_extra_directives": ["--comment=gpus"]}, "normal"),
    ],
)
def test_a_job_without_a_queue_gets_the_one_that_fits(keywords, queue):
    site = Site(job={}, sizes=SIZES, python="python", queues=QUEUES)
    assert resolve(DIALECTS["slurm"], keywords, site, "C-0", "tcp://x:1").queue == queue


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"cores": 48, "memory": "1 GB", "queue": "normal"}, "48 cores, but a node of queue 'normal' has 24"),
        ({"cores": 48, "memory": "1 GB"}, "no listed queue holds the job; nearest is"),
        ({**LARGE, "queue": "normal", "walltime": "05:00:00"}, "walltime 05:00:00, but queue 'normal' allows 04:00:00"),
        ({"worker_size": "p38xlarge", "queue": "gpu", "gpu_type": "a100"}, "gpu_type 'a100' isn't one of queue 'gpu'"),
    ],
)
def test_what_no_queue_holds_is_reported_before_it_is_submitted(keywords, problem):
    site = Site(job={}, sizes=SIZES, python="python", queues=QUEUES)
    with pytest.raises(InvalidRequest, match=problem):
        resolve(DIALECTS["slurm"], keywords, site, "C-0", "tcp://x:1")
