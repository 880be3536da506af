"""How long an answer of 100,000 jobs takes to read, and holds up the event loop, which is that of Dask's scheduler.

``python -m benchmarks.answers [jobs]``: for each batch system the size of the answer, the CPU time of reading it, and
the longest time in which the event loop could do nothing else; then texts over which careless patterns are quadratic.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress

from jobclusters.batch.commands import BatchCommands
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Dialect, Reply
from jobclusters.dialects.lsf import Openlava

JOBS = 100_000
VARIABLES = {f"PBS_O_{name}": "/usr/local/bin:/usr/bin:/bin" for name in ("HOME", "PATH", "SHELL", "MAIL", "WORKDIR")}


def slurm(jobs: int) -> str:
    """Print lines of squeue."""
    when = "2026-11-29T05:00:00|2026-11-29T05:00:00|2026-11-30T05:00:00"
    return "".join(f"{100 + i}|N/A|RUNNING|n{i % 99}|{when}|None\n" for i in range(jobs))


def sge(jobs: int) -> str:
    """Print elements of qstat's XML, which holds all of the user's jobs."""
    blocks = (
        f"""    <job_list state="running">
      <JB_job_number>{7000000 + i // 1000}</JB_job_number>
      <JAT_prio>0.55500</JAT_prio>
      <JB_name>array</JB_name>
      <JB_owner>me</JB_owner>
      <state>r</state>
      <JAT_start_time>2026-11-29T05:00:00</JAT_start_time>
      <queue_name>all.q@node{i % 99}</queue_name>
      <slots>1</slots>
      <tasks>{i % 1000 + 1}</tasks>
    </job_list>
"""
        for i in range(jobs)
    )
    return f"<job_info>\n<queue_info>\n{''.join(blocks)}</queue_info>\n<job_info>\n</job_info>\n</job_info>\n"


def htcondor(jobs: int) -> str:
    """Print the attributes that are asked of condor_q."""
    job = {"JobStatus": 2, "NumShadowStarts": 1, "JobclustersName": "dask-x", "Owner": "me", "ExitBySignal": False}
    when = {"QDate": 1795950890, "JobCurrentStartDate": 1795950890, "EnteredCurrentStatus": 1795950890}
    blocks = (
        json.dumps(
            {"ClusterId": i // 1000, "ProcId": i % 1000, "RemoteHost": f"slot1_1@n{i % 99}", **job, **when}, indent=2
        )
        for i in range(jobs)
    )
    return "[\n" + "\n,\n".join(blocks) + "\n]\n"


def torque(jobs: int) -> str:
    """Print jobs of all users as qstat -f does."""
    return "".join(
        f"Job Id: {i}.server\n    Job_Name = job{i}\n    Job_Owner = other{i % 50}@login\n    job_state = R\n"
        f"    queue = batch\n    Error_Path = login:/home/other/job.e{i}\n    exec_host = n{i % 99}/0\n"
        "    Variable_List = PBS_O_HOME=/home/other,PBS_O_LANG=en_US.UTF-8,\n\tPBS_O_PATH=/usr/bin:/bin,\n"
        "\tPBS_O_MAIL=/var/spool/mail/other,PBS_O_SHELL=/bin/bash\n    qtime = Sun Nov 29 05:00:00 2026\n\n"
        for i in range(jobs)
    )


def pbs(jobs: int) -> str:
    """Print jobs as qstat -f -F json does."""
    found = {
        f"{i // 1000}[{i % 1000}].server": {
            "Job_Name": "dask-worker",
            "Job_Owner": "alice@login",
            "job_state": "R",
            "queue": "workq",
            "ctime": "Sun Nov 29 05:00:00 2026",
            "Error_Path": f"login:/home/alice/dask.e{i}",
            "exec_host": f"n{i % 99}/0",
            "Resource_List": {"ncpus": 1, "nodect": 1, "select": "1:ncpus=1", "walltime": "01:00:00"},
            "Variable_List": VARIABLES,
            "run_count": 1,
        }
        for i in range(jobs)
    }
    return json.dumps({"timestamp": 1, "Jobs": found}, indent=4)


def lsf(jobs: int) -> str:
    """Print records as bjobs -json does."""
    fields = {"STAT": "RUN", "EXIT_CODE": "", "EXIT_REASON": "", "PEND_REASON": "", "EXEC_HOST": "n1"}
    found = [{"JOBID": str(i // 1000), "JOBINDEX": str(i % 1000 + 1), **fields} for i in range(jobs)]
    return json.dumps({"COMMAND": "bjobs", "JOBS": jobs, "RECORDS": found}, indent=2)


def openlava(jobs: int) -> str:
    """Print lines as bjobs -w does."""
    return "".join(f"{i} alice RUN normal login n{i % 99} dask worker {i} Nov 29 05:00\n" for i in range(jobs))


class Answering(BatchCommands):
    """A batch system with one answer."""

    def __init__(self, dialect: Dialect, text: str) -> None:
        super().__init__(dialect)
        self._text = text

    async def _run(self, argv: object) -> Reply:  # noqa: ARG002 -- the parent's signature
        return Reply(("query",), 0, self._text)


async def read(queue: BatchCommands, *, find: bool) -> tuple[int, float, float]:
    """Give how many jobs were found, the CPU time, and the longest gap of the event loop.

    The gap is counted in this process's CPU time, which other processes of a busy machine don't add to.
    """
    gaps = []

    async def tick() -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.process_time()
            gaps.append(now - last)
            last = now

    ticking = asyncio.ensure_future(tick())
    await asyncio.sleep(0.05)
    gaps.clear()
    began = time.process_time()
    found = await queue.find("dask-x") if find else await queue.states(["0"])
    took = time.process_time() - began
    await asyncio.sleep(0.01)
    ticking.cancel()
    return len(found), took, max(gaps)


def hostile(size: int) -> dict[str, tuple[Dialect, str]]:
    """Give texts over which patterns that try everything need quadratic time."""
    return {
        "openlava, a name of spaces": (Openlava(), f"1 me RUN q f n {'x ' * size}Nov 29 99"),
        "PBS, unclosed variables": (DIALECTS["pbs"], '{"Jobs": {' + '"Variable_List": {\nx\n' * size),
        "SGE, unclosed jobs": (DIALECTS["sge"], "<job_list>" * size + "</job_info></job_info>"),
        "SLURM, a reason of words": (DIALECTS["slurm"], f"JobState=FAILED Reason={'a ' * size}"),
        "SLURM, a reason of spaces": (DIALECTS["slurm"], f"JobState=FAILED Reason=a{' ' * size}b"),
        "SGE, a record of spaces": (DIALECTS["sge"], f"failed {' ' * size}x{' ' * size}y"),
    }


def main() -> None:
    """Print the tables."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    print(f"{jobs} jobs     answer   CPU     longest gap")
    for make in (slurm, pbs, torque, lsf, openlava, sge, htcondor):
        dialect = Openlava() if make is openlava else DIALECTS[make.__name__]
        text = make(jobs)
        _, took, gap = asyncio.run(read(Answering(dialect, text), find=make is torque))
        print(f"{make.__name__:12} {len(text) / 2**20:7.1f} MiB {took:6.2f} s {1000 * gap:7.0f} ms")
    for title in hostile(1):
        times = []
        for size in (2_000, 4_000, 8_000):
            dialect, text = hostile(size)[title]
            reply = Reply(("query",), 0, text)
            began = time.process_time()
            for parse in (dialect.parse_states, dialect.parse_detail):
                with suppress(Exception):  # that it can't be read is right
                    parse(reply)
            times.append(f"{1000 * (time.process_time() - began):.1f}")
        print(f"{title:28} 2000, 4000, 8000: {', '.join(times)} ms")


if __name__ == "__main__":
    main()
