"""What all tests share: a configuration and a home directory of their own."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from pathlib import Path

# Before any import of dask: importing dask_jobqueue writes a file, and test modules import it before a fixture runs.
SESSION = os.environ["DASK_CONFIG"] = tempfile.mkdtemp(prefix="jobclusters-tests-")

import dask.config
import pytest

from jobclusters import config

pytest.register_assert_rewrite("recorded")


def pytest_addoption(parser):
    parser.addoption("--rewrite-scripts", action="store_true", help="write tests/scripts/ anew, to be read by eye")


class Isolation:
    """A plugin of its own, so that it also holds for the doctests in jobclusters/."""

    @pytest.fixture(autouse=True)
    def home(self, tmp_path_factory, monkeypatch, request):
        """Hide this machine's Dask configuration, and keep what a test writes out of the real home."""
        home = tmp_path_factory.mktemp("home")
        for variable in [name for name in os.environ if name.startswith("DASK_")]:
            monkeypatch.delenv(variable)
        if request.node.get_closest_marker("live") is None:  # a batch system's jobs have the real one
            monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("DASK_ROOT_CONFIG", str(home / "site"))
        monkeypatch.setenv("DASK_CONFIG", str(home / "user"))
        monkeypatch.setattr(dask.config, "paths", [str(home / "site"), str(home / "user")])
        monkeypatch.setattr(dask.config, "PATH", str(home / "user"))
        settings, defaults = copy.deepcopy(dask.config.config), list(dask.config.defaults)
        config._introduce.cache_clear()
        dask.config.refresh(paths=dask.config.paths)
        yield home
        config._introduce.cache_clear()
        dask.config.defaults[:] = defaults
        dask.config.config.clear()
        dask.config.config.update(settings)


def pytest_configure(config):
    config.pluginmanager.register(Isolation(), "jobclusters-isolation")


def pytest_unconfigure():
    shutil.rmtree(SESSION, ignore_errors=True)


@pytest.fixture
def configure(home):
    """Write the site's and the user's files, and read them as Dask does when it is imported."""

    def write(user: str = "", site: str = "") -> None:
        for name, text in (("site", site), ("user", user)):
            directory = Path(home, name)
            directory.mkdir(exist_ok=True)
            Path(directory, "settings.yaml").write_text(text)
        dask.config.refresh(paths=dask.config.paths)

    return write
