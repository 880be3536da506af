from __future__ import annotations

import random
from datetime import timedelta

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jobclusters import InvalidRequest, job_script
from jobclusters.spec.queues import JobShape, Queue, best_queue, misfits, read_queues
from jobclusters.spec.units import UNLIMITED

GB = 10**9
HOUR = timedelta(hours=1)
PREFIX = "jobclusters.queues.slurm"


def read(text, clock="minutes, MM:SS"):
    return read_queues(yaml.safe_load(text) or {}, clock, PREFIX)


# -- the configuration -------------------------------------------------------------------------------------------------


def test_queues_are_read():
    queues, wrong = read("""
        normal: {cores: 64, memory: 256 GB, walltime: "04:00:00"}
        gpu: {cores: 32, memory: 244 GB, gpus: 4, gpu-types: [v100, a100], walltime: "1-00:00:00"}
        cpu: {gpus: 0, gpu_types: []}
        one: {gpu_types: v100, walltime: unlimited}
        unknown: {}
        nulls: {cores: null, memory: null, gpus: null, gpu-types: null, walltime: null}
        gone: null
        7: {cores: 1}
    """)
    assert wrong == {}
    assert list(queues.values()) == [
        Queue("normal", 64, 256 * GB, walltime=4 * HOUR),
        Queue("gpu", 32, 244 * GB, 4, ("v100", "a100"), 24 * HOUR),
        Queue("cpu", gpus=0),
        Queue("one", gpu_types=("v100",), walltime=UNLIMITED),
        Queue("unknown"),
        Queue("nulls"),
        Queue("7", cores=1),
    ]
    assert list(queues) == [queue.name for queue in queues.values()]


@pytest.mark.parametrize(
    ("clock", "walltime"),
    [
        ("minutes, MM:SS", timedelta(minutes=10)),
        ("minutes, HH:MM", timedelta(hours=10)),
        ("seconds, MM:SS", timedelta(minutes=10)),
    ],
)
def test_walltime_is_read_as_the_system_reads_it(clock, walltime):
    assert read('x: {walltime: "10:00"}', clock)[0]["x"].walltime == walltime


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        ("{cores: 0}", [": cores must be at least 1, not 0"]),
        ("{gpus: -1, cores: x}", [": cores must be a whole number, not 'x'", ": gpus must be at least 0, not -1"]),
        ("{memory: plenty}", [": memory 'plenty' can't be read: write it like '16 GB' or '500 MiB'"]),
        ("{memory: 256}", [": memory 256 is 256 bytes, too little for a worker: did you mean '256 GB'?"]),
        ("{walltime: 4:00}", [": walltime 240 is a number: write it in quotes, like '12:00:00' (YAML reads 12:00:00 without them as 43200)"]),
        ("{walltime: true}", [": walltime True is a number: write it in quotes, like '12:00:00' (YAML reads 12:00:00 without them as 43200)"]),
        ("{walltime: soon}", [": walltime 'soon' can't be read: write it like '02:00:00', '1-12:00:00' (days first), '2h' or '90 min'"]),
        ("{gpu-types: 3}", [": gpu-types must be a list of names like [v100, a100], not 3"]),
        ("{gpu-types: [v100, null]}", [": gpu-types must be a list of names like [v100, a100], not ['v100', None]"]),
        ("{gpu-types: ['']}", [": gpu-types must be a list of names like [v100, a100], not ['']"]),
        ("{gpus: 0, gpu-types: [v100, a100]}", [": gpus is 0, yet gpu-types names v100, a100"]),
        ("64", [" must be a mapping of limits like cores and walltime, not 64"]),
        ("[cores, 64]", [" must be a mapping of limits like cores and walltime, not ['cores', 64]"]),
    ],
)  # fmt: skip
def test_problems_name_their_entry(entry, problems):
    queues, wrong = read(f"good: {{cores: 2}}\nbad: {entry}")
    assert list(queues) == ["good"]
    assert wrong == {"bad": [f"{PREFIX}.bad{problem}" for problem in problems]}


