"""Moab's differences from TORQUE; no Moab was at hand: its replies are those that its manual shows."""

from __future__ import annotations

import pytest

from jobclusters import MoabCluster, job_script
from jobclusters.batch.commands import BatchCommands
from jobclusters.config import settings as config
from jobclusters.dialects.base import Reply
from jobclusters.dialects.moab import Moab
from jobclusters.errors import Refused, Unavailable
from jobclusters.state import JobState
from tests.helpers.recorded import (
    check_cluster_class,
    check_ids,
    check_refusals,
    check_settings,
    check_spot,
    check_submit,
    recorded,
)

MOAB = Moab()
SMALL = {"cores": 1, "memory": "1 GB"}

test_submit = check_submit(MOAB, (1, ["msub"]))
test_ids = check_ids(
    MOAB,
    [
        ("composed-submit-number", 1, ["12"]),
        ("composed-submit-server", 1, ["364.icluster"]),
        ("composed-submit-moab", 1, ["Moab.7"]),
    ],
)
test_refusals = check_refusals(
    MOAB,
    [
        (Reply(("msub",), 0, "\n"), Unavailable, "no job id"),
        ("composed-submit-refused", Refused, "invalid queue"),
    ],
)


def test_each_job_is_submitted_and_cancelled_alone():
    assert BatchCommands(MOAB).largest_array == 1
    assert MOAB.cancel_argvs(["12", "Moab.7"], {}) == [["canceljob", "12"], ["canceljob", "Moab.7"]]


def test_states_come_from_the_qstat_below():
    """TORQUE's here."""
    assert MOAB.query_argv(["3.torquehost"]) == ["qstat", "-t", "-f", "3.torquehost"]
    found = MOAB.parse_states(recorded("torque", "states-endings"))
    assert found["8.torquehost"].state is JobState.TIMEOUT
    assert {MOAB.endings[-27], MOAB.endings[-10]} == {JobState.OUT_OF_MEMORY}


@pytest.mark.parametrize(
    "line",
    ["#PBS -l select=1:ncpus=2:mem=3815mb", "#PBS -q fast", "#PBS -A lab", "#PBS -l walltime=02:00:00"],
)
def test_the_directives_are_those_of_pbs(line):
    script = job_script("moab", cores=2, memory="4 GB", queue="fast", account="lab", walltime="02:00:00")
    assert f"{line}\n" in script


def test_its_settings_are_its_own(configure):
    configure("jobqueue: {moab: {queue: ours}, pbs: {queue: theirs}}")
    assert "#PBS -q ours\n" in job_script("moab", **SMALL)
    assert config.site(MOAB).section == "jobqueue.moab"


test_spot = check_spot(MOAB, "{queue: preemptable}", ["#PBS -q preemptable", "#PBS -r y"])
test_settings = check_settings(MOAB)
test_cluster_class = check_cluster_class(MOAB, MoabCluster)
