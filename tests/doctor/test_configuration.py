"""``jobclusters config --check`` reads everything, and reports all that is wrong with file and line."""

from __future__ import annotations

import json
import shutil

import dask.config
import pytest

from jobclusters.cli import main_group
from jobclusters.config import settings
from tests.discovery.test_facts import GOLDEN, SITES, written
from tests.helpers.commands import command_runner

#: Files that are wrong, each in another way; the line, and the sentence that it gets.
BROKEN = {
    "range": ("jobclusters:\n  memory-headroom: 0.9", 2, "jobclusters.memory-headroom must be a share between 0 and 0.5, not 0.9"),
    "time": ("jobclusters:\n  submit-timeout: soon", 2, "jobclusters.submit-timeout must be a time above 0, such as '30 s', not 'soon'"),
    "flag": ("jobclusters:\n  security: maybe", 2, "jobclusters.security must be true or false, not 'maybe'"),
    "size": ("jobclusters:\n  sizes:\n    half:\n      cores: 4", 3, "jobclusters.sizes.half: memory missing"),
    "size's keyword": ("jobclusters:\n  sizes:\n    node:\n      cores: 4\n      memory: 8 GB\n      slurm:\n        queue: a b", 7,
        "jobclusters.sizes.node.slurm: queue='a b' can't hold spaces, quotes or backslashes"),
    "queue": ("jobclusters:\n  queues:\n    pbs:\n      workq:\n        gpus: 0\n        cores: few", 6,
        "jobclusters.queues.pbs.workq: cores must be a whole number, not 'few'"),
    "software": ("jobclusters:\n  software:\n    mine:\n      conda: a\n      venv: b", 4,
        "jobclusters.software.mine: conda and venv each bring a Python: give only one of them"),
    "configuration": ("jobclusters:\n  configurations:\n    nightly:\n      worker-size: nodee", 4,
        "jobclusters.configurations.nightly: unknown size 'nodee'"),
    "spot": ("jobclusters:\n  spot:\n    slurm:\n      quue: cheap", 4, "unknown key of jobclusters.spot.slurm 'quue': did you mean 'queue'?"),
    "adaptive": ("jobclusters:\n  adaptive:\n    idle: 1s\n    patience: never", 4, "jobclusters.adaptive: patience must be a time"),
    "this machine": ("jobclusters:\n  local:\n    cores: many", 3, "jobclusters.local.cores must be a whole number, not 'many'"),
    "templates": ("jobclusters:\n  template-dirs: [/nowhere]", 2, "jobclusters.template-dirs: there is no directory /nowhere"),
    "walltime": ("jobqueue:\n  slurm:\n    queue: x\n    walltime: 12:00:00", 4, "jobqueue.slurm: walltime 43200 is a number: write it in quotes"),
    "section": ("jobqueue:\n  sge:\n    processes: two", 3, "jobqueue.sge: processes must be a whole number, not 'two'"),
    "cluster": ("jobqueue:\n  lsf:\n    interface: 5", 3, "jobqueue.lsf: interface must be text, not 5"),
    "no mapping": ("jobqueue:\n  pbs: [1]", 2, "jobqueue.pbs must be a mapping, not [1]"),
    "system": ("jobclusters:\n  system: slrum", 2, "unknown batch system in jobclusters.system 'slrum': did you mean 'slurm'?"),
    "twice": ("jobclusters:\n  sizes: {}\n  sizes: {}", 3, "'sizes' is there twice in one mapping: only the last of them counts"),
}  # fmt: skip


def check(*more):
    done = command_runner().invoke(main_group, ["config", "--check", *more])
    return done.exit_code, done.stdout.splitlines()


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_gets_one_sentence_with_its_line(configure, home, kind):
    text, line, says = BROKEN[kind]
    configure(site=text)
    status, lines = check()
    assert status == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{home}/site/settings.yaml, line {line}: {says}")


