"""What one batch system's commands and replies look like: data and parsers, no input or output.

A batch system is a subclass of :class:`Dialect` in ``jobclusters/dialects/``: class attributes named after the
question that they answer, and parsers of replies. A variant of a system is only its difference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from jobclusters.errors import QueueError, Refused, SubmitLimit, Unavailable
from jobclusters.spec import JobSpec
from jobclusters.state import JobStatus
from jobclusters.units import Clock


@dataclass(frozen=True)
class Reply:
    """What a command answered.

    Attributes
    ----------
    argv
        The command.
    status
        Its exit status; None if it was given up after its timeout, or could not be started.
    out, err
        What it printed.
    """

    argv: tuple[str, ...]
    status: int | None
    out: str = ""
    err: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended with exit status 0."""
        return self.status == 0

    @property
    def words(self) -> str:
        """All that it printed, errors first."""
        return "\n".join(text.strip() for text in (self.err, self.out) if text.strip())

    def sentence(self) -> str:
        """Say what was called and how it ended, in the command's own words."""
        how = "did not answer in time" if self.status is None else f"failed with exit status {self.status}"
        words = f": {self.words}" if self.words else " and said nothing"
        return f"{' '.join(self.argv)} {how}{words}"


class Beginnings(frozenset[str]):
    """Texts, each of which stands for all that begin with it.

    >>> "Can Never Run: mem" in Beginnings({"Can Never Run"}), "Not Running" in Beginnings({"Can Never Run"})
    (True, False)
    """

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and text.startswith(tuple(self))