def test_a_limit_of_a_newer_version_is_left_out():
    queues, wrong = read("short: {cores: 2, nodes: 4}")
    assert (queues, wrong) == ({"short": Queue("short", 2)}, {})


def test_all_problems_are_reported_at_once():
    _, wrong = read("a: {gpus: -1, cores: x, walltime: 1}\nb: 3")
    assert {name: len(problems) for name, problems in wrong.items()} == {"a": 3, "b": 1}


# -- what can never run ------------------------------------------------------------------------------------------------

QUEUES = {
    queue.name: queue
    for queue in (
        Queue("normal", 64, 256 * GB, 0, (), 4 * HOUR),
        Queue("debug", 32, 128 * GB, 0, (), HOUR / 2),
        Queue("long", 16, 64 * GB, 0, (), 168 * HOUR),
        Queue("gpu", 32, 244 * GB, 4, ("v100", "a100"), 24 * HOUR),
        Queue("a10", 8, 32 * GB, 1, ("A10",), 4 * HOUR),
    )
}


def misfits_of(queues=QUEUES, queue=None, cores=1, memory=GB, **job):
    return misfits(queues, JobShape(cores, memory, **job), queue)


@pytest.mark.parametrize(
    ("job", "problems"),
    [
        ({"queue": "debug"}, []),
        ({"queue": "debug", "cores": 32, "memory": 128 * GB, "walltime": HOUR / 2}, []),
        ({"queue": "debug", "cores": 48}, ["48 cores, but a node of queue 'debug' has 32; queue='normal' would hold the job"]),
        ({"queue": "normal", "cores": 65}, ["65 cores, but a node of queue 'normal' has 64"]),
        ({"queue": "debug", "memory": 200 * GB}, ["200 GB of memory, but a node of queue 'debug' has 128 GB; queue='normal' or queue='gpu' would hold the job"]),
        ({"queue": "gpu", "memory": 244 * GB + 1}, ["244000000001 bytes of memory, but a node of queue 'gpu' has 244000000000 bytes; queue='normal' would hold the job"]),
        ({"queue": "long", "gpus": 1}, ["1 GPU, but a node of queue 'long' has none; queue='a10' or queue='gpu' would hold the job"]),
        ({"queue": "a10", "gpus": 4}, ["4 GPUs, but a node of queue 'a10' has 1; queue='gpu' would hold the job"]),
        ({"queue": "gpu", "gpus": 8}, ["8 GPUs, but a node of queue 'gpu' has 4"]),
        ({"queue": "gpu", "gpus": 1, "gpu_type": "a10"}, ["gpu_type 'a10' isn't one of queue 'gpu': did you mean 'a100'? Valid: v100, a100; queue='a10' would hold the job"]),
        ({"queue": "gpu", "gpus": 1, "gpu_type": "titan"}, ["gpu_type 'titan' isn't one of queue 'gpu': Valid: v100, a100"]),
        ({"queue": "gpu", "gpus": 1, "gpu_type": "A100"}, []),
        ({"queue": "a10", "gpus": 1, "gpu_type": "a10"}, []),
        ({"queue": "gpu", "gpus": 1}, []),
        ({"queue": "gpu", "gpu_type": "titan"}, []),
        ({"queue": "normal", "walltime": 4 * HOUR}, []),
        ({"queue": "normal", "walltime": 5 * HOUR}, ["walltime 05:00:00, but queue 'normal' allows 04:00:00; queue='long' or queue='gpu' would hold the job"]),
        ({"queue": "gpu", "walltime": 25 * HOUR}, ["walltime 1-01:00:00, but queue 'gpu' allows 1-00:00:00; queue='long' would hold the job"]),
        ({"queue": "long", "walltime": UNLIMITED}, ["walltime unlimited, but queue 'long' allows 7-00:00:00"]),
        ({"queue": "long", "walltime": None}, []),
        ({"queue": "debug", "cores": 48, "memory": 200 * GB, "gpus": 1, "walltime": HOUR}, [
            "48 cores, but a node of queue 'debug' has 32",
            "200 GB of memory, but a node of queue 'debug' has 128 GB",
            "1 GPU, but a node of queue 'debug' has none",
            "walltime 01:00:00, but queue 'debug' allows 00:30:00",
        ]),
        ({"queue": "elsewhere", "cores": 9999}, []),
        ({"queue": "Debug", "cores": 9999}, []),
        ({"cores": 48}, []),
        ({"cores": 16, "walltime": 168 * HOUR}, []),
        ({"cores": 65}, ["no listed queue holds the job; nearest is 'normal', the largest: 65 cores, but a node of queue 'normal' has 64"]),
        ({"memory": 257 * GB}, ["no listed queue holds the job; nearest is 'normal', the largest: 257 GB of memory, but a node of queue 'normal' has 256 GB"]),
        ({"cores": 64, "gpus": 4}, ["no listed queue holds the job; nearest is 'gpu': 64 cores, but a node of queue 'gpu' has 32; largest is queue 'normal' (64 cores, 256 GB of memory, 0 GPUs, walltime 04:00:00)"]),
        ({"gpus": 8}, ["no listed queue holds the job; nearest is 'gpu', the largest: 8 GPUs, but a node of queue 'gpu' has 4"]),
        ({"gpus": 1, "gpu_type": "a1000"}, ["no listed queue holds the job; nearest is 'gpu': gpu_type 'a1000' isn't one of queue 'gpu': did you mean 'a100'? Valid: v100, a100"]),
        ({"gpus": 1, "gpu_type": "a11"}, ["no listed queue holds the job; nearest is 'a10': gpu_type 'a11' isn't one of queue 'a10': did you mean 'A10'? Valid: A10"]),
        ({"gpus": 1, "gpu_type": "titan"}, ["no listed queue holds the job; nearest is 'a10': gpu_type 'titan' isn't one of queue 'a10': Valid: A10"]),
        ({"gpus": 1, "gpu_type": "v1000"}, ["no listed queue holds the job; nearest is 'gpu': gpu_type 'v1000' isn't one of queue 'gpu': did you mean 'v100'? Valid: v100, a100"]),
        ({"cores": 64, "walltime": 7 * HOUR}, ["no listed queue holds the job; nearest is 'normal': walltime 07:00:00, but queue 'normal' allows 04:00:00; largest is queue 'long' (16 cores, 64 GB of memory, 0 GPUs, walltime 7-00:00:00)"]),
        ({"cores": 20, "walltime": 100 * HOUR}, ["no listed queue holds the job; nearest is 'long': 20 cores, but a node of queue 'long' has 16; largest is queue 'normal' (64 cores, 256 GB of memory, 0 GPUs, walltime 04:00:00)"]),
        ({"walltime": UNLIMITED}, ["no listed queue holds the job; nearest is 'long', the largest: walltime unlimited, but queue 'long' allows 7-00:00:00"]),
    ],
)  # fmt: skip
def test_misfits(job, problems):
    assert misfits_of(**job) == problems


