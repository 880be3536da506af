"""A directive of the user's own takes the place of ours that ask for the same, and what it says counts."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from jobclusters import InvalidRequest, LocalQueueCluster, job_script
from jobclusters.batch.commands import BatchCommands
from jobclusters.config import settings
from jobclusters.config.call import read_call
from jobclusters.config.head_options import head_spec
from jobclusters.dialects import DIALECTS
from jobclusters.jobs.logs import Output
from jobclusters.jobs.record import JobRecord
from tests.helpers.golden import NEEDED
from tests.helpers.waiting import PATIENCE

SIZE = {"cores": 2, "memory": "4 GiB", "queue": "normal", "walltime": "01:00:00"}


def directives(system, *own, **keywords):
    marker = DIALECTS[system].directive
    script = job_script(system, **{**SIZE, **keywords}, job_extra_directives=list(own))
    return [line.removeprefix(marker).strip() for line in script.splitlines() if line.startswith(f"{marker} ")]


@pytest.mark.parametrize(
    ("system", "own", "gone"),
    [
        ("slurm", "--mem-per-cpu=500M", "--mem="),
        ("slurm", "--mem-per-gpu 4G", "--mem="),
        ("slurm", "--gres=gpu:a100:2", "--gpus-per-node"),
        ("slurm", "-G 2", "--gpus-per-node"),
        ("slurm", "-c8", "--cpus-per-task=2"),
        ("slurm", "--cpus-per-gpu=4", "--cpus-per-task"),
        ("slurm", "-t 2:00:00", "--time="),
        ("slurm", "--time=2:00:00 --qos=low", "--time="),
        ("slurm", "-p debug", "--partition="),
        ("slurm", "-o /logs/%j", "--output="),
        ("pbs", "-l walltime=02:00:00", "-l walltime=01:"),
        ("pbs", "-l select=1:ncpus=4:mem=8gb,walltime=02:00:00", "-l select=1:ncpus=2"),
        ("pbs", "-lselect=1:ncpus=4", "-l select=1:ncpus=2"),
        ("pbs", "-q debug", "-q normal"),
        ("pbs", "-o /logs", "-o /own"),
        ("torque", "-l nodes=1:ppn=4", "-l nodes=1:ppn=2"),
        ("lsf", "-W 2:00", "-W 01:"),
        ("lsf", "-M 8000", "-M "),
        ("lsf", "-n 4", "-n 2"),
        ("lsf", "-oo /logs/x", "-o "),
        ("lsf", "-q debug", "-q normal"),
        ("sge", "-l h_rt=02:00:00", "-l h_rt=01:"),
        ("sge", "-l h_rt=02:00:00,h_vmem=8G", "-l h_vmem=4096M"),
        ("sge", "-q debug", "-q normal"),
        ("oar", "-q debug", "-q normal"),
        ("oar", "-O /logs", "-O /own"),
        ("oar", "--checkpoint 90", "--checkpoint "),
        ("local", "--time=02:00:00", "--time=01:"),
    ],
)  # fmt: skip
def test_ours_gives_way(system, own, gone):
    keywords = {"gpus": 2} if system == "slurm" else {}
    with_logs = {"log_directory": "/own", **keywords}
    before, after = directives(system, **with_logs), directives(system, own, **with_logs)
    assert any(line.startswith(gone) for line in before), "the test means nothing otherwise"
    assert not [line for line in after if line.startswith(gone) and line != own]
    assert own in after


def test_what_adds_to_ours_stays_beside_it():
    lines = directives("lsf", '-R "span[ptile=4]"', "-N")
    assert len([line for line in lines if line.startswith("-R")]) == 2
    assert directives("slurm", "--gres=scratch:10", gpus=2).count("--gpus-per-node=2") == 1
    assert "-l walltime=01:00:00" in directives("pbs", "-l place=excl", "-W umask=022")


@pytest.mark.parametrize(
    ("system", "keywords"),
    [
        ("slurm", {"job_extra_directives": ["-t 2:00:00"]}),
        ("slurm", {"job_extra_directives": {"--time=": "02:00:00"}}),
        ("pbs", {"job_extra_directives": ["-l walltime=2:00:00"]}),
        ("pbs", {"resource_spec": "select=1:ncpus=2:mem=4gb,walltime=02:00:00"}),
        ("torque", {"resource_spec": "nodes=1:ppn=2,walltime=7200"}),
        ("lsf", {"job_extra_directives": ["-W 2:00"]}),
        ("sge", {"job_extra_directives": ["-l h_rt=7200"]}),
        ("sge", {"resource_spec": "h_vmem=4G,h_rt=2:00:00"}),
        ("local", {"job_extra_directives": ["--time=02:00:00"]}),
    ],
)
def test_lifetime_and_explanation_follow_the_walltime(system, keywords):
    call = read_call(DIALECTS[system], {**SIZE, **keywords})
    assert call.spec.walltime == timedelta(hours=2)
    assert 3600 < call.spec.lifetime < 7200
    source = "resource_spec" if "resource_spec" in keywords else "job_extra_directives"
    assert call.explain({}, "")["walltime"].source == source
    times = [line for line in job_script(system, **{**SIZE, **keywords}).splitlines() if "01:00" in line]
    assert times == []


def test_a_walltime_that_only_the_system_can_read_sets_no_lifetime():
    spec = read_call(DIALECTS["slurm"], {**SIZE, "job_extra_directives": ["--time=$LONG"]}).spec
    assert (spec.walltime, spec.lifetime) == (None, None)


@pytest.mark.parametrize(
    ("system", "own", "line"),
    [
        ("slurm", "-J mine", "--job-name=mine"),
        ("slurm", "--job-name=mine", "--job-name=mine"),
        ("pbs", "-N mine", "-N mine"),
        ("lsf", "-J mine", "-J mine"),
        ("sge", "-N mine", "-N mine"),
        ("local", "--name=mine", "--name=mine"),
    ],
)
def test_a_name_becomes_ours_which_gets_its_unique_ending(system, own, line):
    assert directives(system, own).count(line) == 1
    spec = read_call(DIALECTS[system], {**SIZE, "job_extra_directives": [own]}).spec
    assert (spec.job_name, spec.directives) == ("mine", ())
    with pytest.raises(InvalidRequest, match="names the job beside other things: say job_name= instead"):
        directives(system, f"{own} --other=x" if own.startswith("--") else f"{own} -m n")


def test_limits_of_the_queue_that_a_directive_names_hold(configure):
    configure(site="jobclusters: {queues: {slurm: {debug: {walltime: '00:30:00'}, normal: {}}}}")
    with pytest.raises(InvalidRequest, match="walltime 01:00:00, but queue 'debug' allows 00:30:00"):
        directives("slurm", "-p debug")
    with pytest.raises(InvalidRequest, match="walltime 02:00:00, but queue 'debug' allows 00:30:00"):
        directives("slurm", "-t 2:00:00", queue="debug")


@pytest.mark.parametrize(
    "size", [{"cores": 2, "memory": "4 GiB"}, {"worker_size": "large"}, {"worker_memory": "4 GiB"}]
)
def test_memory_is_explained(size):
    call = read_call(DIALECTS["slurm"], {**size, "job_extra_directives": ["--mem=8000M"]})
    assert call.explain({}, "")["memory"] == ("7.812 GiB", "job_extra_directives")
    assert read_call(DIALECTS["slurm"], size).explain({}, "")["memory"].source != "job_extra_directives"


def test_memory_of_workers_follows_what_a_directive_asks_for():
    def limit(*own):
        return read_call(DIALECTS["slurm"], {**SIZE, "job_extra_directives": list(own)}).spec.memory_limit

    assert limit("--mem=8G") == limit("--mem-per-cpu=4096") == 2 * limit("--mem=4G")
    assert limit("--mem=0") == limit("--mem-per-gpu=1G") == limit()


@pytest.mark.parametrize(
    ("system", "own", "memory"),
    [
        ("pbs", ["-l select=1:ncpus=2:mem=8gb"], 8 << 30),
        ("pbs", ["-l select=ncpus=2:mem=8192mb:ngpus=1,walltime=02:00:00"], 8 << 30),
        ("pbs", ["-l ncpus=2,mem=8388608kb"], 8 << 30),
        ("pbs", ["-l select=2:ncpus=2:mem=8gb"], None),  # of several chunks nobody knows which the worker has
        ("pbs", ["-l select=1:ncpus=2:mem=2gb+1:ncpus=1"], None),
        ("torque", ["-l nodes=1:ppn=2,mem=8gb"], 8 << 30),
        ("lsf", ["-M 8388608"], 8 << 30),
        ("lsf", ["-M 8GB"], 8 << 30),
        ("sge", ["-l h_vmem=4G"], 8 << 30),
        ("sge", ["-l h_vmem=4096M,h_rt=02:00:00", "-pe smp 4"], 16 << 30),
        ("sge", ["-l h_vmem=4g"], 8 * 10**9),
        ("sge", ["-l mem_free=4G"], None),
        ("htcondor", ["request_memory = 8 GB"], 8 << 30),
        ("htcondor", ["Request_Memory=8192"], 8 << 30),
        ("htcondor", ["request_memory = MAX({100, Target.Memory})"], None),
        ("local", ["--memory=8192M"], 8 << 30),
    ],
)
def test_workers_get_the_memory_that_a_directive_asks_for(system, own, memory):
    call = {**SIZE, **NEEDED.get(system, {}), "parallel_environment": "smp"} if system == "sge" else SIZE
    spec, plain = (read_call(DIALECTS[system], {**call, **more}).spec for more in ({"job_extra_directives": own}, {}))
    assert spec.memory == (memory or plain.memory)
    assert spec.memory_limit == pytest.approx(plain.memory_limit * spec.memory / plain.memory, rel=0.01)


def test_a_keyword_of_the_call_wins_over_a_directive_of_the_site(configure):
    configure(site="jobqueue: {slurm: {job-extra-directives: ['--time=05:00:00', '-J site', --exclusive]}}")
    lines = directives_of_the_site(walltime="02:00:00", job_name="mine")
    assert "--time=0-02:00:00" in lines
    assert "--job-name=mine" in lines
    assert "--exclusive" in lines
    assert not [line for line in lines if "05:00:00" in line or "site" in line]
    lines = directives_of_the_site()
    assert "--job-name=site" in lines
    assert [line for line in lines if line.startswith("--time")] == ["--time=05:00:00"]


def directives_of_the_site(**keywords):
    script = job_script("slurm", cores=1, memory="1 GB", **keywords)
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]


@pytest.mark.parametrize(
    ("keywords", "hours"),
    [({}, 2), ({"scheduler_walltime": "08:00:00"}, 8), ({"scheduler_extra_directives": ["--time=09:00:00"]}, 9)],
)
def test_the_head_has_its_own_walltime(keywords, hours):
    """The directives of workers are its, too, but what the call says of the head is stronger."""
    call = read_call(DIALECTS["slurm"], {**SIZE, "head": "job", "job_extra_directives": ["-t 2:00:00"], **keywords})
    spec = head_spec(call, settings.site(DIALECTS["slurm"]), "mine")
    assert (spec.walltime, spec.job_name) == (timedelta(hours=hours), "dask-head-mine")
    assert ("-t 2:00:00" in spec.directives) == (hours == 2)


@pytest.mark.parametrize(
    ("system", "job_id", "own", "files"),
    [
        ("slurm", "7", ["-o /own/%x-%j.txt"], ["/own/dask-7.txt"]),
        ("slurm", "7_3;b", ["--output=own/%A-%a.txt", "-e own/%%-%A_%a"], ["own/%-7_3", "own/7-3.txt"]),
        ("slurm", "7_3", ["-e /own/errors"], ["/own/errors", "slurm-7_3.out"]),
        ("pbs", "7[3].server", ["-o host:/own/out.^array_index^"], ["/own/out.3"]),
        ("pbs", "7.server", ["-o own.txt"], ["own.txt"]),
        ("torque", "7[3].server", ["-o /own/$PBS_JOBNAME.${PBS_ARRAYID}"], ["/own/dask.3-3"]),
        ("lsf", "7[3]", ["-oo own/%J.%I"], ["own/7.3"]),
        ("lsf", "7", ["-o '/my own/%J.%I'", "-eo /own/err"], ["/own/err", "/my own/7.0"]),
        ("sge", "7.3", ["-o :/own/$JOB_NAME.$JOB_ID.$TASK_ID"], ["/own/dask.7.3"]),
        ("oar", "7", ["-O own/%jobname%.%jobid%"], ["own/dask.7", "OAR.dask.7.stderr"]),
        ("oar", "7", ["--stderr=own/%jobid%"], ["own/7", "OAR.dask.7.stdout"]),
        ("htcondor", "7.3", ["Output = own/$(Cluster).$(ProcId)"], ["own/7.3", "./dask-7.3.err"]),
        ("htcondor", "7.3", ["error=own/$(ClusterId).$(Process)"], ["own/7.3", "./dask-7.3.out"]),
    ],
)
def test_logs_are_read_where_a_directive_puts_them(system, job_id, own, files):
    queue = BatchCommands(DIALECTS[system])
    assert queue.log_files(job_id, None, "dask", own) == [os.path.join(os.getcwd(), name) for name in files]


@pytest.mark.parametrize(
    ("system", "job_id", "own"),
    [
        ("slurm", "7_3", "-o /own/%j.txt"),  # an id that the element alone has
        ("slurm", "7", "-o /own/%N.txt"),
        ("pbs", "7.server", "-o /own/$LOGNAME"),
        ("torque", "7.server", "-o /own/$PBS_O_QUEUE"),
        ("lsf", "7", "-o /own/%U"),
        ("sge", "7", "-o /own/$HOSTNAME"),
        ("oar", "7", "-O /own/%host%"),
        ("htcondor", "7.0", "output = /own/$(Owner)"),
    ],
)
def test_logs_that_only_the_batch_system_can_find_are_said_to_be_there(system, job_id, own):
    (said,) = logs_of(system, job_id, own).values()
    where = re.split("[ =]+", own)[-1]
    title = DIALECTS[system].title
    assert said == f"[not found: a directive puts it into {where}, a name that only {title} can complete]\n"


@pytest.mark.parametrize(
    ("system", "job_id", "name"),
    [("sge", "7.3", "dask-0.o7.3"), ("pbs", "7.server", "dask-0.o7"), ("slurm", "7", "slurm-7.out")],
)
def test_logs_are_found_in_a_directory_that_a_directive_names(tmp_path, system, job_id, name):
    (tmp_path / name).write_text("it printed this\n")
    assert logs_of(system, job_id, f"-o {tmp_path}") == {job_id: "it printed this\n"}


def test_logs_of_this_machine_are_read_where_a_directive_puts_them(tmp_path):
    own = [f"--output={tmp_path}/mine-%j.txt"]
    with LocalQueueCluster(
        cores=1, memory="512 MB", job_extra_directives=own, job_script_prologue=["echo hello"], n_workers=1
    ) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE)
        ((job_id, log),) = cluster.get_job_logs().items()
        assert log.startswith("hello\n")
        assert [each.name for each in tmp_path.iterdir()] == [f"mine-{job_id}.txt"]


def logs_of(system, job_id, own):
    """Read the log of a job with a directive."""
    spec = replace(read_call(DIALECTS[system], {**SIZE, "job_extra_directives": [own]}).spec, log_directory=None)
    record = JobRecord("worker-0", 0, spec)
    record.job_id, record.job_name = job_id, "dask-0"
    return Output(BatchCommands(DIALECTS[system])).read({job_id: record}, None, None)
