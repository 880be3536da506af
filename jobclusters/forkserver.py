"""Starts a job's workers as forks of one process that has imported Dask, instead of as Pythons that import it anew.

A nanny starts its worker by multiprocessing's *spawn*: ``python -c CODE``. Here :func:`start`, which the job's script
calls before its Python has a thread or an event loop, forks the :class:`ForkServer`, and from then on this Python's
``python -c CODE`` is a fork of the server that runs CODE. All else is multiprocessing's: what it sends to a worker, the
pipes and semaphores, and how it waits. A worker is also a child of the nanny's process, as with *spawn*: its parent in
between ends at once, and the nanny's process adopts it. So nothing happens to workers when the server dies.

Wherever a fork could differ from a new Python, and whenever something goes wrong, there is a new Python.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import logging
import marshal
import os
import resource
import signal
import socket
import struct
import sys
import threading
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import util
from typing import Any, NoReturn

from jobclusters.config.dask_settings import multiprocessing_method, pre_spawn_environ

logger = logging.getLogger("distributed.nanny")

#: What workers import on their way to the scheduler, besides what ``import distributed`` does.
MODULES = (
    "distributed.cli.utils",
    "distributed.http.health",
    "distributed.http.prometheus",
    "distributed.http.statics",
    "distributed.http.worker.prometheus",
    "jobclusters.preload",
    "multiprocessing.popen_spawn_posix",
    "multiprocessing.resource_tracker",
    "multiprocessing.synchronize",
    "tornado.platform.asyncio",
)

#: What nannies themselves set, for the titles of processes. Other variables may have been read already.
_TITLES = ("__DASK_PARENT_PID", "DASK_PARENT")

#: Signals that would end the server are ignored, as batch systems send them to all of a job's processes; but not these.
_NOT_IGNORED = {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD,
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS, signal.SIGTRAP,
}  # fmt: skip

#: The devices of GPUs.
_GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dri/")

_PR_SET_CHILD_SUBREAPER = 36
_PID = struct.Struct("q")
#: The exit status of the fork with which the way there and back is tried.
_TRIED = 7


class Unfit(Exception):
    """Why workers can't be forks: a reason for the log."""


def start() -> None:
    """Fork the server, and let this process start its workers from there; never fail.

    In a worker that is forked later this call doesn't return: it ends, with the worker, in SystemExit.
    """
    try:
        _import_dask()
        _check_start()
        ForkServer().install()
    except Exception as error:  # all goes on without the server
        logger.debug("Workers import Dask anew: %s", error)


def _check_start() -> None:
    """Raise Unfit unless this Python has started as one that nannies start."""
    if (method := multiprocessing_method()) != "spawn":
        raise Unfit(f"distributed.worker.multiprocessing-method is {method}")
    for variable, value in pre_spawn_environ().items():
        if os.environ.get(variable) != value:
            raise Unfit(f"Python started without {variable}={value}")


class ForkServer:
    """A process that has imported Dask, and is forked to run what ``python -c`` would.

    Raises :class:`Unfit`, or another error, where that doesn't work here.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._lock = threading.Lock()
        self._spawn: Callable[[Any, Any, Any], int] = util.spawnv_passfds
        self._executable = os.fsencode(sys.executable)
        self._inherited = _inherited()
        # A new Python would close them; others belong to objects of this one, such as a file of the log.
        handed_down = [fd for fd in _open_files() if fd > 2 and os.get_inheritable(fd)]
        self._taken = _open_files() - set(handed_down)
        if any(os.readlink(f"/proc/self/fd/{fd}").startswith(_GPUS) for fd in self._taken):
            raise Unfit("a package uses a GPU already")  # CUDA doesn't work in forks of a process that uses it
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.freeze()  # else each process's first collection would copy all of these pages
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # else each fork writes what is left there
        # No signal reaches the server before it ignores them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._pid = os.fork()
            if not self._pid:
                self._connection.close()
                for fd in handed_down:
                    os.close(fd)
                _serve(theirs, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        try:
            self._try()
        except BaseException:
            self.close()
            raise

    def _try(self) -> None:
        # Libraries that know about forks, such as OpenBLAS, have ended their threads for that of the server.
        if len(os.listdir("/proc/self/task")) > 1:
            raise Unfit("this Python has threads")
        if os.waitpid(self.run(f"import os; os._exit({_TRIED})"), 0)[1] != _TRIED << 8:
            raise Unfit("a process that was tried has failed")

    def install(self) -> None:
        """Start processes of multiprocessing's *spawn* in this way from now on."""
        # After multiprocessing has ended the workers that are left.
        util.Finalize(None, self.close, exitpriority=-100)
        util.spawnv_passfds = self.spawn  # type: ignore[assignment]

    def spawn(self, path: Any, arguments: Sequence[Any], fds: Iterable[int]) -> int:
        """Take the place of ``multiprocessing.util.spawnv_passfds``: start a program, give its process id."""
        words, fds = [os.fsdecode(word) for word in arguments], list(fds)
        try:
            self._check(path, words, fds)
            code, *more = words[words.index("-c") + 1 :]
            return self.run(code, more, fds)
        except (Unfit, OSError, ValueError) as error:
            logger.debug("A worker imports Dask anew: %s", error)
            return self._spawn(path, arguments, fds)

    def _check(self, path: Any, words: Sequence[str], fds: Iterable[int]) -> None:
        """Raise Unfit if a fork can't be what a new Python would be."""
        if os.fsencode(path) != self._executable or "-c" not in words:
            raise Unfit("it is another program")
        then, now = self._inherited, _inherited()
        if changed := sorted(name for name in {**then, **now} if then.get(name) != now.get(name)):
            raise Unfit(f"changed since this process began: {', '.join(changed)}")
        if not self._taken.isdisjoint(fds):
            raise Unfit("the server has files of the same numbers")

    def run(self, code: str, arguments: Sequence[str] = (), fds: Sequence[int] = ()) -> int:
        """Run code in a fork of the server, with these files of ours under the same numbers; give its process id.

        It is a child of this process.
        """
        mask = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
        order = marshal.dumps((code, list(arguments), list(fds), mask, dict(os.environb)))
        read, write = os.pipe()
        try:
            with self._lock:
                pid = self._fork([read, *fds])
        except BaseException:
            os.close(write)  # a fork that we know nothing of ends by that
            raise
        finally:
            os.close(read)
        with suppress(BrokenPipeError), open(write, "wb") as file:  # whoever waits for it sees that it has ended
            file.write(order)
        return pid

    def _fork(self, fds: Sequence[int]) -> int:
        self._adopt(1)
        try:
            socket.send_fds(self._connection, [b"fork"], fds)
            answer = self._connection.recv(_PID.size)
        except OSError:
            answer = b""
        finally:
            self._adopt(0)  # what tasks leave behind isn't ours
        if not answer:
            self.close()
            raise Unfit("the process that workers are forked from is gone")
        pid = int(_PID.unpack(answer)[0])
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def close(self) -> None:
        """End the server; its forks go on."""
        self._connection.close()
        pid, self._pid = self._pid, 0
        if pid:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _adopt(self, on: int) -> None:
        """Let this process adopt forks whose parent ends."""
        if self._libc.prctl(_PR_SET_CHILD_SUBREAPER, on, 0, 0, 0):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _import_dask() -> None:
    collects = gc.isenabled()
    gc.disable()  # there is next to nothing to collect
    for name in MODULES:
        with suppress(ImportError):  # one that this version of Dask doesn't have
            importlib.import_module(name)
    if "numpy" in sys.modules:
        importlib.import_module("numpy.random")  # which Dask seeds in each worker
    if collects:
        gc.enable()


