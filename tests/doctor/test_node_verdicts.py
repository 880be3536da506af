"""What the doctor says of what it finds."""

from __future__ import annotations

import pytest

from jobclusters.config.call import read_call
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Reply
from jobclusters.doctor import node_verdicts
from jobclusters.doctor import node_verdicts as node

SLURM = DIALECTS["slurm"]


def spec(**keywords):
    return read_call(SLURM, {"worker_cpu": 4, "worker_memory": "8 GiB", **keywords}).spec


def found(**more):
    packages = {name: {"version": "2026.8.0", "error": ""} for name in ("dask", "distributed", "jobclusters")}
    return {"python": "3.11.2", "executable": "/usr/bin/python3", "packages": packages, **more}


def encryption(ours, pythons, *, off=False):
    return node_verdicts.encryption("3.13.5", "OpenSSL 3.5.9 29 Sep 2026", ours, pythons, off=off)


HERE = {"python": "3.11.7", "dask": "2026.8.0", "distributed": "2026.8.0"}


def kind_and_text(verdict):
    return verdict.verdict, f"{verdict.says}; {verdict.do}"


@pytest.mark.parametrize(
    ("verdict", "expected", "words"),
    [
        (node_verdicts.batch_system(SLURM, [], "slurm 22.05"), "ok", "SLURM (slurm 22.05)"),
        (node_verdicts.batch_system(SLURM, ["scancel"], ""), "wrong", "SLURM's scancel can't be found"),
        (node_verdicts.queue(None, None), "ok", "the batch system chooses"),
        (node_verdicts.queue("normal", ["normal", "gpu"]), "ok", "normal is there"),
        (node_verdicts.queue("normal,gpu", ["normal", "gpu"]), "ok", "normal,gpu is there"),
        (node_verdicts.queue("all.q@node1", ["all.q"]), "ok", "is there"),
        (node_verdicts.queue("*.q", ["all.q"]), "ok", "is there"),
        (
            node_verdicts.queue("nrmal", ["normal", "gpu"]),
            "wrong",
            "did you mean 'normal'? Valid: gpu, normal; name one",
        ),
        (node_verdicts.queue("normal", None), "unchecked", "can't be listed"),
        (node_verdicts.account("lab", {"lab": None}), "ok", "lab"),
        (node_verdicts.account("lab", {"lab": 5, "x": 1}), "ok", "at most 5 jobs at once"),
        (node_verdicts.account(None, {"lab": None}), "ok", "lab"),
        (node_verdicts.account("bal", {"lab": None, "x": None}), "wrong", "no account 'bal'; yours: lab, x"),
        (node_verdicts.open_files(None), "ok", "any number of"),
        (node_verdicts.open_files(256), "wrong", "only 256 open files"),
        (encryption("", ""), "ok", "Python 3.13.5 with OpenSSL 3.5.9: connections outlast"),
        (
            encryption("", "BrokenPipeError"),
            "ok",
            "a cluster's connections outlast one that breaks off; others don't (Bro",
        ),
        (encryption("BrokenPipeError", "BrokenPipeError"), "wrong", "(BrokenPipeError); use a Python with OpenSSL 3.3"),
        (encryption("Broken", "Broken", off=True), "wrong", "leave out jobclusters.guard-tls: false"),
        (node_verdicts.chunk_size(128 * 2**20, spec()), "ok", "a thread has 1843 MiB"),
        (node_verdicts.chunk_size(128 * 2**20, spec(worker_memory="1 GiB")), "wrong", "'array.chunk-size': '57 MiB'"),
        (node.way_back("10.0.0.9", ""), "ok", "10.0.0.9 is reached from this machine"),
        (node.way_back("10.0.0.9", "timed out"), "wrong", "isn't reached from this machine: timed out; ask"),
        (node.shared_directory("/home/me", ""), "ok", "is seen"),
        (node.shared_directory("/tmp/x", "No such file"), "wrong", "No such file; set jobclusters.directory"),
        (node_verdicts.log_directory("/home/me", True), "ok", "arrived"),
        (node_verdicts.log_directory("/tmp/x", False), "wrong", "set --log-directory"),
        (node_verdicts.log_directory("/tmp/x", False, ended=False), "unchecked", "the job hasn't ended yet"),
        (node.tls_files({}), "ok", "none are configured"),
        (node.tls_files({"/a": "", "/b": ""}), "ok", "/a, /b can be read"),
        (node.tls_files({"/a": "", "/b": "No such file"}), "wrong", "/b can't be read on the node: No such file"),
        (node.clocks(None), "unchecked", "can't be compared"),
        (node.clocks(-0.1), "ok", "0.10 s"),
        (node.clocks(-90.0), "wrong", "90 s behind"),
        (node.clocks(90.0), "wrong", "90 s ahead of"),
        (node.limits_there([1024, None], [None, None], spec()), "ok", "any number of open files"),
        (node.limits_there([64, 4096], [4096, 4096], spec()), "ok", "4096 open files and 4096 processes"),
        (node.limits_there([64, 64], [None, None], spec()), "wrong", "ulimit -n 4096"),
        (node.limits_there([None, None], [10, 10], spec()), "wrong", "ulimit -u"),
        (node.software(found(), HERE), "ok", "Python 3.11.2 and distributed 2026.8.0, as here"),
        (node.software(found(python="3.12.0"), HERE), "wrong", "python 3.12.0 there and 3.11.7 here"),
    ],
)
def test_verdicts(verdict, expected, words):
    kind, text = kind_and_text(verdict)
    assert kind == expected
    assert words in text
    assert bool(verdict.do) == (kind == "wrong"), "what is wrong comes with one thing to do, and nothing else does"