def test_most_of_what_falls_short_everywhere_is_reported():
    queues = {name: QUEUES[name] for name in ("gpu", "a10")} | {"fat": Queue("fat", 4, 1000 * GB, 0, (), HOUR)}
    (problem,) = misfits_of(queues, gpus=1, memory=400 * GB, cores=8)
    assert problem == (
        "no listed queue holds the job; nearest is 'gpu': 400 GB of memory, but a node of queue 'gpu' has 244 GB;"
        " largest is queue 'fat' (4 cores, 1000 GB of memory, 0 GPUs, walltime 01:00:00)"
    )


A, B = Queue("a", 64, 4 * GB), Queue("b", 64, 4 * GB)


@pytest.mark.parametrize(
    ("queues", "job", "problem"),
    [
        # One limit exceeded by much is nearer than two by little.
        ([Queue("a", 64, 4 * GB), Queue("b", 8, 9 * GB)], {"cores": 65, "memory": 5 * GB}, "nearest is 'b': 65 cores, but a node of queue 'b' has 8; largest is queue 'a' (64 cores, 4 GB of memory)"),
        ([B, A], {"cores": 65}, "nearest is 'a', the largest: 65 cores, but a node of queue 'a' has 64"),
        ([A, Queue("b", None, 4 * GB, walltime=HOUR)], {"cores": 65, "walltime": 99 * HOUR}, "nearest is 'a': 65 cores, but a node of queue 'a' has 64; largest is queue 'b' (4 GB of memory, walltime 01:00:00)"),
        ([Queue("a", 4, gpu_types=("x",))], {"gpus": 1, "gpu_type": "y"}, "nearest is 'a': gpu_type 'y' isn't one of queue 'a': Valid: x"),
    ],
)  # fmt: skip
def test_which_is_nearest(queues, job, problem):
    assert misfits_of({queue.name: queue for queue in queues}, **job) == [f"no listed queue holds the job; {problem}"]


