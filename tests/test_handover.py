from __future__ import annotations

import asyncio
import signal
from types import SimpleNamespace

import pytest

from jobclusters import finding, handover
from jobclusters.entry import Standing


@pytest.mark.parametrize("there", [True, False])
def test_results_are_handed_over_only_where_a_scheduler_listens(monkeypatch, there):
    """Dask would try for half a minute to reach one that is gone, and the job stay in the queue for so long."""
    asked, ended = [], []

    async def retire_workers(**how):
        asked.append(how["workers"])

    async def main():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if not there:
            server.close()
            await server.wait_closed()
        scheduler = SimpleNamespace(address=f"tls://127.0.0.1:{port}", retire_workers=retire_workers)
        monkeypatch.setattr(handover, "_servers", [SimpleNamespace(worker_address="tls://w", scheduler=scheduler)])
        await handover._hand_over(lambda *arguments: ended.append(arguments))
        server.close()

    asyncio.run(main())
    assert asked == ([["tls://w"]] if there else [])
    assert ended == [(signal.SIGTERM, None)]


def test_who_is_told_to_end_waits_for_nothing_more(monkeypatch, tmp_path):
    """The head is gone, its node perhaps not: whoever clears up cancels this job, too, and waits until it has ended."""
    asked = []

    async def look(files):
        asked.append(files.path)
        return SimpleNamespace(standing=Standing.SILENT)

    async def main():
        scheduler = SimpleNamespace(address="tls://127.0.0.1:1")
        monkeypatch.setattr(handover, "_announced", asyncio.Event())
        asyncio.get_running_loop().call_later(0.1, handover._announced.set)
        await handover.dask_teardown(SimpleNamespace(scheduler=scheduler))
        await handover.dask_teardown(SimpleNamespace(scheduler=scheduler))

    monkeypatch.setenv(handover.VARIABLE, str(tmp_path))
    monkeypatch.setattr(handover, "LOOK", 1000.0)
    monkeypatch.setattr(finding, "look", look)
    asyncio.run(asyncio.wait_for(main(), 60))
    assert asked == [tmp_path]
    assert list(tmp_path.iterdir()) == []
