"""Guards the rounds of loops, and the steps of an end: one that fails is logged once, and the next one begins."""

from __future__ import annotations

import logging
from types import TracebackType

from jobclusters.errors import JobClustersError

logger = logging.getLogger(__name__)


class Guard:
    """Guards a step that is done again and again: ``with guard:`` lets no exception through.

    The first failure is logged, and each of another type; then nothing until the step works again, which is logged as
    well. What ends a task or the program (``CancelledError``, ``KeyboardInterrupt``) goes through.

    Parameters
    ----------
    step
        What fails, as the first words of the message.
    then
        What happens after that.

    Attributes
    ----------
    error : Exception or None
        Why the step failed the last time; None if it worked.

    Examples
    --------
    >>> guard = Guard("Polling the jobs")
    >>> with guard:
    ...     {}["a bug"]
    >>> guard.error
    KeyError('a bug')
    >>> with guard:
    ...     pass
    >>> guard.error is None
    True
    """

    def __init__(self, step: str, then: str = "it is tried again") -> None:
        self._step = step
        self._then = then
        self._failures = 0
        self.error: Exception | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None:
            self.work()
        elif isinstance(error, Exception):
            self.fail(error)
            return True
        return False

    def work(self) -> None:
        """Note that the step worked."""
        if self._failures:
            logger.warning("%s works again; it failed %d times.", self._step, self._failures)
        self._failures, self.error = 0, None

    def fail(self, error: Exception) -> None:
        """Note that the step failed."""
        again = type(error) is type(self.error)
        self._failures += 1
        self.error = error
        if again or ends_program(error):
            logger.debug("%s failed again: %r", self._step, error)
        elif isinstance(error, (JobClustersError, OSError)):  # the world's fault: a traceback would not help
            logger.warning("%s failed; %s. %s", self._step, self._then, error)
        else:
            logger.error("%s failed; %s; please report this", self._step, self._then, exc_info=error)


def ends_program(error: Exception) -> bool:
    """Tell whether an error says no more than that this Python ends: it begins no thread and no process then."""
    return isinstance(error, RuntimeError) and "interpreter shutdown" in str(error)
