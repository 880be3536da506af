"""Workers as forks of one Python that has imported Dask: they are what new Pythons would be, and nothing rests on it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import dask.config
import psutil
import pytest

from jobclusters import LocalQueueCluster
from jobclusters.config.dask_settings import pre_spawn_environ
from tests.helpers.waiting import PATIENCE, until

#: What a job's script does first, and the way of both kinds.
BEGIN = """
import json, multiprocessing, os, resource, signal, subprocess, sys, threading, time
from multiprocessing import util
anew = util.spawnv_passfds
from jobclusters.forkserver import start
start()
def run(how, code, *words, fds=()):
    return how(os.fsencode(sys.executable), [sys.executable, "-c", code, *words], fds)
def told(how, code, *words):
    read, write = os.pipe()
    pid = run(how, f"answer = {write}\\n{code}", *words, fds=[write])
    os.close(write)
    with open(read) as file: text = file.read()
    return text, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def line(pid): return open(f"/proc/{pid}/cmdline", "rb").read()
def is_fork(process): return line(process.pid) == line("self")
forks = util.spawnv_passfds
forked = forks is not anew
"""
PROBE = """
known = sorted(name for name in globals() if not name.startswith("__"))
import atexit, json, os, resource, signal, sys, threading
numbers = [number for number in signal.valid_signals() if number not in (9, 19)]
files = {}
for name in os.listdir("/proc/self/fd"):
    try:
        if ".so" not in os.readlink("/proc/self/fd/" + name):  # newer libffis keep their own file open
            files[name] = os.get_inheritable(int(name))
    except OSError: pass
found = {
    "name": __name__, "known": known, "words": sys.argv, "main": sys.modules["__main__"].__dict__ is globals(),
    "file": hasattr(sys.modules["__main__"], "__file__"), "environment": dict(os.environ), "files": files,
    "directory": os.getcwd(), "parent": os.getppid(), "session": os.getsid(0), "group": os.getpgid(0),
    "signals": {number: str(signal.getsignal(number)).split(" at ")[0] for number in numbers},
    "ignored": [line for line in open("/proc/self/status") if line.startswith(("SigIgn", "SigBlk", "Umask", "Threads"))],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "wakeup": signal.set_wakeup_fd(-1),
    "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")],
    "processors": sorted(os.sched_getaffinity(0)), "nice": os.nice(0), "hash": hash("a"), "encoding": sys.stdout.encoding,
    "thread": threading.current_thread() is threading.main_thread(), "standard": [f.fileno() for f in (sys.stdin, sys.stdout)],
}
os.write(answer, json.dumps(found).encode())
atexit.register(os.write, answer, b"\\nbye")
"""


def environment(**more):
    """Give the variables that the script sets."""
    return {**os.environ, **pre_spawn_environ(), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **more}


def python(code, *, begin=BEGIN, rc=0, **how):
    """Run a Python that is prepared as a job's; give what it prints as its last line."""
    how.setdefault("env", environment())
    text = begin + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=PATIENCE, check=False, **how
    )
    assert done.returncode == rc, done.stderr
    assert rc or done.stdout, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


# -- a fork and a new Python -------------------------------------------------------------------------------------------


def test_a_fork_finds_what_a_new_python_finds(tmp_path):
    """Of its process and around it; what multiprocessing changes, and what it imports, is its own."""
    leaked = os.open(tmp_path, os.O_RDONLY)
    code = f"""
    assert forked
    signal.signal(signal.SIGTERM, print); signal.signal(signal.SIGINT, print)
    os.environ["__DASK_PARENT_PID"] = "1"
    mine = os.open({str(tmp_path)!r}, os.O_RDONLY)  # not handed down
    both = []
    def compare(): both.extend((told(anew, {PROBE!r}, "a word"), told(forks, {PROBE!r}, "a word")))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    thread = threading.Thread(target=compare); thread.start(); thread.join()  # as Dask does
    print(json.dumps([*both, os.getpid()]))
    """

    def ignores():
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # what the script does for a batch system's warnings

    new, fork, main = python(code, pass_fds=[leaked], env=environment(NAME="ä"), preexec_fn=ignores)
    os.close(leaked)
    assert new[1] == fork[1] == 0
    found = [json.loads(text.splitlines()[0]) for text, _ in (new, fork)]
    for each in found:
        assert each["environment"].pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python sets it for itself
    assert found[0] == found[1]
    assert found[1]["parent"] == main
    assert [text.splitlines()[1:] for text, _ in (new, fork)] == [["bye"], ["bye"]]


