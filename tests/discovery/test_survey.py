"""``jobclusters discover`` on batch systems whose commands print recorded replies."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import dask.config
import pytest
import yaml

from jobclusters import InvalidRequest, job_script
from jobclusters.config import settings
from jobclusters.dialects import DIALECTS
from jobclusters.discovery import SURVEYS, survey
from jobclusters.errors import NoBatchSystem, Unavailable
from tests.helpers.recorded import recorded
from tests.helpers.waiting import PATIENCE

SLURM = {
    "sbatch": {},
    "scontrol": {key: f"discover-{key}" for key in ("partitions", "nodes", "settings")},
    "sacctmgr": {key: f"discover-{key}" for key in ("accounts", "qos")},
}
#: What tells the questions of a command apart.
WORDS = {
    "partitions": "partition",
    "nodes": "node",
    "settings": "config",
    "accounts": "assoc",
    "qos": "name,preempt",
}


def command(path, name, cases):
    lines = ["#!/bin/sh"]
    for word, reply in cases.items():
        body = f"cat <<'END'\n{reply.out}\nEND\n" if reply.out else ""
        body += f"echo {shlex.quote(reply.err)} >&2\n" if reply.err else ""
        lines.append(f'case "$*" in *{word}*)\n{body}exit {reply.status};;\nesac')
    file = Path(path, name)
    file.write_text("\n".join([*lines, "exit 0\n"]))
    file.chmod(0o755)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put SLURM's commands on the PATH."""
    path = tmp_path / "bin"
    path.mkdir()
    for name, replies in SLURM.items():
        command(path, name, {WORDS[key]: recorded("slurm", file) for key, file in replies.items()})
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    return path


RUN = [sys.executable, "-c", "from jobclusters.cli.discover import command; command(prog_name='discover')"]


def run(*args, **options):
    return subprocess.run([*RUN, *args], capture_output=True, text=True, timeout=PATIENCE, check=False, **options)


def fails(done, *words):
    """One line that says what is wrong, and what to do."""
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    for word in words:
        assert word in last
    return last


def test_prints_what_it_finds(slurm):
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    section = yaml.safe_load(done.stdout)["jobclusters"]
    assert list(section["queues"]["slurm"]) == ["normal", "debug", "spot", "big"]
    assert list(section["sizes"]) == ["node", "half-node", "quarter-node", "v100", "2xv100", "4xv100"]


def test_json(slurm):
    facts = json.loads(run("--json").stdout)
    assert (facts["system"], [queue["name"] for queue in facts["queues"]]) == (
        "slurm",
        ["normal", "debug", "spot", "big"],
    )


def test_writes_to_the_users_configuration_which_then_holds(slurm, home):
    done = run("--write")
    path = home / "user" / "jobclusters.yaml"
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"Wrote {path}. Sizes for this site: node, half-node, quarter-node, v100, 2xv100, 4xv100\n"
    dask.config.refresh(paths=dask.config.paths)
    assert "#SBATCH --partition=big\n" in job_script("slurm", worker_size="node")
    with pytest.raises(InvalidRequest, match="no listed queue holds the job"):
        job_script("slurm", cores=65, memory="1 GB")


def test_replaces_our_own_copy_of_the_defaults_only(slurm, home):
    settings.load()
    path = home / "user" / "jobclusters.yaml"
    assert path.read_text().startswith("# The settings of jobclusters")
    assert run("--write").returncode == 0
    path.write_text(mine := "jobclusters: {memory-headroom: 0.2}\n")
    fails(run("--write"), f"{path} is there already: --force replaces it, --output FILE writes another one")
    assert path.read_text() == mine
    assert run("--write", "--force").returncode == 0
    assert "quarter-node" in path.read_text()


@pytest.mark.parametrize(("answer", "replaced"), [("y", True), ("n", False), ("", False), ("\x04", False)])
def test_asks_before_it_replaces(slurm, tmp_path, answer, replaced):
    path = tmp_path / "mine.yaml"
    path.write_text("mine: 1\n")
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*RUN, "--output", path], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(ours, 1000)
    assert f"{path} is there already. Replace it?" in seen.decode()
    os.write(ours, answer.encode() + (b"" if answer == "\x04" else b"\n"))
    try:
        while chunk := os.read(ours, 1000):
            seen += chunk
    except OSError:  # the terminal is gone
        pass
    assert (process.wait(100) == 0) == replaced
    assert b"Traceback" not in seen
    assert ("quarter-node" in path.read_text()) == replaced


