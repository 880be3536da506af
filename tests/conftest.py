"""What all tests share: a configuration and a home directory of their own."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import shutil
import signal
import tempfile
from pathlib import Path

# Before any import of dask: importing dask_jobqueue writes a file, and test modules import it before a fixture runs.
SESSION = os.environ["DASK_CONFIG"] = tempfile.mkdtemp(prefix="jobclusters-tests-")
# In each Python that imports NumPy, threads that nobody needs here would spin for a while.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import dask.config
import distributed  # noqa: F401 -- it sets its loggers up, see below
import pytest

from jobclusters.config import settings as config
from tests.helpers.machine import path_without_batch_systems

# Its loggers end at handlers of their own where it is imported before pytest's are there; pytest then puts its own there,
# too, and silence_logs= would silence what a test captures of our log.
for _logger in map(logging.getLogger, ("distributed", "distributed.client", "bokeh", "tornado")):
    _logger.handlers.clear()
    _logger.propagate = True

pytest.register_assert_rewrite("tests.helpers.recorded")

#: The signals by which processes that tests start are ended.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def pytest_addoption(parser):
    parser.addoption("--rewrite-scripts", action="store_true", help="write tests/scripts/ anew, to be read by eye")


class Isolation:
    """A plugin of its own, so that it also holds for the doctests in jobclusters/."""

    @pytest.fixture(autouse=True)
    def signals(self):
        """Restore what this process does at signals: processes that later tests start would ignore those that it ignores."""
        before = {number: signal.getsignal(number) for number in ENDINGS}
        yield
        for number, handler in before.items():
            signal.signal(number, handler)

    @pytest.fixture(autouse=True)
    def loggers(self):
        """Restore our log's level and the root's handlers: later tests would capture what a test, or an example, turns on."""
        root, ours = logging.getLogger(), logging.getLogger("jobclusters")
        levels, handlers = (root.level, ours.level), {*root.handlers}
        yield
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        for handler in {*root.handlers} - handlers:
            root.removeHandler(handler)

    @pytest.fixture(autouse=True)
    def home(self, tmp_path_factory, monkeypatch, request):
        """Hide this machine's Dask configuration and batch systems, and keep what a test writes out of the real home."""
        home = tmp_path_factory.mktemp("home")
        for variable in [name for name in os.environ if name.startswith("DASK_")]:
            monkeypatch.delenv(variable)
        if request.node.get_closest_marker("live") is None:  # a batch system's jobs have the real one
            monkeypatch.setenv("HOME", str(home))
            monkeypatch.setenv("PATH", path_without_batch_systems(os.environ["PATH"], SESSION))
        monkeypatch.setenv("DASK_ROOT_CONFIG", str(home / "site"))
        monkeypatch.setenv("DASK_CONFIG", str(home / "user"))
        monkeypatch.setattr(dask.config, "paths", [str(home / "site"), str(home / "user")])
        monkeypatch.setattr(dask.config, "PATH", str(home / "user"))
        settings, defaults = pickle.dumps(dask.config.config), list(dask.config.defaults)
        config._introduce.cache_clear()
        config._warn_of.cache_clear()
        dask.config.refresh(paths=dask.config.paths)
        yield home
        config._introduce.cache_clear()
        dask.config.defaults[:] = defaults
        dask.config.config.clear()
        dask.config.config.update(pickle.loads(settings))


def properties_hold_at_any_speed():
    """Let no example fail for how long it took, and try the same ones in each run; `make fuzz` tries others."""
    from hypothesis import HealthCheck, settings

    fixed = "JOBCLUSTERS_FUZZ_SEED" not in os.environ
    settings.register_profile(
        "jobclusters",
        deadline=None,
        derandomize=fixed,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("jobclusters")


def pytest_configure(config):
    for number in ENDINGS:
        if signal.getsignal(number) is signal.SIG_IGN:  # as behind & or nohup: what tests start would inherit it
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    config.pluginmanager.register(Isolation(), "jobclusters-isolation")
    if config.pluginmanager.hasplugin("hypothesispytest"):
        properties_hold_at_any_speed()


def pytest_collection_finish():
    """Leave what is imported, and the tests, out of each collection to come."""
    gc.freeze()
    gc.enable()


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