def test_a_fork_ends_as_a_new_python_does():
    """And not as the Python that it is a fork of, whose worker would start once more."""
    ends = [
        "pass",
        "raise ValueError('no')",
        "import sys; sys.exit(3)",
        "import sys; sys.exit('no')",
        "1 +",
        "import no",
    ]
    code = f"""
    print(json.dumps([[told(how, end)[1] for end in {ends!r}] for how in (anew, forks)]))
    """
    assert python(code) == [[0, 1, 3, 1, 1, 1]] * 2


WORKER = """
import json, os, random, signal, sys, time, uuid
def files():
    for name in os.listdir("/proc/self/fd"):
        try: yield os.readlink("/proc/self/fd/" + name)
        except OSError: pass
def describe(pipe):
    import multiprocessing, threading
    process = multiprocessing.current_process()
    pipe.send({
        "path": sys.path, "words": sys.argv, "directory": os.getcwd(), "parent": multiprocessing.parent_process().pid,
        "method": multiprocessing.get_start_method(allow_none=True), "name": process.name, "daemon": process.daemon,
        "key": process.authkey.hex(), "input": os.readlink("/proc/self/fd/0"), "files": sum(".so" not in each for each in files()),
        "main": sys.modules["__main__"].__name__, "own": [uuid.uuid4().hex, random.random()],
    })
    sys.exit(3)
def segfault(pipe): os.kill(os.getpid(), signal.SIGSEGV)
def leave(pipe): os._exit(9)
def fail(pipe): raise ValueError("no")
def stay(pipe):
    pipe.send(os.getppid())
    time.sleep(600)
"""


@pytest.fixture
def targets(tmp_path):
    (tmp_path / "targets.py").write_text(WORKER)
    return environment(PYTHONPATH=os.pathsep.join([str(tmp_path), *(p for p in sys.path if p)]))


def test_multiprocessing_makes_the_same_of_both(targets):
    code = """
    import targets
    found, codes = [], []
    for how in (anew, forks):
        util.spawnv_passfds = how
        context = multiprocessing.get_context("spawn")
        for target in (targets.describe, targets.segfault, targets.leave, targets.fail):
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=[theirs], name="mine", daemon=True)
            process.start()
            forked = is_fork(process)
            theirs.close()
            if target is targets.describe: found.append({**ours.recv(), "forked": forked})
            process.join()
            codes.append(process.exitcode)
    print(json.dumps([found, codes]))
    """
    (new, fork), codes = python(code, env=targets)
    assert codes == [3, -11, 9, 1] * 2
    assert (new.pop("forked"), fork.pop("forked")) == (False, True)
    assert set(new.pop("own")).isdisjoint(fork.pop("own"))
    assert new == fork


