"""The software around the workers' Python (``software=``): modules, an environment, a container, variables.

The block ``software`` of a template prints it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from jobclusters.errors import Problems, unknown
from jobclusters.spec.reader import Reader
from jobclusters.spec.shell_words import ShellWord, Word


@dataclass(frozen=True, kw_only=True)
class Software:
    """A software environment.

    Attributes
    ----------
    modules
        Environment modules to load, in this order.
    conda
        An environment's name, or its directory.
    venv
        A virtual environment's directory.
    container
        An image, as apptainer and singularity read it: a file, or ``docker://...``.
    container_command, container_options
        The command that runs it, and options of its ``exec``.
    environment
        Variables and their values, in this order.
    python
        The interpreter: by default that of conda, venv or container; () if there is none.
    dask_cuda
        Whether it has dask-cuda.
    """

    modules: tuple[str, ...] = ()
    conda: Word | None = None
    venv: Word | None = None
    container: Word | None = None
    container_command: tuple[Word, ...] = ()
    container_options: tuple[Word, ...] = ()
    environment: tuple[tuple[str, Word], ...] = ()
    python: tuple[Word, ...] = ()
    dask_cuda: bool = False

    @property
    def own_python(self) -> bool:
        """Whether it brings a Python."""
        return bool(self.python)

    @property
    def conda_directory(self) -> bool:
        """Whether ``conda`` is a directory rather than a name."""
        return "/" in str(self.conda)

    def command(self, python: tuple[Word, ...], gpus: int) -> tuple[Word, ...]:
        """Put a Python's command into the container, if there is one; ``--nv`` brings the GPUs' driver along."""
        if self.container is None:
            return python
        nv = ("--nv",) if gpus else ()
        return (*self.container_command, "exec", *nv, *self.container_options, self.container, *python)


NO_SOFTWARE = Software()

KEYS = tuple(field.name for field in fields(Software))

#: A site has one or the other: the node finds out which.
_APPTAINER = ShellWord('"$(command -v apptainer || command -v singularity || echo apptainer)"')


def read_software(value: object, named: Mapping[str, object], problems: Problems) -> Software:
    """Read ``software=``: a name in ``jobclusters.software``, which is ``named``, or a mapping with :data:`KEYS`."""
    where = "software"
    if isinstance(value, str):
        entries = {str(name): entry for name, entry in named.items() if entry is not None}
        if value not in entries:
            hint = "; name it as jobclusters.software.<name> in the configuration, or give a mapping"
            problems.append(unknown("software", value, entries) + hint)
            return NO_SOFTWARE
        where, value = f"jobclusters.software.{value}", entries[value]
    if not isinstance(value, Mapping):
        problems.append(f"{where} must be a mapping with some of {', '.join(KEYS)}, not {value!r}")
        return NO_SOFTWARE
    entry = {str(key).replace("-", "_"): each for key, each in value.items()}
    wrong = Problems(unknown("key", key, KEYS) for key in entry if key not in KEYS)
    software = _read(Reader(entry, wrong))
    problems += [f"{where}: {problem}" for problem in wrong]
    return software


def _read(read: Reader) -> Software:
    ways = [key for key in ("conda", "venv", "container") if read.asked.get(key) not in (None, "")]
    if len(ways) > 1:
        read.problems.append(f"{' and '.join(ways)} each bring a Python: give only one of them")
    conda, venv, container = (_path(read, key) for key in ("conda", "venv", "container"))
    return Software(
        modules=_modules(read),
        conda=conda,
        venv=venv,
        container=container,
        container_command=read.words("container_command") or ((_APPTAINER,) if container else ()),
        container_options=read.arguments("container_options"),
        environment=_environment(read),
        python=read.words("python") or _usual_python(read, ways),
        dask_cuda=read.flag("dask_cuda", False),
    )


def _usual_python(read: Reader, ways: list[str]) -> tuple[Word, ...]:
    """Give the interpreter by its path, so that a missing one fails instead of another running."""
    if "container" in ways:
        return ("python",)
    if "conda" in ways:
        return (ShellWord('"$CONDA_PREFIX/bin/python"'),)
    return (read.one("venv", f"{read.asked['venv']}/bin/python"),) if "venv" in ways else ()


def _modules(read: Reader) -> tuple[str, ...]:
    modules = read.asked.get("modules")
    if isinstance(modules, str):  # as on a command line: "gcc python/3.12"
        modules = modules.split()
    if isinstance(modules, Mapping):
        read.problems.append(f"modules must be a list of names, such as ['gcc/12'], not {modules!r}")
        return ()
    return Reader({"modules": modules}, read.problems).texts("modules")


def _path(read: Reader, key: str) -> Word | None:
    text = read.text(key)
    return None if text is None else read.one(key, text)


def _environment(read: Reader) -> tuple[tuple[str, Word], ...]:
    variables = read.asked.get("environment") or {}
    if not isinstance(variables, Mapping):
        read.problems.append(f"environment must be a mapping of variables to values, not {variables!r}")
        return ()
    if bad := [str(name) for name in variables if not re.fullmatch(r"[A-Za-z_]\w*", str(name), re.ASCII)]:
        read.problems.append(f"environment: {', '.join(bad)} can't be the name of a variable")
    return tuple((str(name), _value(read, str(name), value)) for name, value in variables.items())


def _value(read: Reader, name: str, value: object) -> Word:
    if isinstance(value, bool):  # YAML reads true, yes and on alike
        read.problems.append(f"environment: {name} is {value!r}: write it in quotes, as the program reads it")
    one = Reader({name: value}, read.problems).text(name)
    return read.one(name, one or "")
