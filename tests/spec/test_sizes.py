from __future__ import annotations

from contextlib import suppress

import pytest

from jobclusters import InvalidRequest, describe_sizes, job_script, list_sizes
from jobclusters.config.settings import sizes
from jobclusters.spec.sizes import Size, fit, read_sizes, sizes_that_fit, whole

# As dask_saturn.describe_sizes() gives it (Saturn Cloud's documentation, "Dask Clusters").
SATURN = {
    "medium": "Medium - 2 cores - 4 GB RAM",
    "large": "Large - 2 cores - 16 GB RAM",
    "xlarge": "XLarge - 4 cores - 32 GB RAM",
    "2xlarge": "2XLarge - 8 cores - 64 GB RAM",
    "4xlarge": "4XLarge - 16 cores - 128 GB RAM",
    "8xlarge": "8XLarge - 32 cores - 256 GB RAM",
    "12xlarge": "12XLarge - 48 cores - 384 GB RAM",
    "16xlarge": "16XLarge - 64 cores - 512 GB RAM",
    "g4dnxlarge": "T4-XLarge - 4 cores - 16 GB RAM - 1 GPU",
    "g4dn4xlarge": "T4-4XLarge - 16 cores - 64 GB RAM - 1 GPU",
    "g4dn8xlarge": "T4-8XLarge - 32 cores - 128 GB RAM - 1 GPU",
    "p32xlarge": "V100-2XLarge - 8 cores - 61 GB RAM - 1 GPU",
    "p38xlarge": "V100-8XLarge - 32 cores - 244 GB RAM - 4 GPU",
    "p316xlarge": "V100-16XLarge - 64 cores - 488 GB RAM - 8 GPU",
}

USER_OVER_SITE = {
    "user": "jobclusters: {sizes: {medium: {cores: 3}, mine: {cores: 1, memory: 1500 MB}}}",
    "site": "jobclusters: {sizes: {medium: {cores: 5, memory: 9 GB}, xlarge: {memory: 33 GB, gpus: 2}}}",
}


def test_built_in_sizes_are_saturns():
    assert describe_sizes() == SATURN
    assert list_sizes() == list(SATURN)


def test_user_over_site_over_built_in(configure):
    configure(**USER_OVER_SITE)
    assert describe_sizes() == {
        **SATURN,
        "medium": "Medium - 3 cores - 9 GB RAM",
        "xlarge": "XLarge - 4 cores - 33 GB RAM - 2 GPU",
        "mine": "mine - 1 core - 1.5 GB RAM",
    }


def test_built_in_sizes_come_first(configure):
    configure(**USER_OVER_SITE)
    assert list_sizes() == [*SATURN, "mine"]


@pytest.mark.parametrize("file", ["user", "site"])
def test_null_takes_a_size_away(configure, file):
    configure(**{file: "jobclusters: {sizes: {large: null}}"})
    assert describe_sizes() == {name: text for name, text in SATURN.items() if name != "large"}


def test_a_user_cannot_see_what_the_site_took_away_until_they_define_it(configure):
    configure(
        site="jobclusters: {sizes: {huge: null}}", user="jobclusters: {sizes: {huge: {cores: 128, memory: 1 TB}}}"
    )
    assert describe_sizes() == {**SATURN, "huge": "huge - 128 cores - 1000 GB RAM"}


