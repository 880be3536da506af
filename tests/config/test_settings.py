"""The configuration: Dask's conventions, dask-jobqueue's settings, and what is refused."""

from __future__ import annotations

from pathlib import Path

import dask.config
import pytest
import yaml

import jobclusters
from jobclusters import InvalidRequest, job_script
from jobclusters.config import settings as config
from jobclusters.dialects import DIALECTS

SLURM = DIALECTS["slurm"]
OWN = Path(jobclusters.__file__).with_name("jobclusters.yaml")

# What a user may have set in jobqueue.slurm, with what it does to the script.
SETTINGS = {
    "name": ("my-name", "--job-name=my-name"),
    "cores": (24, "--cpus-per-task=24"),
    "memory": ("128GB", "--mem=122071M"),
    "processes": (3, "--nworkers 3"),
    "python": ("python3.11", "exec python3.11 -c"),
    "death-timeout": (77, "--death-timeout 77"),
    "local-directory": ("/scratch", "--local-directory /scratch"),
    "extra": (["--lifetime", "1h"], "--lifetime 1h"),
    "worker-command": ("my.worker", "-m my.worker"),
    "worker-extra-args": (["--lifetime", "1h"], "--lifetime 1h"),
    "shebang": ("#!/bin/bash -l", "#!/bin/bash -l\n"),
    "queue": ("normal", "--partition=normal"),
    "account": ("physics", "--account=physics"),
    "walltime": ("02:00:00", "--time=0-02:00:00"),
    "env-extra": (["module load x"], "\nmodule load x\n"),
    "job-script-prologue": (["module load x"], "\nmodule load x\n"),
    "job-cpu": (7, "--cpus-per-task=7"),
    "job-mem": ("7G", "--mem=7G"),
    "job-extra": (["--exclusive"], "#SBATCH --exclusive\n"),
    "job-extra-directives": (["--exclusive"], "#SBATCH --exclusive\n"),
    "log-directory": ("/logs", "--output=/logs/"),
}
FOR_THE_CLUSTER = {"interface", "shared-temp-directory", "scheduler-options"}


def spelled(name):
    return name.replace("-", "_")


@pytest.mark.parametrize("spelling", [str, spelled])
@pytest.mark.parametrize("key", SETTINGS)
def test_settings_of_dask_jobqueue_reach_the_script(configure, key, spelling):
    value, text = SETTINGS[key]
    section = {"cores": 1, "memory": "1GB", spelling(key): value}
    configure(user=yaml.safe_dump({"jobqueue": {"slurm": section}}))
    assert text in job_script("slurm")


@pytest.mark.parametrize(
    ("system", "directive"),
    [("pbs", "-l walltime=12:00:00"), ("torque", "walltime=12:00:00"), ("sge", "h_rt=12:00:00")],
)
def test_a_walltime_without_quotes_is_in_seconds_where_the_system_reads_them(configure, system, directive):
    section = "sge" if system == "sge" else "pbs"
    configure(user=f"jobqueue: {{{section}: {{cores: 1, memory: 1GB, walltime: 12:00:00}}}}")  # YAML reads 43200
    assert directive in job_script(system)


def test_skipping_directives_by_a_setting(configure):
    configure(user="jobqueue: {slurm: {cores: 1, memory: 1GB, job-directives-skip: [--mem]}}")
    assert "--mem=" not in job_script("slurm")


def test_no_setting_of_dask_jobqueue_is_forgotten():
    assert set(config.jobqueue_defaults()["slurm"]) == {*SETTINGS, "job-directives-skip", *FOR_THE_CLUSTER}


def test_settings_for_the_cluster_are_no_keywords_of_its_jobs(configure):
    configure(user="jobqueue: {slurm: {interface: ib0, scheduler-options: {port: 1}, shared-temp-directory: /x}}")
    settings = config.jobqueue(SLURM, None)
    assert (settings["interface"], settings["scheduler_options"]["port"]) == ("ib0", 1)
    assert not {"interface", "scheduler_options", "shared_temp_directory"} & config.site(SLURM).job.keys()


def test_user_over_site_over_default(configure):
    configure(
        site="jobqueue: {slurm: {queue: site, account: site}}",
        user="jobqueue: {slurm: {queue: user, job-extra: [--x]}}",
    )
    settings = config.jobqueue(SLURM, None)
    assert [settings[key] for key in ("queue", "account", "walltime")] == ["user", "site", "00:30:00"]


def test_environment_variables_count(configure, monkeypatch):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__QUEUE", "from-env")
    configure()
    assert "--partition=from-env" in job_script("slurm", worker_size="large")