@pytest.mark.parametrize(
    ("section", "meant"),
    [
        ("jobcluster", "jobclusters"),
        ("job-clusters", "jobclusters"),
        ("job_queue", "jobqueue"),
        ("jobqueues", "jobqueue"),
    ],
)
def test_a_section_that_is_misspelt_is_a_warning(configure, home, section, meant):
    configure(site=f"distributed: {{}}\nmine: {{}}\n{section}:\n  security: maybe")
    says = f"{section} means nothing here, and is ignored: did you mean {meant!r}?"
    assert check() == (0, [f"warning: {home}/site/settings.yaml, line 3: {says}"])


def test_all_broken_files_are_reported_at_once(home):
    (home / "site").mkdir()
    for kind, (text, _, _) in BROKEN.items():
        (home / "site" / f"{kind.replace(' ', '-')}.yaml").write_text(text)
    dask.config.refresh(paths=dask.config.paths)
    status, lines = check()
    assert status == 1
    for kind, (_, line, says) in BROKEN.items():
        file = f"{home}/site/{kind.replace(' ', '-')}.yaml"
        if kind != "no mapping":  # Dask has put it away, as other files have a mapping there
            assert [each for each in lines if each.startswith(f"{file}, line {line}: {says}")], (kind, lines)
    assert len(lines) == len(BROKEN)


def test_every_setting_is_read():
    sections = {key for key, value in settings.ours().items() if isinstance(value, dict)}
    assert {*settings.READERS, "directory", *sections} == settings.ours().keys()


def test_a_key_of_a_newer_version_is_a_warning(configure, home):
    configure(user="jobclusters:\n  newer: 1\n  queues: {slurm: {short: {zzz: 4}}}\njobqueue: {slurm: {quue: x}}")
    status, lines = check()
    assert status == 0
    file = f"warning: {home}/user/settings.yaml"
    begins = [
        f"{file}, line 2: unknown key of jobclusters 'newer':",
        f"{file}, line 3: unknown key of jobclusters.queues.slurm.short 'zzz':",
        f"{file}, line 4: jobqueue.slurm.quue means nothing here, and is ignored: did you mean 'queue'?",
    ]
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=True)] == begins


def test_a_size_that_fits_nowhere_is_a_warning(configure):
    queues = "queues: {slurm: {short: {cores: 4}}}"
    configure(site=f"jobclusters:\n  {queues}\n  sizes: {{huge: {{cores: 400, memory: 1 GB}}}}")
    status, (line,) = check()
    assert status == 0
    assert "jobclusters.sizes.huge: no listed queue holds the job; nearest is 'short'" in line


def test_a_wrong_setting_hides_no_other(configure):
    configure(site="jobclusters:\n  memory-headroom: 2\n  configurations: {nightly: {worker-size: nodee}}")
    _, lines = check()
    assert ["memory-headroom" in line for line in lines] == [True, False]
    assert "unknown size 'nodee'" in lines[1]


def test_users_configurations_are_read(configure, home):
    (home / "user" / "jobclusters").mkdir(parents=True)
    file = home / "user" / "jobclusters" / "mine.yaml"
    file.write_text("worker-size: large\nwalltime: soon\nscheduler-cpu: x\n")
    status, lines = check()
    assert status == 1
    assert [line.split(": ")[0] for line in lines] == [f"{file}, line 2"]
    file.write_text("worker-size: large\nqueu: x\n")
    _, lines = check()
    assert [line.split(": ")[0] for line in lines] == [f"{file}, line 2"]


TEMPLATES = {
    "slurm.sh.j2": [
        ('{% extends "jobclusters/slurm.sh.j2" %}', None),
        ("{% block diretives %}{% endblock %}", "unknown block 'diretives': did you mean 'directives'?"),
        ("{% block directives %}{% if spec.gpus %}{{ spec.queu }}{% endif %}", "unknown attribute of spec 'queu': did you mean 'queue'?"),
        ("{{ options.qoss }}", "unknown attribute of options 'qoss': did you mean 'qos'?"),
        ("{{ spec.account }}", "unknown attribute of spec 'account'"),
        ("{{ somewhere }}", "unknown variable 'somewhere'"),
        ("{% include 'part.sh' %}", "template 'part.sh' isn't there"),
        ("{% set mine = 1 %}{{ mine }}{{ dialect.title }}{{ super() }}{% block own %}{% endblock %}{% endblock %}", None),
    ],
    "pbs.sh.j2": [("{{ spec.cores | bytes }}", "No filter named 'bytes'")],
    "lsf.sh.j2": [("{% if %}", "Expected an expression")],
    "sge.sh.j2": [("{% extends 'sge.sh.j2x' %}", "template 'sge.sh.j2x' isn't there")],
}  # fmt: skip


