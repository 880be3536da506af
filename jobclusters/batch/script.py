"""Renders a :class:`~jobclusters.spec.job_spec.JobSpec` to a job script, with Jinja.

Templates only print: no arithmetic, no configuration. Filters write bytes and times as the batch system reads them, and
quote.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache

import jinja2

from jobclusters.dialects.base import Dialect
from jobclusters.errors import TemplateError
from jobclusters.spec.job_spec import NODE_NAME, JobSpec
from jobclusters.spec.shell_words import ShellWord
from jobclusters.spec.units import MIB, dhms, hm, hms, in_unit, mib


def shell(word: object) -> str:
    """Quote one word for the shell, which expands a :class:`~jobclusters.spec.shell_words.ShellWord`.

    >>> from jobclusters.spec.shell_words import one_word
    >>> shell("a b"), shell("$HOME"), shell(one_word("$TMPDIR/my dask")), shell(one_word("~/logs")), shell("")
    ("'a b'", "'$HOME'", '"$TMPDIR/my dask"', '"$HOME/logs"', "''")
    """
    if isinstance(word, ShellWord):
        return _LINE.sub(r'\1""#', word.source)
    return _LINE.sub(r"\1''#", shlex.quote(str(word)))


#: A line of a value that looks like a directive: the filter closes and opens the quotes before the #.
_LINE = re.compile(r"(\n[ \t]*)#")


def command(words: Iterable[object]) -> str:
    """Quote the words of a command.

    >>> command(["python", "-m", "my module"])
    "python -m 'my module'"
    """
    return " ".join(shell(word) for word in words)


def directive(value: object) -> str:
    """Quote a directive's value with spaces or quotes; the reader has refused line breaks.

    >>> directive("normal"), directive("/my logs/x-%j.out")
    ('normal', '"/my logs/x-%j.out"')
    """
    text = str(value)
    if not re.search(r"[\s'\"\\#]", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def limit(size: int) -> str:
    """Write bytes as ``dask worker --memory-limit`` reads them.

    >>> limit(18310 * 2**20), limit(1000)
    ('18310MiB', '1000')
    """
    return f"{size // MIB}MiB" if size % MIB == 0 else str(size)


def without(text: str, skip: Sequence[str], dialect: Dialect, own: Sequence[str] = ()) -> str:
    """Remove directives from a script's head (``job_directives_skip``), and those that the user's ``own`` replace.

    An entry is an option (``--mem``, or its short form), or an option with its value (``--mem=4G``, ``-n 1``), which
    removes whole directives; or, where options begin with ``-``, text without one, which removes every directive that
    contains it.
    """
    entries = [entry.strip().removeprefix(dialect.directive).strip() for entry in skip]
    names = [entry for entry in entries if entry.startswith("-") or (entry and not dialect.dashes)]
    options = {_canonical(entry, dialect) for entry in names}
    parts = [entry for entry in entries if entry and entry not in names]
    replaced = {kind for line in own for kind in dialect.requests(line)}
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if not _unwanted(line, options, parts, dialect) and not _replaced(line, replaced, dialect)
    )


def _replaced(line: str, kinds: Collection[str], dialect: Dialect) -> bool:
    """Tell whether the user's own directives ask for what one of ours does."""
    ours = line.startswith(dialect.directive) and bool(kinds)
    return ours and any(kind in kinds for kind in dialect.requests(line.removeprefix(dialect.directive).strip()))


def _unwanted(line: str, options: Collection[tuple[str, str]], parts: Iterable[str], dialect: Dialect) -> bool:
    if not line.startswith(dialect.directive):
        return False
    option, value = _canonical(line, dialect)
    values = {"", value, value.partition("=")[0] if "=" in value else value}  # -l walltime
    return any((option, each) in options for each in values) or any(part in line for part in parts)


def _canonical(text: str, dialect: Dialect) -> tuple[str, str]:
    words = text.strip().removeprefix(dialect.directive).strip()
    if dialect.attached_values:
        words = re.sub(r"^(-\w)(?=\S)", r"\1 ", words)  # -n1
    match = re.match(r"([^\s=]*)[\s=]*(.*)", words)
    option, value = match.groups() if match else (words, "")
    if value[:1] == '"':  # as the filter above quotes it
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return dialect.aliases.get(option, option), value


class _SiteTemplates(jinja2.FileSystemLoader):
    """Finds a site's templates; one that was there and is no more is an error: ours would lack what it adds."""

    def __init__(self, directories: Sequence[str]) -> None:
        super().__init__(directories)
        self._found: dict[str, str | None] = {}

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Read a template."""
        for directory in self.searchpath:
            if not os.path.isdir(directory):
                raise TemplateError(f"the template directory {directory} is not there; {_WITHOUT}")
        try:
            source, file, unchanged = super().get_source(environment, template)
        except jinja2.TemplateNotFound:
            if template in self._found:
                raise TemplateError(f"the template {self._found[template]} is no longer there; {_WITHOUT}") from None
            raise
        self._found[template] = file
        return source, file, unchanged


_WITHOUT = "bring it back, or leave its directory out of template_dirs (in the configuration, template-dirs)"


@lru_cache(maxsize=16)
def environment(template_dirs: tuple[str, ...]) -> jinja2.Environment:
    """Make the environment in which templates are found and rendered; those of the directories come before ours."""
    ours = jinja2.PackageLoader("jobclusters.templates", "")
    made = jinja2.Environment(
        # A site's slurm.sh.j2 hides ours, and can still extend it as jobclusters/slurm.sh.j2.
        loader=jinja2.ChoiceLoader([_SiteTemplates(template_dirs), ours, jinja2.PrefixLoader({"jobclusters": ours})]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 -- shell, not HTML; every user value goes through a quoting filter
    )
    for function in (shell, command, directive, limit, without, mib, in_unit, hm, hms, dhms):
        made.filters[function.__name__] = function
    return made


def render(spec: JobSpec, dialect: Dialect, template_dirs: Sequence[str] = ()) -> str:
    """Render the job script; raise TemplateError with the file and the line.

    Templates in ``template_dirs`` win over the package's.
    """
    name = f"{dialect.name}.sh.j2"
    if odd := [node for node in spec.exclude if not NODE_NAME.fullmatch(node)]:
        raise TemplateError(f"{odd[0]!r} is no name of a node: nodes to avoid have letters, digits, and _ . -")
    try:
        text = (
            environment(tuple(template_dirs))
            .get_template(name)
            .render(spec=spec, options=spec.options, dialect=dialect)
        )
    except jinja2.TemplateNotFound as error:
        where = ", ".join([*template_dirs, "jobclusters"])
        raise TemplateError(f"{_where(error)}: template {error.name!r} is in none of: {where}") from None
    except RecursionError as error:
        raise TemplateError(f"{_where(error)}: extends or includes itself; ours is 'jobclusters/{name}'") from None
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{error.filename or error.name}, line {error.lineno}: {error.message}") from None
    except jinja2.TemplateError as error:
        moved = next((name for name in spec.options if f"no attribute '{name}'" in str(error.message)), None)
        hint = f"; it is options.{moved}" if moved else ""
        raise TemplateError(f"{_where(error)}: {error.message}{hint}") from error
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise TemplateError(f"{_where(error)}: {error}") from error
    return text.rstrip("\n") + "\n"


def _where(error: BaseException) -> str:
    """Name the template and the line of an error: the last of its frames that Jinja made."""
    found, traceback = "the template", error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename.endswith(".j2"):
            found = f"{code.co_filename}, line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found