@pytest.mark.parametrize("queue", [None, "x"])
def test_what_is_not_known_stops_nothing(queue):
    huge = {"cores": 10**6, "memory": 10**18, "gpus": 99, "gpu_type": "any", "walltime": UNLIMITED}
    assert misfits_of({"x": Queue("x")}, queue, **huge) == []
    assert misfits_of({}, queue, **huge) == []
    assert misfits_of({"x": Queue("x", walltime=UNLIMITED)}, queue, **huge) == []


def test_a_listed_queue_may_say_one_thing_only():
    assert misfits_of({"x": Queue("x", walltime=HOUR)}, "x", walltime=2 * HOUR, cores=999, gpus=9) == [
        "walltime 02:00:00, but queue 'x' allows 01:00:00"
    ]


@pytest.mark.parametrize(
    ("queue", "text"),
    [
        (Queue("x"), "queue 'x' ()"),
        (Queue("x", gpus=1), "queue 'x' (1 GPU)"),
        (Queue("x", 4, walltime=UNLIMITED), "queue 'x' (4 cores, walltime unlimited)"),
        (QUEUES["gpu"], "queue 'gpu' (32 cores, 244 GB of memory, 4 GPUs, v100, a100, walltime 1-00:00:00)"),
    ],
)
def test_describe(queue, text):
    assert queue.describe() == text


# -- which queue to take -----------------------------------------------------------------------------------------------


def chosen(queues=QUEUES, cores=1, memory=GB, **job):
    return best_queue(queues, JobShape(cores, memory, **job))


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ({"walltime": HOUR / 2}, "debug"),
        ({"walltime": HOUR}, "normal"),
        ({"walltime": 5 * HOUR}, "long"),
        ({"walltime": 5 * HOUR, "cores": 20}, "gpu"),
        ({"walltime": HOUR / 2, "cores": 33}, "normal"),
        ({}, "long"),
        ({"cores": 17}, "normal"),
        ({"gpus": 1}, "a10"),
        ({"gpus": 2}, "gpu"),
        ({"gpus": 1, "walltime": 5 * HOUR}, "gpu"),
        ({"gpus": 1, "gpu_type": "v100"}, "gpu"),
        ({"gpus": 1, "gpu_type": "h100"}, None),
        ({"cores": 65}, None),
        ({"walltime": UNLIMITED}, None),
    ],
)
def test_best(job, name):
    assert chosen(**job) == name


@pytest.mark.parametrize(
    ("queues", "job", "name"),
    [
        ([], {}, None),
        # Who says nothing of GPUs has none most likely.
        ([Queue("b"), Queue("a", gpus=1)], {}, "b"),
        ([Queue("b"), Queue("c", gpus=0), Queue("a", gpu_types=("x",))], {}, "c"),
        ([Queue("b", gpus=9), Queue("a", gpu_types=("x",))], {}, "b"),
        ([Queue("a"), Queue("b", gpus=4)], {"gpus": 1}, "b"),
        ([Queue("a", gpus=2), Queue("b", gpus=4, gpu_types=("x",))], {"gpus": 1, "gpu_type": "x"}, "b"),
        ([Queue("a", gpus=4, gpu_types=("x",)), Queue("b", gpus=2)], {"gpus": 1}, "b"),
        # GPUs before walltime before cores before memory before names.
        ([Queue("a", gpus=1, walltime=HOUR), Queue("b", gpus=0, walltime=2 * HOUR)], {"walltime": HOUR}, "b"),
        ([Queue("a", cores=1, walltime=2 * HOUR), Queue("b", cores=2, walltime=HOUR)], {"walltime": HOUR}, "b"),
        ([Queue("a", cores=2, memory=GB), Queue("b", cores=1, memory=2 * GB)], {}, "b"),
        ([Queue("a", memory=2 * GB), Queue("b", memory=GB)], {}, "b"),
        ([Queue("b"), Queue("a")], {}, "a"),
        # What isn't known counts as the worst.
        ([Queue("a"), Queue("b", walltime=UNLIMITED)], {"walltime": HOUR}, "b"),
        ([Queue("a"), Queue("b", walltime=HOUR)], {}, "b"),
        ([Queue("a"), Queue("b", cores=999)], {}, "b"),
        ([Queue("a"), Queue("b", memory=999 * GB)], {}, "b"),
    ],
)
def test_best_of(queues, job, name):
    assert chosen({queue.name: queue for queue in queues}, **job) == name


