"""The command of the package's own processes: Python without the working directory on its path."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

import jobclusters

# Behind -c, Python's path begins with "", the working directory: Python would import a json.py there.
# -P, which omits it, came with Python 3.11. The package's own directory may be the working directory: it comes last.
# Nothing of what the module imports is garbage: to look for some, then and at the end, takes a fifth of that time.
# The module freezes what it has imported, and lets garbage be collected.
_CODE = (
    "import gc, sys; gc.disable(); sys.path[:] = [*filter(None, sys.path), {place}]; del sys.argv[:2]; import runpy;"
    ' runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)'
)


def own_python(python: str = sys.executable, place: str | None = None) -> tuple[str, ...]:
    """Give the words that, before ``-m``, a name and arguments, run a module of this package.

    ``place`` is the directory of the package; by default its own.

    >>> own_python("python", "/opt")[:2]
    ('python', '-c')
    """
    found = os.path.dirname(os.path.dirname(os.path.abspath(jobclusters.__file__)))
    return (python, "-c", _CODE.format(place=json.dumps(found if place is None else place)))


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a process that starts in ``/``: relative paths become absolute.

    >>> own_environment({"PYTHONPATH": ":/opt"})
    {'PYTHONPATH': '/opt'}
    """
    made = dict(environ)
    if "PYTHONPATH" in made:  # an empty field would be the working directory
        fields = filter(None, made["PYTHONPATH"].split(os.pathsep))
        made["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, fields))
    return made
