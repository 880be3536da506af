"""A PBS whose jobs wait for ever, and whose server crashes where OpenPBS 23.06 does (tests/replies/pbs/cancel-matrix.txt).

``install(directory)`` makes its commands; each is this file under another name, and notes its arguments in ``calls``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import sys
from pathlib import Path

COMMANDS = ("pbsnodes", "qsub", "qstat", "qselect", "qdel")
DOWN = "cannot connect to server pbshost (errno=15010)"


def install(directory: Path) -> None:
    """Put the commands into a directory."""
    for name in COMMANDS:
        script = directory / name
        script.write_text(f"#!{sys.executable} -ES\n{Path(__file__).read_text()}")
        script.chmod(0o755)


def calls(directory: Path, command: str) -> list[list[str]]:
    """Give the arguments of each call of a command."""
    lines = (directory / "calls").read_text().splitlines() if (directory / "calls").exists() else []
    return [words[1:] for words in map(shlex.split, lines) if words[0] == command]


def living(directory: Path) -> list[str]:
    """Name the jobs that are still there, arrays by their elements."""
    path = directory / "state"
    jobs = json.loads(path.read_text())["jobs"] if path.exists() else {}
    return [job_id for job_id, state in jobs.items() if state in "QR"]


def crashes(words: list[str], jobs: dict[str, str]) -> bool:
    """Tell whether pbs_server crashes over a qdel of these words, or may leave elements where they are."""
    parts = [word for word in words if re.search(r"\[\d", word)]
    known = {re.sub(r"\[\d+\]", "[]", job_id) for job_id in jobs} | jobs.keys()
    unknown = [word for word in words if word not in known and word not in parts]
    return len(words) > 1 and bool(parts or unknown)


def _elements(word: str, jobs: dict[str, str]) -> list[str]:
    match = re.fullmatch(r"(\d+)\[(\d*)(?:-(\d+))?\](.*)", word)
    if match is None:
        return [word] if word in jobs else []
    number, first, last, server = match.groups()
    if not first:
        return [job_id for job_id in jobs if job_id.startswith(f"{number}[")]
    return [f"{number}[{index}]{server}" for index in range(int(first), int(last or first) + 1)]


def _run(name: str, words: list[str], state: dict) -> tuple[int, str, str]:
    jobs = state["jobs"]
    if state["down"]:
        return 255, "", f"{name}: {DOWN}"
    if name == "qsub":
        number, script = state["next"], sys.stdin.read()
        state["next"] += 1
        count = int(words[1].partition("-")[2]) + 1 if words else 1
        ids = [f"{number}[{index}].pbshost" for index in range(count)] if words else [f"{number}.pbshost"]
        jobs |= dict.fromkeys(ids, "Q")
        state["names"][str(number)] = re.search(r"^#PBS -N (\S+)", script, re.MULTILINE)[1]
        return 0, f"{number}{'[]' if words else ''}.pbshost", ""
    if name == "qstat":
        asked = [job_id for word in words[words.index("json") + 1 :] for job_id in _elements(word, jobs)]
        found = {job_id: {"job_state": jobs[job_id], "queue": "workq"} for job_id in asked}
        return 0, json.dumps({"timestamp": 1, "Jobs": found} if found else {"timestamp": 1}, indent=4), ""
    if name == "qselect":
        wanted = words[words.index("-N") + 1]
        found = [job_id for job_id in jobs if state["names"][re.match(r"\d+", job_id)[0]] == wanted]
        return 0, "\n".join(found), ""
    if name == "qdel":
        state["down"] = crashes(words, jobs)
        for word in words:
            jobs |= {job_id: "F" for job_id in _elements(word, jobs) if job_id in jobs}
    return 0, "", ""


def main() -> int:
    """Be a command."""
    directory, name, words = Path(__file__).parent, Path(sys.argv[0]).name, sys.argv[1:]
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(directory / "calls", "a") as file:
            file.write(shlex.join([name, *words]) + "\n")
        path = directory / "state"
        state = json.loads(path.read_text()) if path.exists() else {"jobs": {}, "names": {}, "next": 1, "down": False}
        status, out, err = _run(name, words, state)
        path.with_suffix(".new").write_text(json.dumps(state))
        os.replace(path.with_suffix(".new"), path)
    print(out)
    print(err, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
