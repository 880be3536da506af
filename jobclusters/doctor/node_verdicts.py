"""What the doctor makes of what the probe saw on a node: each verdict is a pure function of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobclusters.doctor.machine_verdicts import OPEN_FILES
from jobclusters.doctor.verdict import Verdict, ok, unchecked, wrong
from jobclusters.spec import JobSpec

#: Seconds by which clocks may differ.
CLOCKS = 5.0


def address(chosen: str, interface: str | None, reached: Mapping[str, str], names: Mapping[str, str]) -> Verdict:
    """Judge the way from a node to the scheduler.

    Parameters
    ----------
    chosen
        The scheduler's address.
    interface
        Its network, if one was chosen.
    reached
        By address what went wrong on the node; "" if it was reached.
    names
        Of networks, by address.
    """
    check = "scheduler's address"
    where = f"{chosen}{f' ({interface})' if interface else ''}"
    error = reached.get(chosen, "not tried")
    if not error:
        return ok(check, f"{where} is reached from the node")
    others = [names[each] for each, what in reached.items() if not what and each in names]
    return wrong(
        check,
        f"{where} isn't reached from the node: {error}",
        f"--interface {others[0]} (interface={others[0]!r}), which is"
        if others
        else "ask for the network between login and compute nodes (--interface), and whether a firewall closes ports",
    )


def way_back(host: str, error: str) -> Verdict:
    """Judge the way from the scheduler to a worker: it connects to workers as they do to it."""
    if error:
        return wrong(
            "worker's address",
            f"{host} isn't reached from this machine: {error}",
            "ask whether a firewall of the nodes closes ports; workers can keep to some: worker_extra_args="
            "['--worker-port', '40000:40100']",
        )
    return ok("worker's address", f"{host} is reached from this machine")


def software(found: Mapping[str, Any], here: Mapping[str, str]) -> Verdict:
    """Judge the workers' Python.

    Parameters
    ----------
    found
        What the probe reported.
    here
        The versions of python, dask and distributed at the scheduler.
    """
    check = "Python there"
    packages = found["packages"]
    for name in ("dask", "distributed"):
        if error := packages[name]["error"]:
            return wrong(
                check, f"{found['executable']} on the node can't import {name}: {error}", "set --python or --software"
            )
    there = {"python": found["python"], **{name: packages[name]["version"] for name in ("dask", "distributed")}}
    differ = [name for name in here if _comparable(name, here[name]) != _comparable(name, there[name])]
    if differ:
        said = ", ".join(f"{name} {there[name]} there and {here[name]} here" for name in differ)
        return wrong(check, f"{said}: tasks may fail", "give both the same software (--python or --software)")
    return ok(check, f"Python {there['python']} and distributed {there['distributed']}, as here")


def _comparable(name: str, version: str) -> list[str]:
    return version.split(".")[:2] if name == "python" else [version]


def shared_directory(path: str, error: str) -> Verdict:
    """Judge whether a node sees the directory that clusters and their jobs share."""
    if error:
        return wrong(
            "shared directory",
            f"{path} of this machine isn't seen by the node: {error}",
            "set jobclusters.directory to a directory that nodes see, such as one in your home",
        )
    return ok("shared directory", f"{path} is seen by the node")


def tls_files(errors: Mapping[str, str]) -> Verdict:
    """Judge whether a node can read the files of encrypted connections."""
    if bad := {path: error for path, error in errors.items() if error}:
        path, error = next(iter(bad.items()))
        return wrong(
            "TLS files",
            f"{path} can't be read on the node: {error}",
            "keep them where nodes see them (distributed.comm.tls)",
        )
    return ok("TLS files", f"{', '.join(errors)} can be read on the node" if errors else "none are configured")


def clocks(ahead: float | None) -> Verdict:
    """Judge the difference between the clocks, in seconds."""
    if ahead is None:
        return unchecked("clocks", "they can't be compared, as the node didn't reach this machine")
    if abs(ahead) > CLOCKS:
        return wrong(
            "clocks",
            f"the node's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's",
            "tell the administrators that NTP doesn't run",
        )
    return ok("clocks", f"they differ by {abs(ahead):.2f} s")


def limits_there(files: Sequence[int | None], processes: Sequence[int | None], spec: JobSpec) -> Verdict:
    """Judge limits on a node: soft and hard ones. ``dask worker`` raises that of open files by itself."""
    need = spec.processes * 20 + 2 * spec.cores
    (_, most_files), (most_processes, _) = files, processes
    problems = [
        ("-n", f"only {most_files} open files", OPEN_FILES, most_files),
        ("-u", f"only {most_processes} processes and threads, and a job has about {need}", need, most_processes),
    ]
    for flag, says, least, limit in problems:
        if limit is not None and limit < least:
            line = f"ulimit {flag} {4 * least}"
            return wrong("limits there", says, f"ask for more, or try job_script_prologue=[{line!r}]")
    numbers = " and ".join(
        f"{'any number of' if limit is None else limit} {what}"
        for what, limit in (("open files", most_files), ("processes", most_processes))
    )
    return ok("limits there", numbers)
