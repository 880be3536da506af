"""Runs the live tests in three parts, with pytest's options: ``python -m tests.live -k drill``.

Those that break the batch system come first, alone; they mostly wait, while other tests of ``make test`` compute. The
long ones run beside the others. JOBCLUSTERS_LIVE_TOGETHER=2 runs two files at the same time, where tests mostly wait for
the batch system.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

#: pytest's exit status where nothing was selected.
NOTHING = 5
TOGETHER = ["-n", os.environ.get("JOBCLUSTERS_LIVE_TOGETHER") or "0", "--dist", "loadfile"]


def part(marks, *options, **how):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", marks, *options]
    return subprocess.Popen([*command, "tests/live", *sys.argv[1:]], **how)


def main():
    codes = [part("breaks").wait()]
    with tempfile.TemporaryFile("w+") as output:
        long = part("long", stdout=output, stderr=subprocess.STDOUT)
        try:
            codes += [part("not long and not breaks", *TOGETHER).wait(), long.wait()]
        finally:
            long.terminate()
            long.wait()
        output.seek(0)
        print(output.read(), flush=True)
    failed = [code for code in codes if code not in (0, NOTHING)]
    return failed[0] if failed else 0 if 0 in codes else NOTHING


if __name__ == "__main__":
    sys.exit(main())
