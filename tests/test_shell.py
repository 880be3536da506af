from __future__ import annotations

import asyncio
import logging
import sys

from jobclusters.shell import run


def test_the_log_tells_of_commands_and_scripts_at_level_debug(caplog):
    """As with dask-jobqueue, by ``logging.basicConfig(level=logging.DEBUG)``."""
    caplog.set_level(logging.DEBUG, "jobclusters")
    program = "import sys; print(sys.stdin.read().upper()); sys.exit(3)"
    asyncio.run(run([sys.executable, "-c", program], stdin="#!/bin/sh\nsleep 1\n", timeout=60))
    (said, script), (_, answer) = ((each.levelname, each.getMessage()) for each in caplog.records)
    assert said == "DEBUG"
    assert script == f"for {sys.executable}:\n#!/bin/sh\nsleep 1\n"
    assert answer == f"{sys.executable} -c '{program}': exit status 3: #!/BIN/SH\nSLEEP 1"


def test_the_log_tells_of_commands_without_an_answer(caplog):
    caplog.set_level(logging.DEBUG, "jobclusters")
    asyncio.run(run(["sleep", "600"], timeout=0.01))
    assert [each.getMessage() for each in caplog.records] == ["sleep 600: no answer in 0.01 s"]