def test_a_section_of_ones_own(configure):
    configure(user="jobqueue: {slurm: {queue: not-here}, big: {queue: big, cores: 2, memory: 4GB}}")
    text = job_script("slurm", config_name="big")
    assert "--partition=big" in text
    assert "--time=0-00:30:00" in text, "what it doesn't say is SLURM's default"


@pytest.mark.parametrize(
    ("user", "keywords", "words"),
    [
        ("jobqueue: {big: {}}", {"config_name": "bg"}, "unknown config_name 'bg': did you mean 'big'?"),
        ("jobqueue: {slurm: {walltime: 12:00:00}}", {}, "jobqueue.slurm: walltime 43200 is a number: write it in quotes"),
        ("jobqueue: {slurm: {walltime: 30}}", {}, "write it in quotes"),
        ("jobclusters: {walltime-margin: 5x}", {}, "jobclusters.walltime-margin: walltime '5x' can't be read"),
        ("jobclusters: {memory-headroom: 0.9}", {}, "must be a share between 0 and 0.5, not 0.9"),
        ("jobclusters: {memory_headroom: ten}", {}, "must be a share between 0 and 0.5, not 'ten'"),
        ("jobclusters: {memory-headroom: .nan}", {}, "must be a share between 0 and 0.5, not nan"),
        ("jobqueue: {slurm: {walltime: soon}}", {}, "walltime 'soon' can't be read"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(configure, user, keywords, words):
    configure(user=user)
    with pytest.raises(InvalidRequest) as caught:
        job_script("slurm", worker_size="large", **keywords)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("user", "use", "words"),
    [
        ("sizes: {x: {cores: 1}}", {"worker_size": "x"}, "jobclusters.sizes.x: memory missing"),
        ("sizes: {x: 5}", {"worker_size": "x"}, "jobclusters.sizes.x must be a mapping"),
        ("sizes: {x: {cores: 1, memory: 1 GB, slurm: {walltime: 1:30:00}}}", {"worker_size": "x"}, "sizes.x: walltime 5400 is a number"),
        ("queues: {slurm: {x: {cores: few}}}", {"queue": "x"}, "jobclusters.queues.slurm.x: cores must be a whole number"),
        ("spot: {slurm: {quue: x}}", {"worker_is_spot": True}, "unknown key of jobclusters.spot.slurm 'quue': did you mean 'queue'?"),
    ],
)  # fmt: skip
def test_a_wrong_entry_of_the_site_breaks_only_its_use(configure, home, caplog, user, use, words):
    configure(site=f"jobclusters: {{{user}}}")
    assert job_script("slurm", worker_size="large")
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"{home}/site/settings.yaml, line 1: ")
    assert words in warning
    with pytest.raises(InvalidRequest) as caught:
        job_script("slurm", **{"worker_size": "large", **use})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("memory-headrom: 1", "unknown key of jobclusters 'memory-headrom': did you mean 'memory-headroom'?"),
        ("local: {core: 1}", "unknown key of jobclusters.local 'core': did you mean 'cores'?"),
        ("spot: {slrum: {queue: x}}", "unknown key of jobclusters.spot 'slrum': did you mean 'slurm'?"),
        ("queues: {slurm: {a.b: {core: 1}}}", "unknown key of jobclusters.queues.slurm.a.b 'core': did you mean 'cores'?"),
    ],
)  # fmt: skip
def test_a_key_of_a_newer_version_is_a_warning(configure, home, caplog, user, words):
    configure(user=f"jobclusters:\n  {user}")
    for _ in range(2):
        assert job_script("slurm", worker_size="large")
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"{home}/user/settings.yaml, line 2: {words}")


def test_a_walltime_of_the_section_counts_only_where_the_call_has_none(configure):
    configure(site="jobqueue: {slurm: {walltime: 12:00:00}}")
    assert "--time=0-01:00:00\n" in job_script("slurm", worker_size="large", walltime="1h")


def test_keywords_of_ours_may_stand_in_a_section(configure):
    configure(user="jobqueue: {slurm: {qos: low, gpu-type: a100, nanny: false}}")
    text = job_script("slurm", worker_size="g4dnxlarge")
    assert "--qos=low" in text
    assert "--gpus-per-node=a100:1" in text
    assert "--no-nanny" in text


def test_headroom_is_the_sites_choice(configure):
    configure(site="jobclusters: {memory-headroom: 0.5}")
    assert "--memory-limit 7629MiB" in job_script("slurm", worker_size="large")


def test_spot(configure):
    configure(site="jobclusters: {spot: {slurm: {queue: cheap}}}")
    text = job_script("slurm", worker_size="large", worker_is_spot=True)
    assert "--partition=cheap\n" in text
    assert "--requeue\n" in text
    assert "--qos" not in text


