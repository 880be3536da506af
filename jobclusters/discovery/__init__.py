"""Reads a site's queues, nodes and GPUs from a batch system's replies, and writes a configuration.

Pure but for ``survey.py``, which runs the commands and saves the file.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Dialect
from jobclusters.discovery.facts import Survey


def _survey(dialect: Dialect) -> Survey | None:
    """Find the survey of a system, in the module of its name, or of the system that it derives from."""
    for cls in type(dialect).__mro__:
        name = f"{__name__}.{vars(cls).get('name', '')}"
        if not name.endswith(".") and find_spec(name):
            found: Survey = import_module(name).SURVEY
            return found
    return None


#: By the dialect's name; this machine's queue has none.
SURVEYS = {name: found for name, dialect in DIALECTS.items() if (found := _survey(dialect)) is not None}
