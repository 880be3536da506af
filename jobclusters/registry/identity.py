"""Identifies the batch system of this machine by its own words: two clusters may share a home directory."""

from __future__ import annotations

import logging
import os
import time

from jobclusters.batch import shell
from jobclusters.config.settings import text_of
from jobclusters.dialects import DIALECTS
from jobclusters.errors import QueueError

logger = logging.getLogger(__name__)

#: Seconds for the batch system's answer.
IDENTITY_TIMEOUT = 10.0
#: Seconds before it is asked again if it didn't answer.
ASK_INTERVAL = 60.0

_known: dict[str, str] = {}
_asked: dict[str, float] = {}


async def batch_identity(system: str) -> str:
    """Ask for the identity of this machine's batch system, once in a process; "" if unknown."""
    if system not in _known and time.monotonic() - _asked.get(system, -ASK_INTERVAL) >= ASK_INTERVAL:
        _asked[system] = time.monotonic()
        if found := await _ask(system):
            _known[system] = found
    return _known.get(system, "")


async def _ask(system: str) -> str:
    dialect = DIALECTS[system]
    if not dialect.identity_argv:
        return dialect.identity(os.environ, text_of)
    try:
        environment = dialect.environment(os.environ)
        reply = await shell.run(dialect.identity_argv, timeout=IDENTITY_TIMEOUT, env=environment)
    except (QueueError, RuntimeError) as error:  # before Python 3.12 a thread waits for each command
        logger.debug("which %s this is can't be known: %s", dialect.title, error)
        return ""
    return dialect.parse_identity(reply)
