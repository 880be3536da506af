"""dask-jobqueue's classes, without the side effect of their import.

That replaces the handler of SIGINT (Ctrl-C would end Python without KeyboardInterrupt), and so fails outside the main
thread.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _signals_kept() -> Iterator[None]:
    if threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGINT)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
    else:
        real = signal.signal
        signal.signal = lambda *_: None
        try:
            yield
        finally:
            signal.signal = real


with _signals_kept():
    from dask_jobqueue.core import Job, JobQueueCluster

__all__ = ["Job", "JobQueueCluster"]