def test_what_a_new_python_would_have_of_the_nanny_since_is_no_forks(targets, tmp_path):
    """A preload of the site's, or a plugin, may have changed it."""
    code = """
    import targets
    context = multiprocessing.get_context("spawn")
    def works_as_fork():
        ours, theirs = context.Pipe()
        process = context.Process(target=targets.stay, args=[theirs])
        process.start()
        ours.recv()
        found = is_fork(process)
        process.kill()
        return found
    here, limit, cores = os.getcwd(), resource.getrlimit(resource.RLIMIT_CORE), os.sched_getaffinity(0)
    installed = os.stat("site-packages").st_mtime_ns
    def forks_within(change, back):
        change()
        found = works_as_fork()
        back()
        return found
    setenv, unset = os.environ.__setitem__, os.environ.__delitem__
    both = [
        (lambda: setenv("__DASK_PARENT_PID", "1"), lambda: None),
        (lambda: setenv("MORE", "1"), lambda: unset("MORE")),
        (lambda: os.umask(0o7), lambda: os.umask(0o22)),
        (lambda: os.chdir("/"), lambda: os.chdir(here)),
        (lambda: setenv("OMP_NUM_THREADS", "3"), lambda: setenv("OMP_NUM_THREADS", "1")),
        (lambda: setenv("MALLOC_ARENA_MAX", "1"), lambda: unset("MALLOC_ARENA_MAX")),
        (lambda: setenv("PYTHONHASHSEED", "1"), lambda: setenv("PYTHONHASHSEED", "6640")),
        (lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, limit[1])), lambda: resource.setrlimit(resource.RLIMIT_CORE, limit)),
        (lambda: os.mkdir("site-packages/new"), lambda: os.utime("site-packages", ns=(installed, installed))),
    ]
    if len(cores) > 1: both.append((lambda: os.sched_setaffinity(0, {min(cores)}), lambda: os.sched_setaffinity(0, cores)))
    os.umask(0o22)
    first, *others = [forks_within(*each) for each in both]
    print(json.dumps([works_as_fork(), first, any(others), works_as_fork()]))
    """
    (tmp_path / "site-packages").mkdir()
    targets["PYTHONPATH"] += f":{tmp_path}/site-packages"
    begin = f"import os, resource; os.umask(0o22); resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192)){BEGIN}"
    assert python(code, begin=begin, env=targets, cwd=tmp_path) == [True, True, False, True]


METHOD = "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD"
THREAD = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
GPU = """
import os
of = os.readlink
os.readlink = lambda path: "/dev/nvidiactl" if path.startswith("/proc/self/fd/") else of(path)
"""
LOG = """
import io, logging
stream = io.StringIO()
logging.getLogger("distributed.nanny").addHandler(logging.StreamHandler(stream))
logging.getLogger("distributed.nanny").setLevel("DEBUG")
"""


@pytest.mark.parametrize(
    ("before", "more", "because"),
    [
        (THREAD, {}, "this Python has threads"),
        ("", {"PYTHONHASHSEED": "1"}, "Python started without PYTHONHASHSEED=6640"),
        ("", {METHOD: "forkserver"}, "distributed.worker.multiprocessing-method is forkserver"),
        ("import ctypes; ctypes.CDLL = None", {}, ""),
        ("import os; del os.fork", {}, ""),
        ("import marshal; marshal.load = None", {}, "a process that was tried has failed"),
        (GPU, {}, "a package uses a GPU already"),
    ],
)
def test_where_workers_cant_be_forks_they_are_new_pythons(before, more, because):
    begin = f"{before}{LOG}{BEGIN}"
    code = """
    answer = told(forks, 'import os; os.write(answer, b"1")')
    children = open(f"/proc/self/task/{os.getpid()}/children").read()
    print(json.dumps([forked, len(util._finalizer_registry), answer, children, stream.getvalue()]))
    """
    *found, log = python(code, begin=begin, env=environment(**more))
    assert found == [False, 0, ["1", 0], ""]
    assert log.startswith(f"Workers import Dask anew: {because}")


def test_a_library_with_threads_that_knows_of_forks_may_be_there():
    """numpy's OpenBLAS has as many threads as OMP_NUM_THREADS says, from its import on."""
    pytest.importorskip("numpy")
    work = "import os, numpy; a = numpy.ones((500, 500)); os.write(answer, str((a @ a).sum()).encode())"
    code = f"""
    import numpy
    a = numpy.ones((500, 500))
    print(json.dumps([forked, (a @ a).sum(), told(forks, {work!r})]))
    """
    more = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    assert python(code, env=environment(**more)) == [True, 1.25e8, ["125000000.0", 0]]