def test_templates_are_read_in_all_branches(configure, tmp_path):
    for name, lines in TEMPLATES.items():
        (tmp_path / name).write_text("\n".join(line for line, _ in lines))
    configure(site=f"jobclusters: {{template-dirs: ['{tmp_path}']}}")
    status, found = check()
    assert status == 1
    expected = [
        f"{tmp_path}/{name}, line {number}: {says}"
        for name, lines in sorted(TEMPLATES.items())
        for number, (_, says) in enumerate(lines, start=1)
        if says
    ]
    assert len(found) == len(expected), found
    for line, begin in zip(found, expected, strict=True):
        assert line.startswith(begin)
    assert "(it is options.account)" in "".join(found)


def test_a_template_that_is_named_wrongly_is_a_warning(configure, tmp_path):
    (tmp_path / "slrum.sh.j2").write_text('{% extends "jobclusters/slurm.sh.j2" %}')
    configure(site=f"jobclusters: {{template-dirs: ['{tmp_path}']}}")
    status, (line,) = check()
    assert (status, "did you mean 'slurm.sh.j2'?" in line) == (0, True)


def test_as_json(configure, home):
    configure(site="jobclusters:\n  memory-headroom: 0.9\n  newer: 1")
    done = command_runner().invoke(main_group, ["config", "--check", "--json"])
    facts = json.loads(done.stdout)
    assert (done.exit_code, facts["files"]) == (1, [f"{home}/site/settings.yaml"])
    assert [(each["line"], each["warning"]) for each in facts["findings"]] == [(2, False), (3, True)]


def test_check_reads_everything_or_nothing():
    assert check("--system", "slurm")[0] == 2


@pytest.mark.parametrize("name", SITES)
def test_what_discover_writes_passes(configure, name):
    configure(site=written(SITES[name]()))
    assert check() == (0, [])


def test_every_survey_is_among_them():
    from jobclusters.discovery import SURVEYS

    assert set(SURVEYS) <= {path.stem.partition("-")[0] for path in GOLDEN.iterdir()}


def test_the_examples_of_the_documentation_pass(home, tmp_path):
    """Those of docs/sites.md, one file each."""
    from tests.test_sites import blocks

    (home / "site").mkdir()
    for number, text in enumerate(blocks("yaml")):
        if "system: torque" not in text:
            (home / "site" / f"{number}.yaml").write_text(text.replace("/etc/jobclusters/templates", str(tmp_path)))
    dask.config.refresh(paths=dask.config.paths)
    assert check() == (0, [])
    shutil.rmtree(home / "site")


def test_the_doctor_reports_it(configure, home):
    def examined():
        done = command_runner().invoke(main_group, ["doctor", "--system", "local", "--no-job", "--json"])
        facts = json.loads(done.stdout)
        return done.exit_code, [each for each in facts["checks"] if each["check"] == "configuration"]

    assert examined() == (
        0,
        [{"check": "configuration", "verdict": "ok", "says": "all settings can be read", "do": ""}],
    )
    configure(site="jobclusters:\n  sizes: {half: {cores: 4}}\n  spot: {slurm: {quue: cheap}}")
    status, verdicts = examined()
    assert status == 1
    assert [each["verdict"] for each in verdicts] == ["wrong", "wrong"]
    assert verdicts[0]["says"] == f"{home}/site/settings.yaml, line 2: jobclusters.sizes.half: memory missing"
