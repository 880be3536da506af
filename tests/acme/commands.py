"""ACME's commands: acme-submit, acme-list and acme-cancel are links to this; jobs run at once, on this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

STATE = Path(os.environ.get("ACME_STATE", "."))


def submit(count):
    """Start a script; the file of an element holds its process."""
    script = sys.stdin.read()
    number = len([*STATE.glob("*.sh")]) + 1
    name = re.search(r"^#ACME name=(.*)$", script, re.MULTILINE)[1]
    file = STATE / f"{number}.sh"
    file.write_text(script)
    for index in range(int(count)):
        variables = {"ACME_JOB": f"{number}.{index}", "ACME_INDEX": str(index)}
        with (STATE / f"{name}-{number}.{index}.out").open("w") as out:
            process = subprocess.Popen(
                ["bash", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, **variables},
            )
        (STATE / f"{number}.{index}").write_text(f"{process.pid} {name}")
    print(f"submitted {number}")


def runs(pid):
    """Tell whether a process is there, and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def jobs():
    """Give the process and the name of each job."""
    return {file.name: file.read_text().split(" ", 1) for file in STATE.glob("[0-9]*.[0-9]*")}


def list_jobs(*wanted):
    """Print a line for each of these, or for all of a name."""
    for job_id, (pid, name) in jobs().items():
        if job_id in wanted or f"name={name}" in wanted:
            print(job_id, "runs" if runs(pid) else "over")


def cancel(*ids):
    """Let TERM end them."""
    for job_id in ids:
        with suppress(ProcessLookupError):  # over
            os.killpg(int(jobs()[job_id][0]), signal.SIGTERM)


if __name__ == "__main__":
    {"acme-submit": submit, "acme-list": list_jobs, "acme-cancel": cancel}[Path(sys.argv[0]).name](*sys.argv[1:])