COUNTS = st.none() | st.integers(0, 4)
TIMES = st.none() | st.sampled_from([HOUR, 2 * HOUR, 3 * HOUR, UNLIMITED])
SOME_QUEUES = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        Queue,
        name=st.just(""),
        cores=st.none() | st.integers(1, 4),
        memory=st.none() | st.integers(1, 4).map(GB.__mul__),
        gpus=COUNTS,
        gpu_types=st.lists(st.sampled_from(["v100", "a100", "A10"]), max_size=2, unique=True).map(tuple),
        walltime=TIMES,
    ),
).map(lambda queues: {name: Queue(**{**vars(queue), "name": name}) for name, queue in queues.items()})
JOBS = st.fixed_dictionaries(
    {
        "cores": st.integers(1, 5),
        "memory": st.integers(1, 5).map(GB.__mul__),
        "gpus": st.integers(0, 5),
        "gpu_type": st.none() | st.sampled_from(["v100", "a100", "a10", "x"]),
        "walltime": TIMES,
    }
)


@settings(max_examples=400)
@given(queues=SOME_QUEUES, job=JOBS, seed=st.randoms(use_true_random=False))
def test_best_and_misfits_agree(queues, job, seed):
    shape = JobShape(**job)
    holding = {name for name in queues if not misfits(queues, shape, name)}
    name = best_queue(queues, shape)
    assert name in holding if holding else name is None
    problems = misfits(queues, shape, None)
    assert len(problems) == (not holding and bool(queues))
    for each in queues.keys() - holding:
        *_, last = misfits(queues, shape, each)
        _, _, suggested = last.rpartition("; ")
        assert {other for other in queues if f"queue={other!r}" in suggested} == holding
    if job["gpus"] == 0 and name and queues[name].gpus:
        assert all(queues[each].gpus or queues[each].gpu_types for each in holding)
    order = list(queues)
    random.Random(seed.random()).shuffle(order)
    assert best_queue({each: queues[each] for each in order}, shape) == name


def test_a_job_is_preempted_only_if_it_asks(configure):
    """The spot queue is the shortest that is long enough, and may be the only one."""
    configure("""
        jobclusters:
          queues:
            slurm:
              normal: {cores: 32, walltime: "04:00:00"}
              spot: {cores: 64, walltime: "01:00:00"}
          spot: {slurm: {queue: spot}}
    """)
    small = {"cores": 8, "memory": "8 GB", "walltime": "00:30:00"}
    assert "#SBATCH --partition=normal\n" in job_script("slurm", **small)
    assert "#SBATCH --partition=spot\n" in job_script("slurm", **small, worker_is_spot=True)
    assert "#SBATCH --partition=spot\n" in job_script("slurm", **{**small, "cores": 64}, queue="spot")
    with pytest.raises(InvalidRequest, match="no listed queue holds the job; nearest is 'normal'"):
        job_script("slurm", **{**small, "cores": 64})
    with pytest.raises(InvalidRequest, match="walltime 02:00:00, but queue 'spot' allows 01:00:00"):
        job_script("slurm", **{**small, "walltime": "02:00:00"}, worker_is_spot=True)
