"""Asks the batch system's commands on this machine."""

from __future__ import annotations

import getpass
import os
import shutil

from jobclusters import shell
from jobclusters.call import Call
from jobclusters.dialect import Dialect, Reply
from jobclusters.doctor import machine_verdicts
from jobclusters.doctor.verdict import Verdict, ok
from jobclusters.errors import QueueError, Unavailable

#: Seconds that a command may take.
TIMEOUT = 30.0


async def ask_batch_system(call: Call) -> list[Verdict]:
    """Ask the batch system's commands, and whether it has this queue and this account."""
    dialect, spec = call.dialect, call.spec
    if not dialect.probe:
        return [ok("batch system", "this machine's own queue")]
    missing = [name for name in _commands(dialect) if shutil.which(name) is None]
    told = None if missing or not dialect.version_argv else await _reply(dialect, dialect.version_argv)
    lines = [machine_verdicts.batch_system(dialect, missing, next(iter(told.words.splitlines()), "") if told else "")]
    if missing:
        return lines
    reply = await _reply(dialect, dialect.queues_argv) if dialect.queues_argv else None
    if reply and not reply.ok and isinstance(dialect.failure(reply), Unavailable):
        return [machine_verdicts.no_answer(reply.sentence())]
    lines.append(machine_verdicts.queue(spec.queue, dialect.parse_queues(reply) if reply and reply.ok else None))
    if argv := dialect.accounts_argv(getpass.getuser()):
        reply = await _reply(dialect, argv)
        if reply and reply.ok and (accounts := dialect.parse_accounts(reply)):
            lines.append(machine_verdicts.account(spec.account, accounts))
    return lines


def _commands(dialect: Dialect) -> list[str]:
    """Name the commands without which nothing works."""
    argvs = (dialect.submit_argv(1), dialect.query_argv(["1"]), dialect.cancel_argv(["1"]))
    return list(dict.fromkeys(argv[0] for argv in argvs))


async def _reply(dialect: Dialect, argv: tuple[str, ...] | list[str]) -> Reply | None:
    try:
        return await shell.run(argv, timeout=TIMEOUT, env=dialect.environment(os.environ))
    except QueueError:
        return None