def test_a_log_that_is_a_file_stays_one(tmp_path):
    """It is open before the fork, under a number that a worker's pipes must not get."""
    begin = f"""
import os
log = os.dup2(os.open({str(tmp_path / "log")!r}, os.O_RDWR | os.O_CREAT), 50, inheritable=False)
{BEGIN}"""
    code = """
    before = told(forks, "os = __import__('os'); os.write(50, b'logged '); os.write(answer, b'1')")
    os.dup2(os.open("/dev/null", os.O_WRONLY), 50)
    pid = run(forks, "import time; time.sleep(600)", fds=[50])
    found = line(pid) == line("self")
    os.kill(pid, signal.SIGKILL)
    print(json.dumps([forked, before, found]))
    """
    assert python(code, begin=begin) == [True, ["1", 0], False]
    assert (tmp_path / "log").read_text() == "logged "


# -- the end of the server, and of those it serves ---------------------------------------------------------------------

SERVER = """
import targets
context = multiprocessing.get_context("spawn")
def worker():
    ours, theirs = context.Pipe()
    process = context.Process(target=targets.stay, args=[theirs], daemon=True)
    process.start()
    theirs.close()
    assert ours.recv() == os.getpid()
    return process
(server,) = [int(pid) for pid in open(f"/proc/self/task/{os.getpid()}/children").read().split()]
first = worker()
"""


def test_signals_to_all_processes_of_the_job_leave_the_server(targets):
    code = """
    faults = {9, 4, 5, 6, 7, 8, 11, 31, 19, 20, 21, 22}
    for number in signal.valid_signals() - faults: os.kill(server, number)
    print(json.dumps([is_fork(worker()), is_fork(first), os.waitpid(server, os.WNOHANG)[0]]))
    """
    assert python(SERVER + textwrap.dedent(code), env=targets) == [True, True, 0]


def test_workers_outlive_the_server_and_new_ones_are_new_pythons(targets):
    code = """
    os.kill(server, signal.SIGKILL)
    second, third = worker(), worker()
    found = [is_fork(first), first.is_alive(), is_fork(second), is_fork(third), os.path.exists(f"/proc/{server}")]
    for process in (first, second, third): process.kill(); process.join()
    print(json.dumps([*found, first.exitcode, len(multiprocessing.active_children())]))
    """
    assert python(SERVER + textwrap.dedent(code), env=targets) == [True, True, False, False, False, -9, 0]


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "sys.exit(0)", "raise SystemExit"]
)
def test_nothing_is_left_of_a_python_that_ends(targets, end):
    code = f"""
    print(server, first.pid, flush=True)
    {end}
    """
    done = subprocess.Popen(
        [sys.executable, "-c", BEGIN + SERVER + textwrap.dedent(code)], env=targets, stdout=subprocess.PIPE, text=True
    )
    server, worker = map(int, done.stdout.readline().split())
    done.wait(PATIENCE)
    until(lambda: not psutil.pid_exists(server))
    if psutil.pid_exists(worker):  # Dask's ends by itself, when its nanny has ended
        assert "KILL" in end or "_exit" in end
        os.kill(worker, signal.SIGKILL)
    done.stdout.close()


# -- jobs --------------------------------------------------------------------------------------------------------------


def facts():
    with open("/proc/self/environ") as file:
        began_with = dict(line.partition("=")[::2] for line in file.read().split("\0"))
    early = {name: os.environ.get(name) for name in pre_spawn_environ({})}
    return {
        "pid": os.getpid(),
        "nanny": multiprocessing.parent_process().pid,
        "parent": os.getppid(),
        "forked": "spawn_main" not in Path("/proc/self/cmdline").read_text(),
        "early": early,
        "began with": {name: began_with.get(name) for name in early},
        "hash": hash("a"),
        "own": os.environ.get("OF_THE_NANNY"),
    }


