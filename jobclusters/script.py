"""The Jinja side: from a :class:`~jobclusters.spec.JobSpec` to the text of a job script.

Templates print, and nothing else: no arithmetic, no configuration. Filters turn bytes and times into the batch
system's text, and quote.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

import jinja2

from jobclusters.dialect import Dialect
from jobclusters.errors import TemplateError
from jobclusters.spec import JobSpec
from jobclusters.units import MIB, dhms, hm, hms, in_unit, mib
from jobclusters.words import ShellWord


def shell(word: object) -> str:
    """Quote one word for the shell; what a user wrote for it (:mod:`jobclusters.words`) is filled in.

    >>> from jobclusters.words import one
    >>> shell("a b"), shell("$HOME"), shell(one("$TMPDIR/my dask")), shell(one("~/logs")), shell("")
    ("'a b'", "'$HOME'", '"$TMPDIR/my dask"', '"$HOME/logs"', "''")
    """
    return word.source if isinstance(word, ShellWord) else shlex.quote(str(word))


def command(words: Iterable[object]) -> str:
    """Quote the words of a command.

    >>> command(["python", "-m", "my module"])
    "python -m 'my module'"
    """
    return " ".join(shell(word) for word in words)


def directive(value: object) -> str:
    """Quote a directive's value where it holds spaces or quotes; line breaks are refused before.

    >>> directive("normal"), directive("/my logs/x-%j.out")
    ('normal', '"/my logs/x-%j.out"')
    """
    text = str(value)
    if not re.search(r"[\s'\"\\#]", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def limit(size: int) -> str:
    """Bytes as ``dask worker --memory-limit`` reads them.

    >>> limit(18310 * 2**20), limit(1000)
    ('18310MiB', '1000')
    """
    return f"{size // MIB}MiB" if size % MIB == 0 else str(size)


def without(text: str, skip: Sequence[str], dialect: Dialect) -> str:
    """Take directives out of a script's head (``job_directives_skip``).

    An entry is an option (``--mem``, or its short form), or an option with its value (``--mem=4G``, ``-n 1``), and
    takes whole directives; or text without the leading ``-``, which takes every directive that contains it.
    """
    entries = [entry.strip().removeprefix(dialect.directive).strip() for entry in skip]
    options = {_canonical(entry, dialect) for entry in entries if entry.startswith("-")}
    parts = [entry for entry in entries if entry and not entry.startswith("-")]
    return "".join(line for line in text.splitlines(keepends=True) if not _unwanted(line, options, parts, dialect))


def _unwanted(line: str, options: Collection[tuple[str, str]], parts: Iterable[str], dialect: Dialect) -> bool:
    if not line.startswith(dialect.directive):
        return False
    option, value = _canonical(line, dialect)
    values = {"", value, value.partition("=")[0] if "=" in value else value}  # -l walltime
    return any((option, each) in options for each in values) or any(part in line for part in parts)


def _canonical(text: str, dialect: Dialect) -> tuple[str, str]:
    words = text.strip().removeprefix(dialect.directive).strip()
    if dialect.glued:
        words = re.sub(r"^(-\w)(?=\S)", r"\1 ", words)  # -n1
    match = re.match(r"([^\s=]*)[\s=]*(.*)", words)
    option, value = match.groups() if match else (words, "")
    if value[:1] == '"':  # as the filter above quotes it
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return dialect.aliases.get(option, option), value


@lru_cache(maxsize=16)
def _environment(template_dirs: tuple[str, ...]) -> jinja2.Environment:
    ours = jinja2.PackageLoader("jobclusters.templates", "")
    environment = jinja2.Environment(
        # A site's slurm.sh.j2 hides ours, and can still extend it as jobclusters/slurm.sh.j2.
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(template_dirs), ours, jinja2.PrefixLoader({"jobclusters": ours})]
        ),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 -- shell, not HTML; every user value goes through a quoting filter
    )
    for function in (shell, command, directive, limit, without, mib, in_unit, hm, hms, dhms):
        environment.filters[function.__name__] = function
    return environment


def render(spec: JobSpec, dialect: Dialect, template_dirs: Sequence[str] = ()) -> str:
    """Print the job script.

    Parameters
    ----------
    spec
        What to print.
    dialect
        Of the batch system; it names the template.
    template_dirs
        Directories whose templates come before ours.

    Returns
    -------
    str
        The script, ending with a line break.

    Raises
    ------
    TemplateError
        With the file and the line.
    """
    name = f"{dialect.name}.sh.j2"
    try:
        text = _environment(tuple(template_dirs)).get_template(name).render(spec=spec, dialect=dialect)
    except jinja2.TemplateNotFound as error:
        where = ", ".join([*template_dirs, "jobclusters"])
        raise TemplateError(f"{_where(error)}: template {error.name!r} is in none of: {where}") from None
    except RecursionError as error:
        raise TemplateError(f"{_where(error)}: extends or includes itself; ours is 'jobclusters/{name}'") from None
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{error.filename or error.name}, line {error.lineno}: {error.message}") from None
    except jinja2.TemplateError as error:
        raise TemplateError(f"{_where(error)}: {error.message}") from error
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise TemplateError(f"{_where(error)}: {error}") from error
    return text.rstrip("\n") + "\n"


def _where(error: BaseException) -> str:
    """Name the template and the line that an error came from: the last of its frames that Jinja made."""
    found, traceback = "the template", error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename.endswith(".j2"):
            found = f"{code.co_filename}, line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found
