"""Tests in a real JupyterLab, with a real browser: ``make test-notebook`` installs what they need, and runs them.

``JOBCLUSTERS_SCREENSHOTS`` names a directory for the pictures that docs/notebooks.md shows.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from .page import PATIENCE, Page, until

TOKEN = "for-the-tests-alone"  # on loopback, for a minute


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(5 * PATIENCE))


def notebook(*cells):
    """Write a notebook as Jupyter keeps it."""
    code = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "source": cell, "outputs": [], "execution_count": None}
        for i, cell in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"cells": code, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


def said_by(runtime):
    """Read what a Jupyter server says of itself; None while it hasn't, or is about to."""
    for path in runtime.glob("jpserver-*.json"):
        with suppress(ValueError):
            return json.loads(path.read_text())
    return None


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """Start JupyterLab on loopback, with a home of its own; give its address and its directory."""
    tmp_path = tmp_path_factory.mktemp("jupyter")
    home = tmp_path / "home"
    (home / "config" / "labconfig").mkdir(parents=True)
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}  # it would ask the internet
    (home / "config" / "labconfig" / "page_config.json").write_text(json.dumps(quiet))
    work = tmp_path / "work"
    work.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "DASK_", "IPYTHON"))}
    environment = {
        **clean,
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "IPYTHONDIR": str(home / "ipython"),
        "DASK_CONFIG": str(home / "dask"),
        "DASK_JOBCLUSTERS__LOCAL__CORES": "3",  # the same on any machine
        "DASK_JOBCLUSTERS__LOCAL__MEMORY": "3 GiB",
        "DASK_DISTRIBUTED__DASHBOARD__LINK": "/proxy/{port}/status",  # as docs/dashboard.md says
        "DASK_JOBQUEUE__LOCAL__SCHEDULER_OPTIONS": "{'dashboard_address': ':0'}",  # the usual port may be taken
    }
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", f"--IdentityProvider.token={TOKEN}"]
    with (tmp_path / "jupyter.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=work, env=environment, stdout=log, stderr=log
        )
    try:
        told = until(lambda: server.poll() is not None or said_by(home / "runtime"), "JupyterLab's start")
        assert server.poll() is None, (tmp_path / "jupyter.log").read_text()
        yield told["url"], work
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture
def browser(tmp_path):
    """Start Chromium without a window."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = found("chromium")
    # Containers have no user namespaces for its sandbox, and little shared memory.
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1300,1100", "disable-gpu"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'chromium'}")
    service = webdriver.ChromeService(
        executable_path=found("chromedriver"), env={**os.environ, "no_proxy": "127.0.0.1"}
    )
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.save_screenshot(str(tmp_path / "last.png"))  # pytest keeps it, and the server's log, for who has to look
    driver.quit()


def found(command):
    path = shutil.which(command)
    assert path, f"{command} isn't here: ci/ensure-chromium installs it"
    return path


@pytest.fixture
def open_notebook(jupyter, browser):
    """Open a notebook of these cells, below an address of the server."""

    def opened(below, *cells):
        url, work = jupyter
        (work / "demo.ipynb").write_text(notebook(*cells))
        browser.get(f"{url}{below}/demo.ipynb?token={TOKEN}")
        return Page(browser)

    return opened
