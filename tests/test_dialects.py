"""What holds for all dialects."""

from __future__ import annotations

import pytest
from golden import SMALL, script

from jobclusters.dialects import DIALECTS

LOCAL = DIALECTS["local"]


@pytest.mark.parametrize("system", DIALECTS)
def test_nodes_to_stay_away_from_stand_in_the_script_or_the_dialect_says_that_they_cannot(system):
    there = "badnode" in script(system, **SMALL, exclude=("badnode",))
    assert there is DIALECTS[system].excludes
    assert DIALECTS[system].excludes is (system in ("slurm", "lsf", "sge"))


@pytest.mark.parametrize(
    "verb", ["submit_argv", "parse_submit", "cancel_argv", "query_argv", "find_argv", "parse_states"]
)
def test_this_machine_has_no_commands(verb):
    with pytest.raises(NotImplementedError):
        getattr(LOCAL, verb)(())


@pytest.mark.parametrize(("directory", "files"), [(None, []), ("/my logs", ["/my logs/dask-12_3.out"])])
def test_log_files_of_this_machine(directory, files):
    assert LOCAL.log_files("12_3", directory, "dask") == files


@pytest.mark.parametrize("system", sorted(DIALECTS.keys() - {"sge"}))
def test_only_grid_engine_keeps_jobs_that_failed(system):
    dialect = DIALECTS[system]
    assert not dialect.failed_stay
    with pytest.raises(NotImplementedError):
        dialect.stuck_argv(["1"])
    with pytest.raises(NotImplementedError):
        dialect.parse_stuck(None)


@pytest.mark.parametrize("system", ["pbs", "torque", "local"])
def test_some_tell_all_that_there_is_to_know_at_once(system):
    assert DIALECTS[system].detail_argv("1") is DIALECTS[system].parse_detail(None) is None


def test_a_system_is_known_by_a_command_that_no_other_before_it_has():
    """PBS, TORQUE and Grid Engine all have a qsub; the commands of PBS and TORQUE can't be told apart."""
    assert {name: (dialect.title, dialect.probe) for name, dialect in DIALECTS.items()} == {
        "slurm": ("SLURM", "sbatch"),
        "pbs": ("PBS", "pbsnodes"),
        "torque": ("TORQUE", "pbsnodes"),
        "lsf": ("LSF", "bsub"),
        "sge": ("Grid Engine", "qconf"),
        "local": ("this machine", ""),
    }
    assert list(DIALECTS)[-1] == "local"
