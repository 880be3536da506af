"""Tests see no batch system, whatever this machine is."""

from __future__ import annotations

import os
import shutil

import pytest

from jobclusters.dialects import DIALECTS
from tests.helpers.machine import path_without_batch_systems


@pytest.mark.parametrize("system", [name for name, dialect in DIALECTS.items() if dialect.probe])
def test_commands_of_batch_systems_are_hidden_and_nothing_else(system, tmp_path):
    login, plain, place = (tmp_path / name for name in ("login", "plain", "place"))
    for directory in (login, plain, place):
        directory.mkdir()
        for name in ("tool", DIALECTS[system].probe if directory == login else "other"):
            (directory / name).touch(0o755)
    path = path_without_batch_systems(f"{login}{os.pathsep}{plain}", str(place))
    assert shutil.which(DIALECTS[system].probe, path=path) is None
    assert os.path.samefile(shutil.which("tool", path=path), login / "tool")
    assert path.split(os.pathsep)[1] == str(plain)
