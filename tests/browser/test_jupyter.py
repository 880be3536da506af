"""The widget in JupyterLab and in the classic notebook: jobs come, go and are seen, without running a cell again."""

from __future__ import annotations

import re

from .page import until

CLUSTER = """\
from jobclusters import LocalQueueCluster

cluster = LocalQueueCluster(worker_cpu=1, worker_memory="512 MiB", walltime="00:30:00")
cluster"""
WAIT = """\
cluster.scale(jobs=5)
cluster.wait_for_workers(0.6)"""
CLOSE = "cluster.close()"


def states(page):
    return sorted(row["State"] for row in page.rows())


def use_widget(page):
    """Scale and adapt by the widget's buttons; the notebook stays as it is."""
    page.run_cell(0)
    page.open_tab("Jobs")
    until(lambda: "No jobs yet." in page.text(".jobclusters-jobs"), "a widget without jobs")
    page.enter("Number", 4)
    page.click("scale")
    until(lambda: "4 jobs" in page.text(".jobclusters-message"), "the button's answer")
    until(lambda: states(page) == ["PENDING"] + ["RUNNING"] * 3, "three jobs that run and one that waits")
    until(lambda: sum(row["Workers"] == "1" for row in page.rows()) == 3, "their workers")


def test_the_widget_in_jupyterlab(open_notebook):
    page = open_notebook("lab/tree", CLUSTER, WAIT, CLOSE)
    use_widget(page)
    running = [row for row in page.rows() if row["State"] == "RUNNING"]
    assert all(row["Node"] and re.fullmatch(r"2\d min", row["Time left"]) for row in running)
    (waiting,) = (row for row in page.rows() if row["State"] == "PENDING")
    assert (waiting["Reason"], waiting["Time left"], waiting["Workers"]) == ("Resources", "", "")
    page.picture("jobs", ".jobclusters")

    assert page.value("Number") == "4", "what is in force: a click on Scale cancels nothing"
    page.driver.set_window_size(1000, 1000)
    for tab in ("Status", "Jobs"):
        page.open_tab(tab)
        until(lambda: not page.scrolls(), f"all of {tab} in 1000 pixels: {page.scrolls()}")
    page.driver.set_window_size(1300, 1100)

    page.enter("Minimum", 3)
    page.enter("Maximum", 2)
    page.click("adapt")
    until(lambda: "the minimum, 3 jobs, is above the maximum" in page.text(".jobclusters-message"), "the refusal")
    page.enter("Minimum", 1)
    page.click("adapt")
    until(lambda: "1 to 2 jobs" in page.text(".jobclusters"), "the group's mode")
    until(lambda: states(page).count("RUNNING") == 1 and "PENDING" not in states(page), "jobs that go when idle")
    page.picture("adapt", ".jobclusters")

    page.open_tab("Status")
    until(lambda: "Jobs: 1 running" in page.text(".jobclusters"), "the count of jobs")
    assert page.dashboard().startswith("200 ")
    page.run_cell(1)
    until(lambda: "3 of 3 workers; jobs: 3 running, 2 pending" in page.text(".jp-OutputArea"), "three of five workers")
    page.picture("wait", ".jp-CodeCell:nth-of-type(2)")
    page.open_tab("Jobs")
    page.run_cell(2)
    until(lambda: "The cluster is closed." in page.text(".jobclusters-message"), "the end")
    assert page.driver.find_element("css selector", ".jobclusters-scale").get_attribute("disabled")


def test_the_widget_in_the_classic_notebook(open_notebook):
    from nbclassic import nbclassic_path

    page = open_notebook(f"{nbclassic_path()}/notebooks".lstrip("/"), CLUSTER)
    use_widget(page)
