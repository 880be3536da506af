"""Submits exactly once: where the outcome isn't clear, the jobs are looked up before another try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from jobclusters.commandqueue import Verbs
from jobclusters.errors import NoBatchSystem, Refused, Unavailable
from jobclusters.record import element
from jobclusters.state import JobStatus

logger = logging.getLogger(__name__)

#: Seconds between two looks for a submission of unclear outcome, and the most between two later ones.
LOOK = (2.0, 30.0)
#: Seconds for which an answer is waited for when the cluster is to close, before that is given up and said.
PATIENCE = 60.0


async def submit_for_sure(
    verbs: Verbs, script: str, job_name: str, count: int, closing: Callable[[], bool]
) -> list[str]:
    """Submit a script as so many jobs, and give their ids.

    Parameters
    ----------
    verbs
        The batch system.
    script, count
        What is submitted.
    job_name
        Of this submission alone.
    closing
        Tells whether the cluster is to close: then nothing is tried again.

    Raises
    ------
    Refused
        If the batch system refuses, or the cluster was to close before there was an answer.
    Unavailable
        If it isn't known at the end whether the jobs exist.
    """
    while True:
        try:
            return await verbs.submit(script, count)
        except Unavailable as error:
            logger.warning("%s. Looking for the jobs by their name before trying again.", error)
        if found := await _look_up(verbs, job_name, count, closing):
            return found
        if closing():
            raise Refused("the cluster was closed before the batch system answered")


async def _look_up(verbs: Verbs, job_name: str, count: int, closing: Callable[[], bool]) -> list[str]:
    """Find the jobs of a submission; give none, or only some, after two clear answers of that kind."""
    unclear, pause = 0, LOOK[0]
    found: Mapping[str, JobStatus] = {}
    patient_until = asyncio.get_running_loop().time() + PATIENCE
    while unclear < 2:
        if closing() and asyncio.get_running_loop().time() > patient_until:
            raise Unavailable(f"it is not known whether the jobs named {job_name} exist; please look for them")
        await asyncio.sleep(pause)
        try:
            found = await verbs.find(job_name)
        except (Unavailable, NoBatchSystem) as error:
            logger.debug("still no answer: %s", error)
            pause = min(2 * pause, LOOK[1])
            continue
        if len(found) >= count:
            break
        unclear, pause = unclear + 1, LOOK[0]
    return sorted(found, key=element)
