"""Runs the live tests in three parts, with pytest's options: ``python -m tests.live -k drill``.

The long ones run beside the others; those that stop the batch system's daemon follow, alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

#: pytest's exit status where nothing was selected.
NOTHING = 5


def part(marks, **how):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", marks, "tests/live", *sys.argv[1:]]
    return subprocess.Popen(command, **how)


def main():
    with tempfile.TemporaryFile("w+") as output:
        long = part("long", stdout=output, stderr=subprocess.STDOUT)
        try:
            codes = [part("not long and not breaks").wait(), long.wait()]
        finally:
            long.terminate()
            long.wait()
        output.seek(0)
        print(output.read(), flush=True)
    codes.append(part("breaks").wait())
    failed = [code for code in codes if code not in (0, NOTHING)]
    return failed[0] if failed else 0 if 0 in codes else NOTHING


if __name__ == "__main__":
    sys.exit(main())