def jobs(**keywords):
    return LocalQueueCluster(cores=2, processes=2, memory="1 GiB", n_workers=2, **keywords)


def workers(cluster, client):
    """Give what each worker is, by its name."""
    cluster.wait_for_workers(2, timeout=PATIENCE)
    names = {address: str(worker["name"]) for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()}
    return {names[address]: found for address, found in client.run(facts).items() if address in names}


def replaced(cluster, client, name, pid):
    """Wait until a name has another worker, and give that."""

    def another():
        with suppress(Exception):  # a worker that is about to end
            found = workers(cluster, client).get(name)
            return found if found and found["pid"] != pid else None

    return until(another)


EARLY = pre_spawn_environ({})
HASH = [sys.executable, "-c", "print(hash('a'))"]


@pytest.mark.parametrize("forks", [False, True])
def test_workers_are_forks_unless_a_setting_says_otherwise(forks):
    """What Dask sets for them is there from their start on; they share out work by hashes, so all have the same seed."""
    settings = {
        "jobclusters.fork-workers": forks,
        "jobclusters.local.oversubscribe": True,
        "distributed.nanny.environ": {"OF_THE_NANNY": "1"},
    }
    seeded = int(subprocess.check_output(HASH, env={**os.environ, **EARLY}))
    with dask.config.set(settings), jobs() as cluster, cluster.get_client() as client:
        first, second = workers(cluster, client).values()
    assert first["parent"] == second["parent"] == first["nanny"] == second["nanny"]
    for each in (first, second):
        assert each["forked"] is forks
        assert (each["early"], each["began with"], each["hash"], each["own"]) == (EARLY, EARLY, seeded, "1")


@pytest.fixture(scope="module")
def cluster():
    with dask.config.set({"jobclusters.local.oversubscribe": True}), jobs() as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with cluster.get_client() as client:
        cluster.wait_for_workers(2, timeout=PATIENCE)
        yield client


def test_a_restarted_worker_is_a_fork_again(cluster, client):
    before = {each["pid"] for each in workers(cluster, client).values()}
    client.restart()
    after = workers(cluster, client).values()
    assert {each["forked"] for each in after} == {True}
    assert before.isdisjoint(each["pid"] for each in after)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_is_killed_is_replaced_by_a_fork_and_its_end_is_in_the_log(cluster, client, number):
    name, worker = next(iter(workers(cluster, client).items()))
    os.kill(worker["pid"], number)
    assert replaced(cluster, client, name, worker["pid"])["forked"]
    (log,) = cluster.get_job_logs().values()
    assert f"Worker process {worker['pid']} was killed by signal {number.value}" in log
    assert not psutil.pid_exists(worker["pid"])


def test_a_worker_that_takes_too_much_memory_is_replaced_by_a_fork(cluster, client):
    """The nanny ends it at 95 % of its limit."""
    name, worker = next(iter(workers(cluster, client).items()))
    future = client.submit(bytearray, 2**29, workers=[name], allow_other_workers=False)
    assert replaced(cluster, client, name, worker["pid"])["forked"]
    future.cancel()


def test_jobs_go_on_without_the_server(cluster, client):
    """What its workers hold stays; those that come later are new Pythons."""
    before = workers(cluster, client)
    future = client.submit(bytes, 10**6)
    future.result(PATIENCE)
    pids = {each["pid"] for each in before.values()}
    job = psutil.Process(next(iter(before.values()))["nanny"])
    (server,) = [child for child in job.children() if child.pid not in pids and has_a_socket(child.pid)]
    server.kill()
    assert len(future.result(PATIENCE)) == 10**6
    assert {each["pid"] for each in workers(cluster, client).values()} == pids
    client.restart()
    assert {each["forked"] for each in workers(cluster, client).values()} == {False}
    assert not psutil.pid_exists(server.pid)


def has_a_socket(pid):
    return any(os.readlink(path).startswith("socket:") for path in Path(f"/proc/{pid}/fd").iterdir())