def test_everything_wrong_in_the_files_is_reported_at_once_and_the_rest_can_be_used(configure, home, caplog):
    configure(
        user="""
jobclusters:
  sizes:
    a100: {cores: 16, memory: 120 GB, gpu-typ: a100}
    words: {cores: many, memory: plenty, gpus: -1}
    empty: {}
    half: {cores: 4}
    flat: 16 GB
    large: {slurm: {partition: gpu}}
"""
    )
    assert describe_sizes() == {name: text for name, text in SATURN.items() if name != "large"}
    warnings = [record.getMessage() for record in caplog.records]
    for line, problem in enumerate(
        [
            "jobclusters.sizes.a100: unknown key 'gpu-typ': did you mean 'gpu_type'?",
            "jobclusters.sizes.words: cores must be a whole number, not 'many'",
            "jobclusters.sizes.empty: cores and memory missing",
            "jobclusters.sizes.half: memory missing",
            "jobclusters.sizes.flat must be a mapping with cores and memory, not '16 GB'",
            "jobclusters.sizes.large: unknown key of slurm 'partition'",
        ],
        start=4,
    ):
        assert any(text.startswith(f"{home}/user/settings.yaml, line {line}: {problem}") for text in warnings)
    assert len(warnings) == 8
    assert job_script("slurm", worker_size="xlarge")
    with pytest.raises(InvalidRequest, match="memory 'plenty' can't be read") as caught:
        job_script("slurm", worker_size="words")
    assert len(caught.value.problems) == 3


def test_details_of_a_size_reach_the_script_of_that_system_alone(configure):
    configure(
        user="""
jobclusters:
  sizes:
    a100:
      cores: 16
      memory: 120 GB
      gpus: 1
      queue: anywhere
      walltime: "01:00:00"
      slurm: {queue: gpu, gpu-type: a100, job-extra-directives: ["--constraint=nvlink"]}
      pbs: {queue: pbs-only}
"""
    )
    lines = job_script("slurm", worker_size="a100").splitlines()
    for line in ("partition=gpu", "gpus-per-node=a100:1", "constraint=nvlink", "time=0-01:00:00", "cpus-per-task=16"):
        assert f"#SBATCH --{line}" in lines
    assert "--constraint" not in job_script("local", worker_size="a100")


@pytest.mark.parametrize("section", ["memory: 100 GB", "cores: 4", "gpus: 1"])
def test_shape_in_a_systems_section_is_used_or_refused(configure, section):
    size = "jobclusters: {sizes: {x: {cores: 2, memory: 4 GB%s}}}"
    configure(user=size % "")
    before = job_script("slurm", worker_size="x")
    configure(user=size % (", slurm: {" + section + "}"))
    with suppress(InvalidRequest):
        assert job_script("slurm", worker_size="x") != before


@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        ({}, (4, 16 * 2**30, 0)),
        ({"cpu": 2}, (2, 16 * 2**30, 0)),
        ({"memory": "1 GB"}, (4, 10**9, 0)),
        ({"gpu": 2}, (4, 16 * 2**30, 2)),
        ({"cpu": "8", "memory": 10**9, "gpu": 0}, (8, 10**9, 0)),
    ],
)
def test_fit(numbers, size):
    made = fit(**numbers)
    assert (made.cores, made.memory, made.gpus) == size


def test_fit_tells_all_problems():
    with pytest.raises(InvalidRequest) as caught:
        fit(cpu=0, memory="x", gpu=-1)
    assert [problem.split()[0] for problem in caught.value.problems] == ["worker_cpu", "worker_memory", "worker_gpu"]


@pytest.mark.parametrize("value", [4, "4", 4.0])
def test_what_is_a_count(value):
    assert whole("cores", value) == 4


@pytest.mark.parametrize("value", [0, -1, "x", "", 1.5, 0.0, float("nan"), float("inf"), True, None, "1e3", [1]])
def test_what_is_no_count(value):
    with pytest.raises(ValueError, match="cores"):
        whole("cores", value)


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        ((2, 16 * 10**9, 0), ["medium", "large"]),
        ((1, 10**12, 8), []),
        ((8, 61 * 10**9, 1), ["medium", "large", "xlarge", "g4dnxlarge", "p32xlarge"]),
    ],
)
def test_sizes_that_a_machine_can_hold(machine, names):
    assert sizes_that_fit(sizes().values(), *machine) == names


def test_reading_keeps_what_is_right():
    found, wrong = read_sizes({"good": {"cores": 1, "memory": "1 GB"}, "bad": {"cores": 1}, "gone": None}, [], [])
    assert found == {"good": Size("good", "good", 1, 10**9)}
    assert wrong == {"bad": ["jobclusters.sizes.bad: memory missing"]}