def test_places_that_are_none(slurm, tmp_path):
    fails(run("--output", str(tmp_path)), f"{tmp_path} is a directory: name a file in it")
    (tmp_path / "file").write_text("")
    fails(run("--output", str(tmp_path / "file" / "x.yaml")), "can't be written (File exists): choose another place")
    fails(run("--output", "/proc/nothing/here.yaml"), "can't be written (")
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "file"}, "nothing half-written is left"


def test_a_link_stays_a_link(slurm, tmp_path):
    (tmp_path / "real.yaml").write_text("")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    assert run("--output", str(tmp_path / "link.yaml")).returncode == 0
    assert (tmp_path / "link.yaml").is_symlink()
    assert "quarter-node" in (tmp_path / "real.yaml").read_text()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--system", "slrum"], "unknown batch system 'slrum': did you mean 'slurm'?"),
        (["--system", "lsf"], "no LSF here: bsub is not on the PATH of this machine"),
        (["--write", "--output", "x"], "--output and --write: give only one of them"),
        (["--json", "--write"], "--json prints"),
        (["--timeout", "0"], "Invalid value for '--timeout'"),
        (["--outptu", "x"], "No such option"),
    ],
)
def test_wrong_calls(slurm, args, words):
    fails(run(*args), words)


def test_a_failure_keeps_the_batch_systems_words(slurm):
    error = "slurm_load_partitions: Unable to contact slurm controller (connect failure)"
    command(slurm, "scontrol", {"partition": recorded("slurm", "detail-gone").__class__(("x",), 1, "", error)})
    fails(run(), "scontrol -o show partition failed with exit status 1", error)


def test_a_command_that_hangs(slurm):
    Path(slurm, "scontrol").write_text("#!/bin/sh\nexec sleep 1000\n")
    fails(run("--timeout", "0.5"), "scontrol -o show partition did not answer in time")


def test_ctrl_c_leaves_nothing(slurm, tmp_path):
    Path(slurm, "scontrol").write_text(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 1000\n")
    process = subprocess.Popen(
        [*RUN, "--output", str(tmp_path / "x.yaml")], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    pids = tmp_path / "pids"
    while not (pids.exists() and len(pids.read_text().split()) == 3):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert not (tmp_path / "x.yaml").exists()
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_an_interrupt_waits_until_all_commands_are_gone(monkeypatch):
    running, gone, all_run = [], [], asyncio.Event()

    async def command(argv, **_):
        running.append(argv)
        if len(running) == 3:
            all_run.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(len(argv)):  # some take longer to go than others
                await asyncio.sleep(0)
            gone.append(argv)

    async def interrupted():
        asking = asyncio.ensure_future(survey.ask(SURVEYS["slurm"], DIALECTS["slurm"], survey.this_user(), 100))
        await all_run.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return sorted(gone)

    monkeypatch.setattr(survey.shell, "run", command)
    assert asyncio.run(interrupted()) == sorted(running)


def test_this_machine(home, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with dask.config.set({"jobclusters.local": {"cores": 8, "memory": "64 GiB", "gpus": 2}}):
        text = survey.as_yaml(survey.discover())
    section = yaml.safe_load(text)["jobclusters"]
    assert section["sizes"]["node"] == {"label": "Node", "cores": 8, "memory": "68 GB"}
    assert section["sizes"]["2xgpu"] == {"label": "2 GPUs", "cores": 8, "memory": "68 GB", "gpus": 2}
    assert section.keys() == {"sizes"}


def test_from_python(slurm, monkeypatch):
    assert [queue.name for queue in survey.discover("slurm").queues] == ["normal", "debug", "spot", "big"]
    with pytest.raises(InvalidRequest, match="unknown batch system 'condor'"):
        survey.discover("condor")
    with pytest.raises(NoBatchSystem, match="no Grid Engine here"):
        survey.discover("sge")
    command(slurm, "scontrol", {})
    with pytest.raises(Unavailable, match="there is no queue that takes jobs"):
        survey.discover("slurm")


def test_who_asks():
    who = survey.this_user()
    assert who.name == subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    names = subprocess.run(["id", "-Gn"], capture_output=True, text=True, check=True).stdout.split()
    assert who.groups == set(names)
