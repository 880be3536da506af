"""Describes the commands and replies of one batch system: data and parsers, no input or output.

A batch system is a subclass of :class:`Dialect` in ``jobclusters/dialects/``: class attributes, argument lists and
parsers of replies. A variant of a system subclasses it.

It is long because who adds a batch system finds all here: what one may have, and how commands and replies are read.
"""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar

from jobclusters.errors import LongName, NoArrays, QueueError, Refused, SubmitLimit, Unavailable
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.keyword import Keyword, Options, Shared
from jobclusters.spec.reader import Reader
from jobclusters.spec.units import Clock
from jobclusters.state import JobStatus

#: Escape sequences of terminals, such as colours.
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
#: Characters of a reply in a sentence, from its beginning and its end: replies may have megabytes.
_QUOTED = (2000, 500)
#: Characters of output up to which it is quoted beside errors: the sentence of a wrapper, but no answer about jobs.
_BESIDE_ERRORS = 300

#: A refusal of arrays, but not of one that is too large.
_NO_ARRAYS = re.compile(
    r"\barrays?\b[^.\n]{0,80}\b(?:not|disabled|disallowed|forbidden|unsupported|prohibited)\b"
    r"|\b(?:not|no|without|disabled|disallowed)\b[^.\n]{0,40}\barrays?\b",
    re.IGNORECASE,
)


#: A refusal of a name by its length, of which the text may hold the limit.
_LONG_NAME = re.compile(
    r"\bnames?\b[^\n]{0,80}?(?:\btoo long\b|\b(?:less|fewer|shorter) than (?P<below>\d+) char"
    r"|\b(?:at most|no more than|longer than|more than|exceeds?|up to|limited to|maximum(?: length)?(?: of| is)?)"
    r" (?P<most>\d+) char)|\billegal -N value\b",
    re.IGNORECASE,
)
#: The most characters of a name where a refusal doesn't tell: those of old batch systems.
_SHORT_NAME = 15