def ranges(numbers: Iterable[int]) -> list[str]:
    """Write numbers as batch systems do, each run of consecutive ones as a range.

    >>> ranges([9, 1, 0, 2])
    ['0-2', '9']
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ["-".join(map(str, run)) for run in runs]


class Dialect(ABC):
    """The questions that every batch system answers."""

    #: As in file names and configuration: ``slurm``.
    name: ClassVar[str]
    #: As people call it: ``SLURM``.
    title: ClassVar[str]
    #: The section of dask-jobqueue's configuration that holds the defaults, if it has another name.
    section: ClassVar[str] = ""
    #: The command whose presence shows that the system is here.
    probe: ClassVar[str]
    #: What a directive line begins with.
    directive: ClassVar[str]
    #: Short directive to the one that our template prints.
    aliases: ClassVar[Mapping[str, str]] = MappingProxyType({})
    #: Whether a short option's value may stand next to it: ``-n1``.
    glued: ClassVar[bool] = True
    #: How it reads a walltime without hours, minutes and seconds.
    clock: ClassVar[Clock]
    #: Whether it can be asked for a job without a limit of time.
    unlimited: ClassVar[bool] = False
    #: Keywords that only this system has.
    keywords: ClassVar[frozenset[str]] = frozenset()
    #: Old names of keywords, with the new ones.
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({})
    #: Whether an account may hold spaces, in quotes.
    spaced_accounts: ClassVar[bool] = False
    #: What a job's name must match, and that in words; ("", "") if there is nothing to heed.
    job_name_rule: ClassVar[tuple[str, str]] = ("", "")
    #: The environment variable that holds a job's own id; "" if there is none.
    job_variable: ClassVar[str] = ""
    #: The environment variable that holds an array element's index, and the first index of an array.
    index_variable: ClassVar[str]
    first_index: ClassVar[int] = 0
    #: The environment variable that counts requeues; "" if there is none.
    restart_variable: ClassVar[str] = ""
    #: The signals by which a job is told that it will be killed, if that isn't TERM; "" if it is.
    warnings: ClassVar[str] = ""
    #: The environment variable that tells a job from which machine it was submitted; "" if there is none.
    submit_host_variable: ClassVar[str] = ""
    #: Whether a job can be told to stay away from nodes (a spec's ``exclude``).
    excludes: ClassVar[bool] = True
    #: The most elements that any installation's array may have; a smaller limit is found by asking.
    largest_array: ClassVar[int] = 1000
    #: Variables of a job that must not reach jobs submitted from inside it: prefixes, and exceptions.
    nested_prefixes: ClassVar[tuple[str, ...]] = ()
    nested_keep: ClassVar[frozenset[str]] = frozenset()

    #: The commands that print its version, and what queues there are; () where there is none.
    version_argv: ClassVar[tuple[str, ...]] = ()
    queues_argv: ClassVar[tuple[str, ...]] = ()

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read the names of the queues."""
        raise NotImplementedError

    def accounts_argv(self, user: str) -> list[str]:
        """Give the command that prints whose shares a user may use; [] where there is none."""
        return []

    def parse_accounts(self, reply: Reply) -> dict[str, int | None]:
        """Read the accounts, and how many jobs the user may have submitted to each at once; None if any number."""
        raise NotImplementedError

    def problems(self, spec: JobSpec) -> Iterable[str]:
        """Tell what the system would refuse, or never run, though each keyword alone is right."""
        return ()

    def takes_one_slot(self, spec: JobSpec) -> bool:
        """Tell whether the system would give this job one core, as nothing says how it is to ask for more."""
        return False

    @abstractmethod
    def submit_argv(self, count: int) -> list[str]:
        """Give the command that reads a script from standard input and submits it as ``count`` jobs."""

    @abstractmethod
    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read the ids of the submitted jobs, in the order of their index; raise if it failed."""

    @abstractmethod
    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Give the command that cancels all these jobs."""

    @abstractmethod
    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Give the command that asks for the states of all these jobs."""

    @abstractmethod
    def find_argv(self, job_name: str) -> list[str]:
        """Give the command that asks for the states of all jobs with this name."""

    @abstractmethod
    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read what ``query_argv`` or ``find_argv`` printed. A job that isn't in it is not known there.

        Raises
        ------
        Unavailable
            If the reply tells nothing.
        """

    def parse_find(self, reply: Reply, job_name: str) -> dict[str, JobStatus]:
        """Read what ``find_argv`` printed, if that isn't what ``query_argv`` prints."""
        return self.parse_states(reply)

    def variant(self, reply: Reply) -> Dialect | None:
        """Give the dialect to use from now on, if a question's reply shows that this one isn't understood here."""
        return None

    def settings(self, environ: Mapping[str, str], read: Callable[[str], str]) -> Mapping[str, object]:
        """Give the keywords that the system's own files or variables set, beneath the configuration.

        Parameters
        ----------
        environ
            The environment.
        read
            Gives the text of a file, "" if there is none.
        """
        return {}

    #: Whether a cancel may name only jobs that a query has just listed.
    cancel_only_listed: ClassVar[bool] = False

    #: Whether jobs that failed stay in the queue until somebody deletes them.
    failed_stay: ClassVar[bool] = False

    def stuck_argv(self, ids: Sequence[str]) -> list[str]:
        """Give the command that tells why jobs failed that are still in the queue."""
        raise NotImplementedError

    def parse_stuck(self, reply: Reply) -> dict[str, str]:
        """Read the reasons, by id."""
        raise NotImplementedError

    #: Seconds by which the answer to ``detail_argv`` may lag behind a job's end.
    detail_delay: ClassVar[float] = 0.0

    def detail_argv(self, job_id: str) -> list[str] | None:
        """Give the command that tells most about one ended job; None if there is none."""
        return None

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read what ``detail_argv`` printed; None if it tells nothing."""
        return None

    @abstractmethod
    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Give the paths of a job's output, relative to where it was submitted."""

    #: Text in a refusal that means "too many jobs": fewer, or later, would do.
    limit_words: ClassVar[tuple[str, ...]] = ()
    #: Text in a refusal that means "this array is too large".
    array_words: ClassVar[tuple[str, ...]] = ()
    #: Text in a failure that means "nobody answered".
    outage_words: ClassVar[tuple[str, ...]] = ()

    #: Reasons of pending jobs that mean: never.
    never: ClassVar[frozenset[str]] = frozenset()

    def failure(self, reply: Reply) -> QueueError:
        """Tell what a failed command's reply means."""
        if reply.status is None or any(words in reply.words for words in self.outage_words):
            return Unavailable(reply.sentence())
        if any(words in reply.words for words in self.limit_words):
            return SubmitLimit(reply.sentence())
        return Refused(reply.sentence())

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Take the variables of a surrounding job out of an environment."""
        if not any(variable in environ for variable in self.inside_variables):
            return dict(environ)
        return {
            key: value
            for key, value in environ.items()
            if key in self.nested_keep or not key.startswith(self.nested_prefixes)
        }

    #: Variables whose presence shows that we are inside a job.
    inside_variables: ClassVar[tuple[str, ...]] = ()
