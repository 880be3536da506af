"""The table of keywords, and what derives from it: help(), signatures, the page of the documentation."""

from __future__ import annotations

import inspect
import pickle
import pydoc
import re
from pathlib import Path

import pytest

import jobclusters
from jobclusters import Cluster, InvalidRequest, LocalQueueCluster, SLURMCluster
from jobclusters.cluster import systems
from jobclusters.config import keywords, settings
from jobclusters.config.keywords import CLUSTER_KEYWORDS, job_keywords
from jobclusters.dialects import DIALECTS

PAGE = Path(__file__).parents[2] / "docs" / "keywords.md"
BEGIN, END = "<!-- the tables of jobclusters/config/keywords.py -->\n", "<!-- end of the tables -->\n"


def rows(dialect):
    return [each for section in keywords.sections(dialect).values() for each in section]


def test_the_page_has_the_tables(request):
    """``--rewrite-scripts`` writes them anew."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if request.config.getoption("--rewrite-scripts"):
        PAGE.write_text(before + BEGIN + keywords.markdown() + END + after)
    assert PAGE.read_text() == before + BEGIN + keywords.markdown() + END + after


@pytest.mark.parametrize("system", DIALECTS)
def test_every_keyword_has_one_row_with_a_type_and_a_line(system):
    names = [name for each in rows(DIALECTS[system]) for name in each.names]
    assert len(names) == len(set(names))
    assert set(names) == job_keywords(DIALECTS[system]) | CLUSTER_KEYWORDS | {"configuration"}
    for each in rows(DIALECTS[system]):
        assert each.type, each.name
        assert each.doc.endswith("."), each.name
        assert not {"|", "\n"} & {*each.doc, *each.default, *each.type}, each.name


@pytest.mark.parametrize("system", DIALECTS)
def test_help_and_shift_tab_show_every_keyword(system):
    cls = systems.CLUSTERS[system]
    shown = inspect.signature(cls).parameters
    text = pydoc.plain(pydoc.render_doc(cls))
    for each in rows(DIALECTS[system]):
        assert shown[each.name].default is None
        assert f"{each.name} : {each.type}, {f'default {each.default}' if each.default else 'optional'}" in text
    assert text.startswith(f"Python Library Documentation: class {cls.__name__} in module")
    # Python 3.13 gives each parameter a line
    assert f"{cls.__name__}(n_workers=None,job_cls=None,*,worker_size=None" in re.sub(r"[\s|]", "", text)
    assert shown.keys() <= inspect.signature(Cluster).parameters.keys()


def test_a_class_with_an_init_of_its_own_shows_that():
    class Mine(SLURMCluster):
        def __init__(self, project):
            super().__init__(worker_size="large", account=project)

    class Same(SLURMCluster):
        pass

    assert list(inspect.signature(Mine).parameters) == ["project"]
    assert inspect.signature(Same) == inspect.signature(SLURMCluster)


@pytest.mark.parametrize("system", DIALECTS)
def test_classes_are_where_they_say_they_are(system):
    cls = systems.CLUSTERS[system]
    assert getattr(jobclusters, cls.__name__) is cls
    assert cls.__name__ in jobclusters.__all__
    assert pickle.loads(pickle.dumps(cls)) is cls
    assert pickle.loads(pickle.dumps(cls.job_cls)) is cls.job_cls
    assert {cls.__module__, cls.job_cls.__module__} == {"jobclusters.cluster.systems"}


def test_a_star_import_brings_the_classes():
    names = {}
    exec("from jobclusters import *", names)
    assert names["SLURMCluster"] is SLURMCluster


def test_the_defaults_are_those_of_the_settings():
    """Of dask-jobqueue's file; an empty one is none."""
    table = {each.name: each.default for each in rows(DIALECTS["slurm"])}
    found = {key.replace("-", "_"): value for key, value in settings.jobqueue_defaults()["slurm"].items() if value}
    found["job_name"] = found.pop("name")
    assert found.pop("worker_command") in table.pop("worker_command")
    assert found == {key: int(table[key]) if table[key].isdigit() else table[key] for key in found}


def test_a_keyword_of_another_system_is_unknown():
    with pytest.raises(InvalidRequest, match="unknown keyword 'parallel_environment'"):
        LocalQueueCluster(worker_size="medium", parallel_environment="smp")