def test_another_distributed_is_reported():
    there = found()
    there["packages"]["distributed"]["version"] = "2024.1.0"
    assert "distributed 2024.1.0 there and 2026.8.0 here" in node.software(there, HERE).says
    there["packages"]["distributed"] = {"version": "", "error": "ModuleNotFoundError: No module named 'distributed'"}
    verdict = node.software(there, HERE)
    assert "/usr/bin/python3 on the node can't import distributed: ModuleNotFoundError" in verdict.says


def test_an_address_that_nodes_reach_is_named():
    names = {"10.1.0.1": "ib0"}
    good = node.address("10.0.0.1", "eth0", {"10.0.0.1": "", "10.1.0.1": ""}, names)
    assert kind_and_text(good) == ("ok", "10.0.0.1 (eth0) is reached from the node; ")
    other = node.address("10.0.0.1", "eth0", {"10.0.0.1": "timed out", "10.1.0.1": ""}, names)
    assert other.says == "10.0.0.1 (eth0) isn't reached from the node: timed out"
    assert other.do.startswith("--interface ib0")
    none = node.address("10.0.0.1", None, {"10.0.0.1": "timed out", "10.1.0.1": "timed out"}, names)
    assert "firewall" in none.do


@pytest.mark.parametrize(
    ("hint", "check"),
    [
        ("the log directory or the working directory can't be used on the node", "log directory"),
        ("Python was not found on the node", "Python there"),
        ("", "probe job"),
    ],
)
def test_a_silent_job_is_reported_where_it_belongs(hint, check):
    verdict = node_verdicts.silent("12", "FAILED, exit code 1, on c1", hint, ["last words"])
    assert verdict.check == check
    assert "job 12" in verdict.says
    assert "FAILED, exit code 1, on c1" in verdict.says
    assert "\n    | last words" in verdict.says
    assert verdict.do


def test_a_job_that_waits_is_reported():
    assert "--wait" in node_verdicts.waiting("12", "PENDING (Resources)", 60, {"Never"}, "Resources").do
    assert "can never start" in node_verdicts.waiting("12", "PENDING (Never)", 60, {"Never"}, "Never").says


# Recorded in SLURM 22.05 and Grid Engine 8.1.9; openlava's and PBS's as their manuals show them.
QUEUES = {
    "slurm": ("normal\ndebug\nspot\nnormal\n", ["normal", "debug", "spot"]),
    "sge": (
        "CLUSTER QUEUE                   CQLOAD   USED    RES  AVAIL  TOTAL aoACDS  cdsuE  \n"
        + "-" * 80
        + "\nall.q                             1.49      0      0     64     64      0      0 \n"
        "short.q                           1.49      0      0     64     64      0      0 \n",
        ["all.q", "short.q"],
    ),
    "pbs": (
        "Queue: workq\n    queue_type = Execution\n\nQueue: a_queue_with_a_long_name\n    total_jobs = 0\n",
        ["workq", "a_queue_with_a_long_name"],
    ),
    "torque": ("Queue: batch\n    queue_type = Execution\n", ["batch"]),
    "lsf": (
        "QUEUE_NAME      PRIO STATUS          MAX NJOBS\nnormal           30  Open:Active       -     0\n",
        ["normal"],
    ),
}


@pytest.mark.parametrize("name", QUEUES)
def test_queues_are_read(name):
    text, names = QUEUES[name]
    dialect = DIALECTS[name]
    assert dialect.version_argv
    assert dialect.parse_queues(Reply(dialect.queues_argv, 0, text)) == names


def test_accounts_are_read():
    argv = SLURM.accounts_argv("alice")
    assert "user=alice" in argv
    assert SLURM.parse_accounts(Reply(tuple(argv), 0, "lab|\nother|20\n")) == {"lab": None, "other": 20}
