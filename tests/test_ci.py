"""What `make test` and CI run: ci/all-tests, with a make that only takes notes; the levers, with a docker that does so."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.helpers.waiting import PATIENCE, until

ROOT = Path(__file__).parents[1]
GROUPS = ["test-checkout+test-notebook+test-live", "test-floor"]
PARTS = [part for group in GROUPS for part in group.split("+")]
TOGETHER = PARTS[:3]
MAKE = """\
#!/bin/bash
# Says what it is called with, and fails or lasts as its file says.
shift
echo "$* began" | tee -a "$NOTES/calls"
[ ! -e "$NOTES/$1" ] || . "$NOTES/$1"
echo "$1 is over" | tee -a "$NOTES/calls"
exit "${code:-0}"
"""


class Run:
    """Runs all tests, whose parts do what ``behave`` has said."""

    def __init__(self, notes):
        self.notes = notes
        self.calls = notes / "calls"
        (notes / "make").write_text(MAKE)
        (notes / "make").chmod(0o755)

    def behave(self, target, line):
        (self.notes / target).write_text(line + "\n")

    def start(self):
        return subprocess.Popen(
            [ROOT / "ci" / "all-tests", *GROUPS],
            env={**os.environ, "NOTES": str(self.notes), "MAKE": str(self.notes / "make"), "TMPDIR": str(self.notes)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self):
        with self.start() as process:
            out, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, out

    def left(self):
        """Find the processes of all parts."""
        here = f"NOTES={self.notes}"
        return [
            each
            for each in psutil.process_iter(["environ"])
            if here in map("=".join, (each.info["environ"] or {}).items())
        ]


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    yield run
    for each in run.left():
        with suppress(psutil.NoSuchProcess):
            each.kill()


def test_all_groups_are_run_one_after_the_other_and_shown(run):
    code, out = run()
    assert code == 0, out
    calls = run.calls.read_text().splitlines()
    assert sorted(calls[:6]) == sorted(f"{part} {what}" for part in TOGETHER for what in ("began", "is over"))
    assert calls[6:] == ["test-floor began", "test-floor is over"]
    for part in PARTS:
        assert f"{part} is over" in out
        assert f"--- {part}: exit status 0" in out


@pytest.mark.parametrize("first", TOGETHER)
def test_the_parts_of_a_group_run_at_the_same_time(run, first):
    run.behave(first, 'until [ "$(grep -c began "$NOTES/calls")" = 3 ]; do sleep 0.05; done')
    code, out = run()
    assert code == 0, out


@pytest.mark.parametrize("part", ["test-checkout", "test-live", "test-floor"])
def test_a_part_that_fails_is_shown_last_and_hides_no_other(run, part):
    run.behave(part, "echo the reason; code=3")
    code, out = run()
    assert code == 1
    assert sorted(line.split()[0] for line in run.calls.read_text().splitlines()) == sorted(2 * PARTS)
    assert out.endswith(f"the reason\n{part} is over\nall-tests: failed: {part}\n")


@pytest.mark.parametrize(
    ("number", "part"),
    [(signal.SIGINT, "test-checkout"), (signal.SIGTERM, "test-live"), (signal.SIGHUP, "test-floor")],
)
def test_an_interrupt_ends_all_parts(run, number, part):
    run.behave(part, f'echo so far; echo {part} lasts >>"$NOTES/calls"; exec sleep 600')
    with run.start() as process:
        until(lambda: run.calls.exists() and f"{part} lasts" in run.calls.read_text())
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode > 100
    assert "so far" in out
    assert run.left() == []
    assert [path.name for path in run.notes.iterdir() if path.is_dir()] == [], "what it has written down is gone"


def test_what_is_started_after_an_interrupt_ends_too():
    """As the second part of a group, where the interrupt comes between the two; what the first wrote stays."""
    script = f"source {ROOT}/ci/side-by-side.sh; interrupted=130; start part sleep 600; await part; echo $code; ls $logs/part"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert re.fullmatch(r"143\n/.*/part\n", done.stdout)


DOCKER = """\
#!/bin/bash
case "$*" in
    inspect*) echo running ;;
    exec*) exec python3 "${@: -3:2}" "$NOTES/levers" ;;
    pause*)
        echo "$*" >>"$NOTES/calls"
        [ "$(wc -l <"$NOTES/calls")" = 3 ] || { echo "OCI runtime pause failed: unable to freeze: unknown" >&2; exit 1; } ;;
    kill*)
        printf 'No such container:\\nwhat was asked for\\n' >&2
        exit 1 ;;
esac
"""
PULL = """
import socket, sys
for line in ("pause slurmctld", "kill c1"):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        connection.sendall(line.encode() + b"\\n")
        print(connection.makefile().readline(), end="")
"""


def test_a_lever_tries_to_freeze_a_container_again_and_gives_dockers_own_words(tmp_path):
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    done = subprocess.run(
        [ROOT / "ci/slurm-docker/levers", "--suite", "sid", sys.executable, "-c", PULL, tmp_path / "levers"],
        env={**os.environ, "NOTES": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "0\nNo such container: what was asked for\n"
    assert len((tmp_path / "calls").read_text().splitlines()) == 3
