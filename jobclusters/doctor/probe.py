"""The program that the doctor runs on a node in a worker's place: it collects facts, and reports them in three ways.

Its source text goes into the job script and runs in the workers' Python, which may be another one: it needs the
standard library alone. The last argument is a question, as JSON; the answer goes over the network, into a file of the
shared directory, and to the job's output. It is written for Python 3.6, so that one that is too old can report itself.
"""

import contextlib
import importlib
import json
import os
import platform
import resource
import socket
import sys
import time
from typing import Any, Dict, List, Optional, Tuple

#: The beginning of the line in the job's output.
MARK = "jobclusters-probe: "
#: Seconds for a connection.
CONNECT_TIMEOUT = 5.0
#: Seconds for which it listens: the one who calls may still wait for an answer of the batch system.
LISTEN_TIMEOUT = 30.0


def _version(name: str) -> Dict[str, str]:
    """Import a package as a worker would."""
    try:
        return {"version": str(importlib.import_module(name).__version__), "error": ""}
    except Exception as error:
        return {"version": "", "error": f"{type(error).__name__}: {error}"}


def _greet(address: List[Any]) -> Tuple[str, Optional[float]]:
    """Connect, and read the time there; give the error, and by how much at least the clock here is ahead."""
    try:
        before = time.time()
        with socket.create_connection((address[0], address[1]), CONNECT_TIMEOUT) as connection:
            line = connection.makefile().readline().split()
        after = time.time()
        if len(line) != 2 or line[0] != "jobclusters":
            return "another program answered", None
        there = float(line[1])
        return "", max(before - there, min(0.0, after - there))  # 0 where it may be the way that took this long
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__, None


def _readable(path: str) -> str:
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            with open(path, "rb") as file:
                file.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _limit(which: int) -> List[Optional[int]]:
    return [None if value == resource.RLIM_INFINITY else value for value in resource.getrlimit(which)]


def _bound(here: str, ports: List[int]) -> socket.socket:
    """Take the first port of a range that is free."""
    for port in range(ports[0], ports[1] + 1):
        listener = socket.socket()
        try:
            listener.bind((here, port))
        except OSError:
            listener.close()
            if port == ports[1]:
                raise
        else:
            return listener
    raise OSError("no ports")


def _listen(question: Dict[str, Any]) -> Optional[socket.socket]:
    """Listen as a worker would: at the address that leads to the scheduler."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((question["addresses"][0][0], 1))  # sends nothing
            here = way.getsockname()[0]
        listener = _bound(here, question["ports"])
        listener.listen(1)
        listener.settimeout(LISTEN_TIMEOUT)
    except OSError:
        return None
    return listener


def collect(question: Dict[str, Any]) -> Dict[str, Any]:
    """Collect the facts that the question asks for."""
    addresses = {}  # type: Dict[str, str]
    ahead = None  # type: Optional[float]
    for address in question["addresses"]:
        wrong, offset = _greet(address)
        addresses[f"{address[0]}:{address[1]}"] = wrong
        ahead = offset if ahead is None else ahead
    return {
        "token": question["token"],
        "listens": None,
        "node": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "packages": {name: _version(name) for name in question["packages"]},
        "addresses": addresses,
        "clock_ahead": ahead,
        "directory": _readable(os.path.join(question["directory"], "token")),
        "files": {path: _readable(path) for path in question["files"]},
        "open_files": _limit(resource.RLIMIT_NOFILE),
        "processes": _limit(resource.RLIMIT_NPROC),
    }


def report(question: Dict[str, Any], found: Dict[str, Any]) -> None:
    """Report over the network, into the shared directory, and to the job's output."""
    text = json.dumps(found)
    for address in question["addresses"]:
        try:
            with socket.create_connection((address[0], address[1]), CONNECT_TIMEOUT) as connection:
                connection.sendall(text.encode() + b"\n")
            break
        except OSError:
            continue
    path = os.path.join(question["directory"], "found")
    try:
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)
    except OSError:
        pass
    print(MARK + text, flush=True)


if __name__ == "__main__":
    asked = json.loads(sys.argv[-1])
    collected = collect(asked)
    listening = _listen(asked)
    if listening:
        collected["listens"] = list(listening.getsockname())
    report(asked, collected)
    if listening:
        with contextlib.suppress(OSError):  # the scheduler connects to workers, too
            listening.accept()[0].sendall(b"jobclusters\n")
