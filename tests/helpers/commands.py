"""Calls our commands within the process."""

from __future__ import annotations

import inspect

from click.testing import CliRunner

#: Before click 8.2 what is written to stderr comes with the rest by default.
_APART = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def command_runner(**options):
    """Give a runner whose results have stdout and stderr, each for itself."""
    return CliRunner(**_APART, **options)