@pytest.mark.parametrize("value", ["$TEMPLATES", "[/usr, $TEMPLATES]", "~/templates"])
def test_template_directories(configure, home, monkeypatch, value):
    (home / "templates").mkdir()
    (home / "templates" / "slurm.sh.j2").write_text("#!mine\n")
    monkeypatch.setenv("TEMPLATES", str(home / "templates"))
    configure(user=f"jobclusters: {{template-dirs: {value}}}")
    assert job_script("slurm", worker_size="large") == "#!mine\n"


def test_our_file_is_copied_once_as_comments(configure, home):
    copy = home / "user" / "jobclusters.yaml"
    job_script("slurm", worker_size="large")
    assert yaml.safe_load(copy.read_text()) is None, "a copy with settings would hide later defaults"
    assert "memory-headroom: 0.1" in copy.read_text()
    copy.write_text("jobclusters: {memory-headroom: 0.2}")
    config._introduce.cache_clear()
    config.load()
    assert copy.read_text() == "jobclusters: {memory-headroom: 0.2}"


def test_a_home_that_cannot_be_written_to_is_no_error(home, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setattr(dask.config, "PATH", str(home / "file" / "dask"))
    assert job_script("slurm", worker_size="large")


def test_our_files_sizes_have_no_key_that_we_would_refuse():
    defaults = yaml.safe_load(OWN.read_text())["jobclusters"]
    assert defaults["spot"] == {}
    assert set(config.ours()["spot"]) == set(DIALECTS)
    assert config.ours()["spot"]["slurm"] == {"queue": None, "qos": None}
    assert config.ours()["spot"]["pbs"] == {"queue": None}


def test_reading_leaves_other_settings_alone(configure):
    configure(user="distributed: {worker: {memory: {pause: 0.123}}}")
    config.load()
    assert dask.config.get("distributed.worker.memory.pause") == 0.123


@pytest.mark.parametrize("key", ["jobqueue.slurm.queue", "jobqueue.pbs.queue", "jobclusters.memory-headroom"])
@pytest.mark.parametrize("user", ["", "jobqueue: {slurm: {queue: user}}"])
def test_first_use_inside_a_block_of_settings(configure, key, user):
    configure(user=user)
    with dask.config.set({key: 0.2}):
        job_script("slurm", worker_size="large")
    queue = "--partition=user\n" in job_script("slurm", worker_size="large")
    assert queue == bool(user)
    assert dask.config.get("jobqueue.pbs.walltime") == "00:30:00"
    assert dask.config.get("jobclusters.memory-headroom") == 0.1


@pytest.mark.parametrize("name", [None, "mine"])
@pytest.mark.parametrize("again", [False, True])
def test_a_part_of_a_section(name, again):
    if again:
        job_script("slurm", worker_size="large")
    with dask.config.set({f"jobqueue.{name or 'slurm'}": {"queue": "here", "cores": 2, "memory": "1GB"}}):
        text = job_script("slurm", config_name=name)
    assert "--partition=here\n" in text
    assert "--time=0-00:30:00\n" in text
    assert "--partition" not in job_script("slurm", worker_size="large")


@pytest.mark.parametrize("settings", [{"jobqueue.slurm": None}, {"jobqueue": None}, {"jobclusters": None}])
def test_an_empty_section(settings):
    before = job_script("slurm", worker_size="large")
    with dask.config.set(settings):
        assert job_script("slurm", worker_size="large") == before


def test_unknown_settings_of_dask_jobqueue_are_ignored_but_reported_once(configure, home, caplog):
    configure(user="jobqueue: {once: {quue: x, zzz: y, queue: q}}")
    for _ in range(2):
        assert "--partition=q\n" in job_script("slurm", worker_size="large", config_name="once")
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"{home}/user/settings.yaml, line 1: jobqueue.once.quue means nothing here, and is ignored: did you mean 'queue'?",
        f"{home}/user/settings.yaml, line 1: jobqueue.once.zzz means nothing here, and is ignored",
    ]


@pytest.mark.parametrize(
    ("user", "keywords"),
    [
        ("", {"log_directory": "~/$WHERE"}),
        ("jobqueue: {slurm: {log-directory: ~/$WHERE/}}", {}),
        ("jobclusters: {sizes: {large: {log-directory: ~/$WHERE}}}", {}),
    ],
)
def test_log_directories_are_expanded_wherever_they_are_given(configure, home, monkeypatch, user, keywords):
    configure(user=user)
    monkeypatch.setenv("WHERE", "logs")
    assert f"--output={home}/logs/dask-worker-%j.out\n" in job_script("slurm", worker_size="large", **keywords)
