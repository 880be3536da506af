"""``jobclusters doctor``."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import signal
import sys
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
from dask.utils import parse_timedelta

from jobclusters.cli.options import chosen_system, examples, job_options, json_option, print_json, system_option
from jobclusters.config.call import Call, read_call
from jobclusters.dialects import DIALECTS

if TYPE_CHECKING:
    from jobclusters.batch.base import BatchSystem
    from jobclusters.doctor import Verdict

T = TypeVar("T")

#: Of the probe, without a size of workers.
SMALL = {"worker_cpu": 1, "worker_memory": "1 GB"}
#: Of the probe: mostly for the import of Dask, which a shared file system may make slow.
WALLTIME = "2 min"

_COLOURS = {"ok": "green", "wrong": "red", "unchecked": "yellow"}


def _seconds(ctx: click.Context, option: click.Parameter, text: str) -> float:
    """Read ``90``, ``90s`` or ``2 min``."""
    try:
        seconds = float(parse_timedelta(text.replace("min", "m")))
    except (KeyError, ValueError, TypeError):
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise click.BadParameter(f"{text!r} can't be read: write it like '90s' or '2m'", ctx, option)
    return seconds


@click.command(
    "doctor", epilog=examples("jobclusters doctor --queue normal --worker-size large", "jobclusters doctor --no-job")
)
@system_option
@job_options
@click.option("--no-job", is_flag=True, help="Send no job to a node.")
@click.option(
    "--wait", callback=_seconds, default="2m", show_default=True, metavar="TIME", help="For the job's report."
)
@click.option(
    "--directory", metavar="DIRECTORY", help="What clusters share with their jobs.  [default: ~/.jobclusters]"
)
@json_option
def command(
    system: str | None,
    configuration: str | None,
    job: dict[str, object],
    no_job: bool,
    wait: float,
    directory: str | None,
    as_json: bool,
) -> None:
    """Check the way from this machine to a worker.

    A job of at most two minutes checks it from a node, in a worker's place; it is cancelled and cleaned up whatever
    happens. Each line is ok, or describes a fault and its remedy. Exit status 1 if anything is wrong.
    """
    from jobclusters import doctor

    name = chosen_system(system, configuration)
    call, sized = _call(name, {"walltime": WALLTIME, **job}, configuration)
    if name == "local" and not no_job:
        from jobclusters.cluster.systems import LocalQueueCluster

        LocalQueueCluster.check(call)
    lines, node = run(
        doctor.examine(
            call,
            _batch_system(name),
            directory=directory or doctor.shared_directory(),
            job=not no_job,
            wait=wait,
            sized=sized,
            on_verdict=(lambda _: None) if as_json else _show,
            on_start=lambda text: click.echo(text, err=True),
        )
    )
    wrong = sum(line.verdict == "wrong" for line in lines)
    if as_json:
        print_json(
            {"system": name, "ok": not wrong, "checks": [dataclasses.asdict(line) for line in lines], "node": node}
        )
    click.echo(f"{wrong} to set right." if wrong else "Nothing is wrong.", err=True)
    if wrong:
        sys.exit(1)


def _call(system: str, job: Mapping[str, object], configuration: str | None) -> tuple[Call, bool]:
    """Read the call of a worker's job; without the size of workers, that of a small job."""
    dialect = DIALECTS[system]
    call = read_call(dialect, job, configuration)
    if call.asked.sized or call.asked.size is None:
        return call, True
    return read_call(dialect, {**SMALL, **job}, configuration), False


def _batch_system(system: str) -> BatchSystem:
    from jobclusters.batch.commands import BatchCommands
    from jobclusters.cluster.systems import local_queue

    return BatchCommands(DIALECTS[system]) if DIALECTS[system].probe else local_queue()


def _show(line: Verdict) -> None:
    word = click.style(f"{line.verdict:9}", fg=_COLOURS[line.verdict])
    click.echo(f"{word}  {line.check:19}  {line.says}")
    if line.do:
        click.echo(f"{'':9}  {'':19}  do: {line.do}")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end, and clean up after Ctrl-C, kill, or a closed terminal."""
    signals: list[int] = []

    async def guarded() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()

        def end(number: int) -> None:
            signals.append(number)
            task.cancel()  # type: ignore[union-attr]

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end, number)
        return await coroutine

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if signals[-1:] == [signal.SIGINT]:
            raise KeyboardInterrupt from None
        sys.exit(128 + signals[-1])