#: A refusal to answer so many questions.
_RATIONED = re.compile(r"\brate.?limit|\btoo many (?:requests|queries|calls)\b|\btry again later\b", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """The reply of a command.

    Attributes
    ----------
    argv
        The command.
    status
        Its exit status; None if it exceeded its timeout, or could not be started.
    out, err
        Its output without colours.
    """

    argv: tuple[str, ...]
    status: int | None
    out: str = ""
    err: str = ""

    def __post_init__(self) -> None:
        for name in ("out", "err"):
            if "\x1b" in (text := getattr(self, name)):
                object.__setattr__(self, name, _ESCAPE.sub("", text))

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0."""
        return self.status == 0

    @property
    def words(self) -> str:
        """All its output, errors first."""
        return "\n".join(text.strip() for text in (self.err, self.out) if text.strip())

    def sentence(self) -> str:
        """Describe the command and how it ended, in its own words."""
        first, last = _QUOTED
        words = self.words if len(self.out) <= _BESIDE_ERRORS else self.err.strip() or self.out.strip()
        if len(words) > first + last:
            words = f"{words[:first]}\n[...]\n{words[-last:]}"
        how = "did not answer in time" if self.status is None else f"failed with exit status {self.status}"
        return f"{' '.join(self.argv)} {how}{f': {words}' if words else ' and printed nothing'}"

    def unreadable(self, what: object) -> Unavailable:
        """Make the error for output that can't be read."""
        return Unavailable(f"{' '.join(self.argv)} printed what can't be read: {what}")


class Beginnings(frozenset[str]):
    """Prefixes: it contains every text that begins with one of them.

    >>> "Can Never Run: mem" in Beginnings({"Can Never Run"}), "Not Running" in Beginnings({"Can Never Run"})
    (True, False)
    """

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and text.startswith(tuple(self))


def ranges(numbers: Iterable[int]) -> list[str]:
    """Write numbers as batch systems do, consecutive ones as a range.

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


def number(text: str) -> int | None:
    """Read a whole number; None if it is none, or larger than any that a batch system counts to.

    >>> number("12"), number("-27"), number("²"), number("9" * 5000)
    (12, -27, None, None)
    """
    return int(text) if _NUMBER.fullmatch(text) else None


_NUMBER = re.compile("-?[0-9]{1,18}")

_AMOUNT = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([kmgtp]?)b?", re.IGNORECASE)


def amount(text: str, unit: str = "") -> int:
    """Read an amount of memory as batch systems do, in bytes; 0 for anything else. ``unit`` is that of a bare number.

    >>> amount("8gb"), amount("1.5 G"), amount("500", "m"), amount("$MEM"), amount("0")
    (8589934592, 1610612736, 524288000, 0, 0)
    """
    found = _AMOUNT.fullmatch(text.strip())
    if not found:
        return 0
    return int(float(found[1]) * 1024 ** " kmgtp".index((found[2] or unit or " ").lower()))


#: A keyword of most systems.
ACCOUNT = Keyword(
    "account",
    "str",
    "The account or project that is charged.",
    read=Reader.word,
    old_names=("project",),
    shared=Shared.ALL,
    option="NAME",
)

#: A keyword of some systems.
JOB_CPU = Keyword(
    "job_cpu",
    "int",
    "Cores to ask for, where that is another number than the workers use.",
    default="``cores``",
    read=Reader.count,
    shape=True,
)

#: A keyword of all batch systems but this machine's.
USE_STDIN = Keyword(
    "use_stdin",
    "bool",
    "Whether the submission's command reads the script from standard input; else it gets a file.",
    default="True",
    read=Reader.yes,
    shared=Shared.ALL,
)


@lru_cache(maxsize=256)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Make a test for names from patterns with *."""
    return re.compile("|".join(map(translate, patterns)) if patterns else r"(?!)").match


#: Characters of a text that are split into lines at once.
_PIECE_SIZE = 2**16


def iter_lines(text: str) -> Iterator[str]:
    r"""Give the lines of a large text piece by piece: splitting it at once would block other threads.

    >>> list(iter_lines("a\n\nb")), list(iter_lines("a\n"))
    (['a', '', 'b'], ['a'])
    """
    place = 0
    while place < len(text):
        end = text.find("\n", place + _PIECE_SIZE)
        piece = text[place:] if end < 0 else text[place:end]
        yield from (piece.removesuffix("\n") if end < 0 else piece).split("\n")
        place += len(piece) + 1


def intern_statuses(found: Iterable[tuple[str, JobStatus]]) -> dict[str, JobStatus]:
    """Keep one object for equal statuses, which saves the garbage collector work; the last of two equal ids counts."""
    seen: dict[JobStatus, JobStatus] = {}
    return {job_id: seen.setdefault(status, status) for job_id, status in found}


#: Characters of ids in one command: Linux takes 128 KiB in one argument, and a shell wrapper may take less.
MOST_ID_CHARACTERS = 100_000


def split_for_commands(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split ids into parts that fit into a command.

    >>> [len(part) for part in split_for_commands(["1234567.server"] * 10_000)]
    [6666, 3334]
    """
    start = length = 0
    for end, job_id in enumerate(ids):
        if length + len(job_id) > MOST_ID_CHARACTERS and end > start:
            yield ids[start:end]
            start, length = end, 0
        length += len(job_id) + 1
    if start < len(ids):
        yield ids[start:]


class Dialect(ABC):
    """The commands and replies of a batch system."""

    #: As in file names and configuration: ``slurm``.
    name: ClassVar[str]
    #: As in messages: ``SLURM``.
    title: ClassVar[str]
    #: The products that its classes are for, if the title doesn't name them all: ``PBS Professional or OpenPBS``.
    product: ClassVar[str] = ""
    #: The prefix of its classes' names: ``SLURM`` of ``SLURMCluster``.
    prefix: ClassVar[str]
    #: Keywords of a usual call, for the documentation of its class.
    example: ClassVar[str] = 'worker_size="large", queue="normal", walltime="02:00:00"'
    #: The section of dask-jobqueue's configuration that holds the defaults, if it has another name.
    section: ClassVar[str] = ""
    #: The command whose presence shows that the system is on this machine.
    probe: ClassVar[str]
    #: The prefix of a directive's line.
    directive: ClassVar[str]
    #: Whether the names of directives begin with a dash.
    dashes: ClassVar[bool] = True
    #: Short directive to the long one in the template.
    aliases: ClassVar[Mapping[str, str]] = MappingProxyType({})
    #: Whether a short option may have its value attached: ``-n1``.
    attached_values: ClassVar[bool] = True
    #: What options of directives ask for, if another option asks for the same; "walltime", "name" and "queue" are read.
    asks: ClassVar[Mapping[str, str]] = MappingProxyType({})
    #: Options that add to others of their kind, and take nothing's place.
    adds: ClassVar[frozenset[str]] = frozenset()
    #: How it reads a walltime without hours, minutes and seconds.
    clock: ClassVar[Clock]
    #: Whether a walltime may be unlimited.
    unlimited: ClassVar[bool] = False
    #: Keywords that not every system has; templates print them as ``options``.
    keywords: ClassVar[tuple[Keyword, ...]] = ()
    #: Those of them that change its commands.
    command_keywords: ClassVar[tuple[str, ...]] = ()
    #: The pattern of a job's name, and its description; ("", "") if every name is valid.
    job_name_rule: ClassVar[tuple[str, str]] = ("", "")
    #: The most characters of a job's name; 0 if there is no limit, or it shows in a refusal.
    longest_job_name: ClassVar[int] = 0
    #: Signs that the batch system replaces in the name of an output file.
    output_placeholders: ClassVar[str] = "%"
    #: The directives, by their long names, that name the files of a job's output and of its errors.
    output_options: ClassVar[tuple[str, str]] = ("-o", "-e")
    #: What the batch system replaces in these names.
    output_fields: ClassVar[str] = r"%\w"
    #: Whether a machine and a colon may stand before them.
    output_hosts: ClassVar[bool] = False
    #: The environment variable with a job's id; "" if there is none.
    job_variable: ClassVar[str] = ""
    #: The environment variable with an array element's index, and the first index of an array.
    index_variable: ClassVar[str]
    first_index: ClassVar[int] = 0
    #: The environment variable that counts requeues; "" if there is none.
    restart_variable: ClassVar[str] = ""
    #: The signals that announce the end of a job, if not TERM; "" for TERM.
    warnings: ClassVar[str] = ""
    #: The environment variable with the machine that submitted a job; "" if there is none.
    submit_host_variable: ClassVar[str] = ""
    #: What the shell expands to the directory from which a job was submitted; "" where jobs start there.
    submit_directory: ClassVar[str] = ""
    #: Whether a job can avoid nodes (a spec's ``exclude``).
    excludes: ClassVar[bool] = True
    #: The most elements of an array on any installation; a smaller limit shows in a refusal.
    largest_array: ClassVar[int] = 1000
    #: Patterns of the variables that the batch system sets in its jobs, which must not reach jobs submitted from inside
    #: one; those among them that users set; those whose presence shows that this process runs in a job.
    set_in_jobs: ClassVar[tuple[str, ...]] = ()
    set_by_users: ClassVar[tuple[str, ...]] = ()
    inside_job_variables: ClassVar[tuple[str, ...]] = ()
    #: Patterns of users' variables that change which jobs a question or a cancel concerns, or its output; and of those
    #: that change whether a submission submits and prints an id.
    question_variables: ClassVar[tuple[str, ...]] = ()
    submit_variables: ClassVar[tuple[str, ...]] = ()
    #: Variables that set a keyword which a script leaves open.
    keyword_variables: ClassVar[Mapping[str, str]] = MappingProxyType({})
    #: The commands that print its version, and its queues; () where there is none.
    version_argv: ClassVar[tuple[str, ...]] = ()
    queues_argv: ClassVar[tuple[str, ...]] = ()
    #: The command that identifies this installation, and the pattern of its name in the reply; () where none does.
    identity_argv: ClassVar[tuple[str, ...]] = ()
    identity_pattern: ClassVar[str] = ""
    #: Whether jobs found by name count only once a query by id confirms them.
    find_needs_query: ClassVar[bool] = False
    #: Whether a cancel may name only jobs that a query has just listed.
    cancel_only_listed: ClassVar[bool] = False
    #: Whether failed jobs stay in the queue until they are deleted.
    keeps_failed_jobs: ClassVar[bool] = False
    #: Seconds by which the reply to ``detail_argv`` may lag behind a job's end.
    detail_delay: ClassVar[float] = 0.0
    #: Whether the script of a submission has to be a file.
    needs_file: ClassVar[bool] = False
    #: Whether the reply to ``query_argv`` holds states alone: the rest is asked for once, as a job starts or ends.
    brief: ClassVar[bool] = False
    #: If so, the seconds after a job's end in which the batch system may submit it again by itself, with a new id.
    successor_delay: ClassVar[float] = 0.0
    #: Text in a refusal that means "too many jobs": fewer, or later, would do.
    limit_words: ClassVar[tuple[str, ...]] = ()
    #: Text in a refusal that means "this array is too large".
    array_words: ClassVar[tuple[str, ...]] = ()
    #: Text in a failure that means "no answer".
    outage_words: ClassVar[tuple[str, ...]] = ()
    #: Reasons of pending jobs that mean: never.
    never: ClassVar[frozenset[str]] = frozenset()

    @property
    def usual_section(self) -> str:
        """The section of ``jobqueue`` in the configuration, unless there is one of the system's own name."""
        return self.section or self.name

    def parse_identity(self, reply: Reply) -> str:
        """Read the name of this installation; "" if the reply holds none."""
        found = re.search(self.identity_pattern, reply.out, re.MULTILINE) if reply.ok else None
        return found[1] if found else ""

    def identity(self, environ: Mapping[str, str], read: Callable[[str], str]) -> str:
        """Read the name of this installation from variables and files, where no command gives it; "" if it is unknown.

        ``read`` gives the text of a file, "" if there is none.
        """
        return ""

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read the names of the queues."""
        raise NotImplementedError

    def accounts_argv(self, user: str) -> list[str]:
        """Give the command that prints a user's accounts; [] where there is none."""
        return []

    def parse_accounts(self, reply: Reply) -> dict[str, int | None]:
        """Read the accounts, and the most jobs that the user may have submitted to each; None if there is no limit."""
        raise NotImplementedError

    def requests(self, line: str) -> dict[str, str]:
        """Give what a directive asks for: each kind, and the text of its value.

        A directive of the user's takes the place of ours that ask for the same kind.
        """
        return {
            kind: value
            for option, text in self._options(line)
            for kind, value in self._kinds(self.aliases.get(option, option), text)
            if option not in self.adds
        }

    def _options(self, line: str) -> Iterator[tuple[str, str]]:
        """Split a directive, without its beginning, into options and values."""
        try:
            words = shlex.split(line)
        except ValueError:
            words = line.split()
        option, values = "", list[str]()
        for word in words:
            if not re.match(r"--?[A-Za-z]", word):
                values.append(word)
                continue
            if option:
                yield option, " ".join(values)
            attached = self.attached_values and re.match(r"-[A-Za-z]", word)
            option, value = (word[:2], word[2:].lstrip("=")) if attached else word.partition("=")[::2]
            values = [value] if value else []
        if option:
            yield option, " ".join(values)

    def _kinds(self, option: str, value: str) -> Iterator[tuple[str, str]]:
        """Give what an option, by its long name, asks for."""
        yield self.asks.get(option, option), value

    def problems(self, spec: JobSpec) -> Iterable[str]:
        """Give what the system would refuse, or never run, though each keyword alone is right."""
        return ()

    def remarks(self, spec: JobSpec) -> Iterable[str]:
        """Give warnings about a job that is possible."""
        return ()

    def written(self, directives: object) -> object:
        """Write a mapping of directives as lines, where they are no options with values; leave the rest as it is."""
        return directives

    def configured(self, options: Mapping[str, object]) -> Dialect:
        """Give the dialect with the values of its ``command_keywords``."""
        return self

    def add_options(self, spec: JobSpec, read: Reader, sized: bool) -> JobSpec:
        """Complete a spec with the options of this system: by default, its keywords.

        ``sized`` is whether the job has a size, and not ``cores`` and ``memory``.
        """
        return replace(spec, options=Options(**{each.name: each.value(read) for each in self.keywords}))

    def own_memory(self, spec: JobSpec) -> int:
        """Give the memory that a job's own directives ask for, which ours give way to, in bytes; 0 if they don't."""
        return 0

    @abstractmethod
    def submit_argv(self, count: int) -> list[str]:
        """Give the command that reads a script from standard input and submits it as ``count`` jobs."""

    def submit_file_argv(self, count: int, path: str, script: str) -> list[str]:
        """Give the command that submits a script from a file."""
        return [*self.submit_argv(count), path]

    def description(self, count: int, path: str, script: str) -> str | None:
        """Give what the submission's command reads besides the script in a file; None if it reads the script alone."""
        return None

    def precheck_argv(self, script: str) -> tuple[str, ...]:
        """Give the command whose reply shows whether this script would harm the system; () if it can't."""
        return ()

    def precheck_input(self, script: str) -> str | None:
        """Give what that command reads from standard input; None for nothing."""
        return None

    def parse_precheck(self, reply: Reply) -> str:
        """Explain why a script may not be submitted; "" if it may."""
        return ""

    def other_clusters(self, script: str, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Name the other clusters that a script goes to with these variables; () if it goes to the usual one."""
        return ()

    @abstractmethod
    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read the ids of the submitted jobs, in the order of their index; raise a QueueError if it failed."""

    def find_id(self, reply: Reply, pattern: re.Pattern[str]) -> re.Match[str]:
        """Find the id of a submission in the last line that is one: sites print quotas and greetings around it."""
        if not reply.ok:
            raise self.failure(reply)
        for line in reversed(reply.out.splitlines()):
            if match := pattern.fullmatch(line.strip()):
                return match
        raise Unavailable(f"{self.submit_argv(1)[0]} printed no job id: {reply.words!r}")

    @abstractmethod
    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Give the commands that cancel all these jobs: as few as are safe.

        ``listed`` is the reply to a query for them, with all other elements of their arrays; empty unless
        ``cancel_only_listed``.
        """

    def clusters_of(self, ids: Iterable[str]) -> Iterable[str]:
        """Name the other clusters on which jobs with these ids are."""
        return ()

    def split_by_cluster(self, ids: Sequence[str]) -> list[Sequence[str]]:
        """Split ids so that one command can ask for each part."""
        return [ids]

    @abstractmethod
    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Give the command that asks for the states of all these jobs."""

    @abstractmethod
    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Give the command that asks for the states of all jobs of this user with this name."""

    def find_anywhere_argv(self, job_name: str, user: str) -> list[str] | None:
        """Give the command that searches all known clusters; None if there is one cluster. It may fail."""
        return None

    @abstractmethod
    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read the reply to ``query_argv`` or ``find_argv``; raise Unavailable if it holds no information.

        The batch system doesn't know a job that isn't in it.
        """

    def parse_find(self, reply: Reply, job_name: str, user: str) -> dict[str, JobStatus]:
        """Read the reply to ``find_argv``, if its format isn't that of ``query_argv``."""
        return self.parse_states(reply)

    def variant(self, reply: Reply) -> Dialect | None:
        """Give the dialect to use from now on, if a reply shows that this installation doesn't understand this one."""
        return None

    def settings(self, environ: Mapping[str, str], read: Callable[[str], str]) -> Mapping[str, object]:
        """Give the keywords that the system's own files or variables set, below the configuration.

        ``read`` gives the text of a file, "" if there is none.
        """
        return {}

    def without_refused(self, script: str, words: str) -> str:
        """Give a script without what these words refuse, if jobs are as good without it; else the script as it is."""
        return script

    def reasons_argv(self, states: Mapping[str, JobStatus]) -> list[str]:
        """Give the command that prints why jobs wait, where ``query_argv`` doesn't; [] if none is needed."""
        return []

    def parse_reasons(self, reply: Reply) -> dict[str, str]:
        """Read the reasons, by id; {} if it holds none."""
        return {}

    def stuck_argv(self, ids: Sequence[str]) -> list[str]:
        """Give the command that prints why jobs failed that are still in the queue; [] if their states say so."""
        raise NotImplementedError

    def parse_stuck(self, reply: Reply) -> dict[str, str]:
        """Read the reasons, by id."""
        raise NotImplementedError

    def details_argv(self, ids: Sequence[str]) -> list[str]:
        """Give the command that prints most about some jobs, for a system that is ``brief``."""
        raise NotImplementedError

    def parse_details(self, reply: Reply) -> dict[str, JobStatus]:
        """Read the reply; raise Unavailable if it holds no information."""
        raise NotImplementedError

    def successors_argv(self, ids: Sequence[str]) -> list[str]:
        """Give the command that lists the jobs as which the batch system has submitted these again by itself."""
        raise NotImplementedError

    def parse_successors(self, reply: Reply) -> dict[str, str]:
        """Read their ids, by those of the jobs that had ended; raise Unavailable if the reply holds no information."""
        raise NotImplementedError

    def detail_argv(self, job_id: str) -> list[str] | None:
        """Give the command that prints most about one ended job; None if there is none."""
        return None

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read the reply to ``detail_argv``; None if it holds no information."""
        return None

    def history_argv(self, job_id: str, status: JobStatus) -> list[str]:
        """Give the command that prints who ended a job, where the details don't; [] if they do, or there is none."""
        return []

    def parse_history(self, reply: Reply, status: JobStatus) -> JobStatus:
        """Complete the details of a job with the reply to ``history_argv``."""
        return status

    def own_output(self, text: str) -> str:
        """Give what a job itself printed: without what the batch system writes into its output file."""
        return text

    @abstractmethod
    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Give the paths of a job's output, relative to where it was submitted."""

    def output_values(self, job_id: str, job_name: str) -> Mapping[str, str]:
        """Give the values of those ``output_fields`` that are known for a job."""
        return {}

    def all_requests(self, directives: Iterable[str]) -> dict[str, str]:
        """Give what directives ask for, the files of output among it; of two for the same, the last counts."""
        return {kind: value for line in directives for kind, value in self.requests(line).items()}

    def own_log_files(self, directives: Iterable[str], job_id: str, job_name: str) -> dict[str, str]:
        """Give the paths that the user's own directives name for a job's output, by option.

        A path holds what is not known here as the directive has it: see :meth:`is_placeholder`.
        """
        asked, values = self.all_requests(directives), self.output_values(job_id, job_name)
        found = {}
        for option in self.output_options:
            if path := asked.get(option, "").strip("\"'"):
                path = re.sub(self.output_fields, lambda field: values.get(field[0], field[0]), path)
                found[option] = re.sub(r"^[\w.-]*:", "", path) if self.output_hosts else path
        return found

    def shares_log_files(self, directives: Iterable[str]) -> bool:
        """Tell whether the user's own directives name one file for the output of all jobs."""
        asked = self.all_requests(directives)
        named = [asked[option] for option in self.output_options if asked.get(option)]
        return not all(map(self.is_placeholder, named))

    def is_placeholder(self, path: str) -> bool:
        """Tell whether a path names a file only on the batch system, which alone knows what stands in it."""
        return re.search(self.output_fields, path) is not None

    def failure(self, reply: Reply) -> QueueError:
        """Make the error for the reply of a failed command."""
        if self.unanswered(reply):
            return Unavailable(reply.sentence())
        if self.is_limit(reply.words):
            return SubmitLimit(reply.sentence())
        if long := _LONG_NAME.search(reply.words):
            most = int(long["below"]) - 1 if long["below"] else int(long["most"] or _SHORT_NAME)
            return LongName(reply.sentence(), most)
        if not any(words in reply.words for words in self.array_words) and _NO_ARRAYS.search(reply.words):
            return NoArrays(reply.sentence())
        return Refused(reply.sentence())

    def is_limit(self, words: str) -> bool:
        """Tell whether a refusal means "too many jobs"."""
        return any(each in words for each in self.limit_words)

    def unanswered(self, reply: Reply) -> bool:
        """Tell whether a command failed without an answer: by an outage, or as it was run too often."""
        if reply.status is None:
            return True
        outage = any(words in reply.words for words in self.outage_words)
        return not reply.ok and (outage or _RATIONED.search(reply.words) is not None)

    def silent(self, reply: Reply) -> bool:
        """Tell whether a reply shows an outage: then it is no information, whatever its exit status."""
        return reply.status is None or any(words in reply.err for words in self.outage_words)

    def environment(self, environ: Mapping[str, str], script: str | None = None) -> dict[str, str]:
        """Remove the variables that would change a command, and those of a surrounding job, from an environment.

        ``script`` is the job script that the command submits; None for a question or a cancel.
        """
        if script is None:
            unwanted = self.question_variables
        else:
            unwanted = (*self.submit_variables, *self.overriding_variables(script))
        inside = any(name in environ for name in self.inside_job_variables)
        removed, kept = _matcher(unwanted), _matcher(self.set_by_users)
        outer = _matcher(self.set_in_jobs if inside else ())
        return {name: value for name, value in environ.items() if not removed(name) and (not outer(name) or kept(name))}

    def environment_settings(self, environ: Mapping[str, str], script: str) -> dict[str, tuple[str, str]]:
        """Give what variables add to a submission: by the keyword or option that it stands for, value and variable."""
        kept = self.environment(environ, script)
        return {key: (kept[name], name) for name, key in self.keyword_variables.items() if kept.get(name)}

    def overriding_variables(self, script: str) -> tuple[str, ...]:
        """Name the variables that would override directives of a script."""
        return ()