def _open_files() -> set[int]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing
            os.fstat(int(name))
            found.add(int(name))
    return found


def _inherited() -> dict[str, object]:
    """Describe what a new Python would have of this process as it is now, and the server has as it was."""
    variables = {key: value for key, value in os.environ.items() if key not in _TITLES}
    directory = os.stat(".")
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        mask = [line for line in file if line.startswith("Umask")]
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    # Installing a package, as a plugin of Dask can, makes an entry there.
    packages = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    return {
        **variables,
        "the directory": (directory.st_dev, directory.st_ino),
        "the mask of modes": mask,
        "the limits": limits,
        "the processors": os.sched_getaffinity(0),
        "the priority": os.getpriority(os.PRIO_PROCESS, 0),
        "the installed packages": [(path, os.stat(path).st_mtime_ns) for path in packages if os.path.isdir(path)],
    }


def _serve(connection: socket.socket, mask: Iterable[int]) -> NoReturn:
    """Fork for each message, in the server; what is forked leaves by SystemExit."""
    try:
        found = {number: signal.getsignal(number) for number in signal.valid_signals() - _NOT_IGNORED}
        handlers = {int(number): handler for number, handler in found.items() if handler is not None}  # Python's own
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        while True:
            message, fds, _, _ = socket.recv_fds(connection, 16, 255, socket.MSG_CMSG_CLOEXEC)
            if not message:
                os._exit(0)
            # A signal of this moment waits until the fork heeds it.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            if not (pid := _fork_twice()):
                break
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for fd in fds:
                os.close(fd)
            connection.send(_PID.pack(pid))
        connection.close()
        code = _become(fds, handlers)
    except BaseException:  # without the server, workers start as they would
        os._exit(1)
    try:
        exec(code, vars(sys.modules["__main__"]))  # noqa: S102 -- what this Python would have been started with
    except SystemExit:
        raise
    except BaseException:  # as Python itself does
        sys.excepthook(*sys.exc_info())
        raise SystemExit(1) from None
    raise SystemExit(0)


def _fork_twice() -> int:
    """Fork a process whose parent ends; give its id, 0 in it, and an error's number below 0."""
    read, write = os.pipe()
    try:
        between = os.fork()
    except OSError as error:
        os.close(read)
        os.close(write)
        return -(error.errno or 1)
    if not between:
        try:
            os.close(read)
            pid = os.fork()
            if not pid:
                os.close(write)
                return 0
        except OSError as error:
            pid = -(error.errno or 1)
        os.write(write, _PID.pack(pid))
        os._exit(0)
    os.close(write)
    os.waitpid(between, 0)
    answer = os.read(read, _PID.size)
    os.close(read)
    return int(_PID.unpack(answer)[0])


def _become(fds: Sequence[int], handlers: Mapping[int, Any]) -> types.CodeType:
    """Become what ``python -c`` would be, with its arguments, environment, files and signals; give the code to run."""
    order, *received = fds
    with open(order, "rb") as file:
        code, arguments, numbers, mask, environment = marshal.load(file)  # noqa: S302 -- from the nanny
    _place(received, numbers)
    os.environb.clear()
    os.environb.update(environment)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    sys.argv[:] = ["-c", *arguments]
    sys.modules["__main__"] = types.ModuleType("__main__")
    return compile(code, "<string>", "exec")


def _place(received: Sequence[int], numbers: Sequence[int]) -> None:
    """Give files their numbers."""
    above = max((*received, *numbers, 2)) + 1
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in received]
    for fd in received:
        os.close(fd)
    for fd, number in zip(moved, numbers, strict=True):
        os.dup2(fd, number)
        os.close(fd)
