"""Discovery: recorded replies to facts, facts to a file, and that file as Dask's configuration.

In tests/replies/, ``discover-*`` are those of SLURM 22.05, Grid Engine 8.1.9 and OAR 2.6.1 of ci/; of Grid Engine those
named ``*-denied`` and ``discover-queues`` are the login node's, which is no administrative host, the others the master's.
``composed-discover-*`` are PBS's, TORQUE's, LSF's and those of a larger SLURM, composed in the formats of their manuals
and of what sites show in theirs. ``pytest tests/test_discovery.py --rewrite-scripts`` writes tests/discovered/ anew.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jobclusters import InvalidRequest, job_script
from jobclusters.config import settings as config
from jobclusters.config.keywords import job_keywords
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Reply
from jobclusters.discovery import SURVEYS
from jobclusters.discovery import survey as survey_module
from jobclusters.discovery.facts import Cap, Facts, FoundQueue, Shape, User
from jobclusters.discovery.sizing import find_sizes
from jobclusters.discovery.writing import as_json, write
from jobclusters.errors import Unavailable
from jobclusters.spec.queues import JobShape, best_queue, read_queues
from jobclusters.spec.sizes import read_sizes
from jobclusters.spec.units import UNLIMITED
from tests.helpers.recorded import REPLIES, recorded

GOLDEN = Path(__file__).parents[1] / "discovered"
ALICE = User("alice", frozenset({"alice", "ml"}))
MIB, GIB, HOUR = 2**20, 2**30, timedelta(hours=1)


def replies(system, prefix, names=None, **others):
    """Give a reply to each question: the one recorded under its name, another one, or that there's no such command."""
    survey = SURVEYS[system]

    def reply(key):
        if isinstance(found := others.get(key, f"{prefix}{key}"), Reply):
            return found
        if not (REPLIES / system / f"{found}.txt").exists():
            return Reply(survey.questions.get(key, (key,)), 127, err="can't be run on this machine")
        return recorded(system, found)

    return {key: reply(key) for key in names or survey.questions}


def found(system, prefix="composed-discover-", user=ALICE, **others):
    asked = replies(system, prefix, **others)
    more = SURVEYS[system].more(asked)
    return SURVEYS[system].facts(asked | replies(system, prefix, more, **others), user)


DENIED = {"settings": "discover-settings-denied", "environments": "discover-environments-denied"}
ADMIN = {
    "pe smp": "discover-environment",
    "host jobclusters-sge-e1": "discover-host",
    "host jobclusters-sge-e2": "discover-host",
}
#: Sites, by the name of their golden file.
SITES = {
    "slurm-container": lambda: found("slurm", "discover-"),
    "slurm-large": lambda: found("slurm"),
    "slurm-odd": lambda: found("slurm", partitions="composed-discover-partitions-odd", nodes="composed-discover-nodes-odd"),
    "sge-login": lambda: found("sge", "discover-", **DENIED),
    "sge-master": lambda: found("sge", "discover-", **ADMIN),
    "sge-busy": lambda: found("sge", "discover-", queues="discover-busy-queues", **ADMIN),
    "sge-busy-login": lambda: found("sge", "discover-", queues="discover-busy-queues", **DENIED),
    "pbs": lambda: found("pbs"),
    "torque": lambda: found("torque"),
    "moab": lambda: replace(found("torque"), system="moab"),  # which asks the same commands
    "lsf": lambda: found("lsf"),
    "htcondor": lambda: found("htcondor", "discover-"),
    "oar": lambda: found("oar", "discover-"),
}  # fmt: skip


def written(facts):
    return write(facts, DIALECTS[facts.system].title, date(2026, 11, 21))


def queues_of(facts):
    return {queue.name: queue for queue in facts.queues}


def shapes(queue):
    return sorted(queue.offers.items(), key=lambda item: (-item[1], item[0].cores))


# -- what is read ------------------------------------------------------------------------------------------------------


def test_slurm_in_containers():
    facts = found("slurm", "discover-")
    node, large = Shape(32, 256000 * MIB, (("v100", 4),)), Shape(64, 512000 * MIB)
    assert facts.queues == (
        FoundQueue("normal", 4 * HOUR, {node: 3}, default=True, remarks=("a job without a walltime gets 00:10:00",)),
        FoundQueue("debug", HOUR / 12, {node: 1}, remarks=("a job without a walltime gets 00:02:00",)),
        FoundQueue("spot", HOUR, {node: 3}, preemptible=True, remarks=("a job without a walltime gets 00:10:00",)),
        FoundQueue("big", UNLIMITED, {large: 4}),
    )
    assert facts.left_out == ()
    assert facts.spot.name == "spot"


def test_slurm_counts_what_a_job_can_have():
    queues = queues_of(found("slurm"))
    # MaxMemPerNode of batch; RealMemory less MemSpecLimit of the fat nodes; those that are down or drained not at all,
    # one that is powered down wakes up
    assert shapes(queues["batch"]) == [(Shape(128, 500000 * MIB), 12), (Shape(120, 500000 * MIB), 2)]
    assert queues["batch"].down == "2 down"
    assert shapes(queues["fat"]) == [(Shape(120, (2063000 - 16384) * MIB), 2)]
    assert {shape.cores for shape in queues["long"].offers} == {64}
    # where all are down, they are still what there is
    assert (shapes(queues["repair"]), queues["repair"].down) == ([(Shape(64, 515000 * MIB), 1)], "all down")
    # memory that isn't set is unknown
    assert shapes(queues["legacy"]) == [(Shape(16), 1)]
    assert shapes(queues["gpu"]) == [
        (Shape(64, 1031000 * MIB, (("a100", 4),)), 3),
        (Shape(64, 515000 * MIB, (("a100", 2), ("a100_3g.20gb", 4))), 1),
    ]


def test_slurm_without_cpuefctv_sets_cores_apart():
    (line,) = [line for line in recorded("slurm", "composed-discover-nodes").out.splitlines() if "fat1" in line]
    reply = Reply(("scontrol",), 0, line.replace("CPUEfctv=120 ", "").replace("CoreSpecCount=4", "CoreSpecCount=2"))
    (shape,) = queues_of(found("slurm", nodes=reply))["fat"].offers
    assert shape.cores == 128 - 2 * 2


def test_slurm_leaves_out_what_takes_no_jobs_and_says_so():
    facts = found("slurm")
    assert facts.left_out == (
        "secret: it is hidden",
        "closed: its state is DOWN",
        "drained: its state is INACTIVE",
        "wide: its jobs have at least 4 nodes, ours have one",
        "admin: it is for root only",
        "exam: it is for reservations only",
    )


@pytest.mark.parametrize(
    ("user", "accounts", "interactive", "legacy"),
    [
        (ALICE, "lab|", False, False),
        (User("bob", frozenset({"staff"})), "lab|\nold|", True, True),
        (User("bob"), "", None, None),
    ],
)
def test_slurm_tells_who_may_use_a_partition(user, accounts, interactive, legacy):
    queues = queues_of(found("slurm", user=user, accounts=Reply(("sacctmgr",), 0, accounts)))
    assert (queues["interactive"].allowed, queues["legacy"].allowed) == (interactive, legacy)
    assert queues["interactive"].remarks[0] == "for the groups staff,teachers only"


def test_slurm_preemption_by_qos():
    facts = found("slurm", settings="composed-discover-settings-qos")
    assert facts.spot is None
    assert facts.spot_qos == "standby"
    assert yaml.safe_load(written(facts))["jobclusters"]["spot"] == {"slurm": {"qos": "standby"}}


def test_slurm_answers_without_the_database():
    down = Reply(("sacctmgr",), 1, err="sacctmgr: error: Problem talking to the database: Connection refused")
    assert found("slurm", "discover-", accounts=down, qos=down, settings=down).queues[0].name == "normal"


def test_oar_counts_the_cores_of_nodes():
    facts = found("oar", "discover-")
    default, spot = facts.queues
    ((shape, count),) = default.nodes.items()
    assert (shape.cores, shape.memory % GIB, shape.gpu_count, count) == (32, 0, 4, 2)
    assert (default.name, default.default, spot.name, spot.preemptible) == ("default", True, "besteffort", True)
    assert facts.spot.name == "besteffort"
    assert facts.settings["memory-per-core-property-name"] == "memcore"


@pytest.mark.parametrize(
    ("old", "new", "down", "queues", "settings"),
    [
        ('"n2"', '"n2"', "", 2, {"memory-per-core-property-name": "memcore"}),
        ('"Alive"', '"Suspected"', "all down", 2, {"memory-per-core-property-name": "memcore"}),
        ('"drain" : "NO"', '"drain" : "YES"', "all down", 2, {"memory-per-core-property-name": "memcore"}),
        ('"besteffort" : "YES"', '"besteffort" : "NO"', "", 1, {"memory-per-core-property-name": "memcore"}),
        ('"memcore"', '"mem"', "", 2, {"memory-per-core-property-name": "not_applicable"}),
    ],
)
def test_what_oar_has_differs_from_site_to_site(old, new, down, queues, settings):
    facts = found("oar", "discover-", nodes=edited("oar", "discover-nodes", (old, new)))
    assert (facts.queues[0].down, len(facts.queues)) == (down, queues)
    assert settings.items() <= facts.settings.items()


@pytest.mark.parametrize("name", ["sge-login", "sge-master", "sge-busy"])
def test_grid_engine_hands_out_the_same_to_all(name):
    """What is left now is not what there is: idle hosts tell that, or qconf."""
    node = Shape(32, 256 * GIB, (("v100", 4),))
    facts = SITES[name]()
    assert facts.queues == (FoundQueue("all.q", UNLIMITED, {node: 2}), FoundQueue("short.q", HOUR / 120, {node: 2}))
    assert facts.settings == {
        "parallel-environment": "smp",
        "memory-complex": "h_vmem",
        "gpu-complex": "gpu",
        "gpu-type-complex": "gpu_type",
    }


def test_grid_engine_in_use_where_nobody_tells_the_totals():
    """A job that fits what is left is fine; one that doesn't may be, so that nothing is refused."""
    facts = SITES["sge-busy-login"]()
    assert all(queue.unsure for queue in facts.queues)
    assert shapes(facts.queues[0]) == [(Shape(32, 236 * GIB, (("v100", 2),)), 2)]
    entry = yaml.safe_load(written(facts))["jobclusters"]["queues"]["sge"]["all.q"]
    assert entry == {"cores": 32, "gpu-types": ["v100"], "walltime": "unlimited"}


def test_pbs():
    queues = queues_of(facts := found("pbs"))
    cpu, gpu = Shape(48, 263842692 * 1024), Shape(32, 527685384 * 1024, (("a100", 4),))
    assert queues == {
        "workq": FoundQueue("workq", 72 * HOUR, {cpu: 4}, cap=queues["workq"].cap, down="1 down", default=True, remarks=("a job without a walltime gets 01:00:00",)),
        "long": FoundQueue("long", 336 * HOUR, {cpu: 3}, Cap(memory=128 * GIB), remarks=queues["long"].remarks),
        "gpu": FoundQueue("gpu", 24 * HOUR, {gpu: 2}, cap=queues["gpu"].cap, remarks=("for the groups ml,vision only",)),
    }  # fmt: skip
    assert queues["long"].remarks == (
        "for the users alice,bob,charlie,dave,erin,frank,grace,heidi,ivan,judy,mallory,oscar,peggy,... only",
    )
    assert facts.left_out == (
        "old: it takes no jobs (enabled = False)",
        "inner: its jobs come from other queues",
        "route_all: it only routes jobs to workq,gpu",
    )


def test_pbs_tells_who_may_use_a_queue():
    assert queues_of(found("pbs", user=User("peggy")))["long"].allowed, "on a line that goes on"
    queues = queues_of(found("pbs", user=User("zoe", frozenset({"ml"}))))
    assert (queues["workq"].allowed, queues["long"].allowed, queues["gpu"].allowed) == (True, False, True)


def test_torque_differs_from_pbs():
    facts = SURVEYS["pbs"].facts(replies("torque", "composed-discover-"), ALICE)
    assert facts == found("torque")
    queues = queues_of(facts)
    assert facts.system == "torque"
    assert shapes(queues["batch"]) == [(Shape(28, 131939556 * 1024), 3)]
    assert queues["batch"].down == "1 down"
    assert shapes(queues["fast"]) == [(Shape(8, 131939556 * 1024), 2)]
    assert shapes(queues["gpu"]) == [(Shape(16, 65000000 * 1024, (("", 4),)), 1)]


def test_lsf():
    queues = queues_of(facts := found("lsf"))
    cpu, gpu = Shape(48, int(251.4 * GIB)), Shape(32, int(502.9 * GIB), (("TeslaV100", 4),))
    assert (queues["normal"].offers, queues["normal"].down) == ({replace(cpu, cores=32): 2}, "1 down")
    assert (queues["normal"].walltime, queues["normal"].default) == (24 * HOUR, True)
    assert queues["short"].walltime == HOUR / 2
    assert {shape.memory for shape in queues["short"].offers} == {64 * GIB}
    assert queues["gpu"].offers == {gpu: 1, replace(gpu, gpus=(("TeslaV100", 2),)): 1}
    assert [queue.name for queue in facts.queues if queue.preemptible] == ["idle"]
    assert [name for name, queue in queues.items() if not queue.allowed] == ["owners", "priority"]
    assert facts.left_out == (
        "maintenance: its status is Closed:Inact_Adm",
        "interactive: it is for interactive jobs only",
        "nowhere: it has no hosts",
    )


def test_the_machines_of_a_pool_are_one_queue():
    (pool,) = found("htcondor", "discover-").queues
    assert (pool.name, pool.walltime, pool.default) == ("pool", UNLIMITED, True)
    memory = 131072 * MIB
    assert pool.nodes == {Shape(32, memory): 1, Shape(32, memory, (("A100-SXM4-40GB", 4),)): 1}
    odd = '[{"TotalSlotCpus": 4, "TotalSlotMemory": "lots"}, {"TotalSlotCpus": 1e300}, {}, 7]'
    (pool,) = found("htcondor", slots=Reply((), 0, odd)).queues
    assert pool.nodes == {Shape(4): 1}


def test_the_system_below_moab_has_the_queues(monkeypatch):
    facts = found("torque")
    monkeypatch.setattr("jobclusters.batch.commands.BatchCommands.check", lambda _: None)

    async def ask(*_):
        return facts

    monkeypatch.setattr(survey_module, "ask", ask)
    assert survey_module.discover("moab") == replace(facts, system="moab")
    assert survey_module.discover("pbs") == facts


def test_lsf_tells_who_may_use_a_queue_where_it_cannot_be_asked():
    queues = queues_of(found("lsf", mine=Reply(("bqueues",), 255, err="alice: No such user")))
    allowed = {name: queue.allowed for name, queue in queues.items()}
    assert allowed == {"normal": True, "short": True, "gpu": True, "idle": True, "owners": None, "priority": False}


def test_lsf_without_the_groups_of_hosts():
    queues = queues_of(found("lsf", groups=Reply(("bmgroup",), 255, err="No user defined host groups")))
    assert (queues["normal"].nodes, queues["normal"].unsure) == ({}, True)
    assert queues["normal"].remarks == ("its host groups can't be looked up: cpu",)


def edited(system, name, *changes):
    """Give a recorded reply in which something is replaced."""
    reply = recorded(system, name)
    for old, new in changes:
        assert old in reply.out
        reply = replace(reply, out=reply.out.replace(old, new))
    return reply


@pytest.mark.parametrize(
    ("change", "preemptible"),
    [
        (("PriorityTier=1 ", "PriorityTier=10 "), []),  # none has a higher tier
        (("PreemptMode=REQUEUE", "PreemptMode=OFF"), []),
        (("PreemptMode=OFF", "PreemptMode=REQUEUE"), ["spot"]),
        (("PriorityTier=10 ", "PriorityTier=1 "), []),
    ],
)
def test_slurm_tells_whose_jobs_are_preempted(change, preemptible):
    facts = found("slurm", "discover-", partitions=edited("slurm", "discover-partitions", change))
    assert [queue.name for queue in facts.queues if queue.preemptible] == preemptible


def test_lsf_defaults_are_no_limits():
    (normal,) = re.findall(
        r"MAXIMUM LIMITS:\n RUNLIMIT\n 1440.0 min\n", recorded("lsf", "composed-discover-queues").out
    )
    queues = queues_of(found("lsf", queues=edited("lsf", "composed-discover-queues", (normal, ""))))
    assert queues["normal"].walltime == UNLIMITED


def test_pbs_nodes_that_are_for_one_queue():
    nodes = edited("pbs", "composed-discover-nodes", ("n1\n     Mom", "n1\n     queue = long\n     Mom"))
    queues = queues_of(found("pbs", nodes=nodes))
    assert [sum(queues[name].nodes.values()) for name in ("workq", "long")] == [3, 3]


@pytest.mark.parametrize(("state", "down"), [("au", "1 down"), ("d", "1 down"), ("E", "1 down"), ("a", ""), ("s", "")])
def test_grid_engine_nodes_that_are_down(state, down):
    first = "all.q@jobclusters-sge-e1       BIP   0/0/32         1.16     lx-amd64      "
    facts = found(
        "sge", "discover-", queues=edited("sge", "discover-queues", (first, f"{first.rstrip()}      {state}"))
    )
    assert [queue.down for queue in facts.queues] == [down, ""]


# -- hostile replies ---------------------------------------------------------------------------------------------------

#: Moab's queues are those of the system below.
NEEDED = [(name, key) for name, each in SURVEYS.items() if name != "moab" for key in sorted(each.needed)]


@pytest.mark.parametrize(("system", "key"), NEEDED)
@pytest.mark.parametrize(
    "reply",
    [
        Reply(("ask", "it"), 1, err="slurm_load_partitions: Unable to contact slurm controller (connect failure)"),
        Reply(("ask", "it"), None, err="no answer in 60 s"),
        Reply(("ask", "it"), 127, err="ask can't be run on this machine: No such file or directory"),
    ],
)
def test_a_failure_is_reported_in_its_own_words(system, key, reply):
    with pytest.raises(Unavailable, match=rf"^ask it .*{re.escape(reply.err[-20:])}"):
        found(system, "discover-" if system in ("slurm", "sge", "htcondor") else "composed-discover-", **{key: reply})


@pytest.mark.parametrize("system", SURVEYS)
@pytest.mark.parametrize("text", ["", "\n\n", "Welcome to the cluster!\n", "\x00\x1b[31m\n", "=" * 5000, "{]"])
def test_answers_that_tell_nothing(system, text):
    reply = Reply(("ask",), 0, text)
    with pytest.raises(Unavailable, match="there is no queue that takes jobs"):
        found(system, **dict.fromkeys(SURVEYS[system].questions, reply))


@pytest.mark.parametrize("site", SITES)
@settings(max_examples=25)
@given(data=st.data())
def test_answers_that_are_cut_off(site, data):
    """Whatever comes of it, it is an error of ours or a file that can be read."""
    system = site.partition("-")[0]
    prefix = "discover-" if system in ("sge", "htcondor") or site == "slurm-container" else "composed-discover-"
    asked = replies(system, prefix)
    key = data.draw(st.sampled_from(sorted(asked)))
    end = data.draw(st.integers(0, len(asked[key].out)))
    cut = {**asked, key: replace(asked[key], out=asked[key].out[:end])}
    try:
        facts = SURVEYS[system].facts(cut, ALICE)
    except Unavailable:
        return
    reads(facts)


def test_5000_nodes():
    line = next(line for line in recorded("slurm", "composed-discover-nodes").out.splitlines() if "n001" in line)
    nodes = "\n".join(line.replace("n001", f"n{number}") for number in range(5000))
    facts = found("slurm", nodes=Reply(("scontrol",), 0, nodes))
    assert shapes(facts.queues[0]) == [(Shape(128, 500000 * MIB), 5000)]
    assert len(written(facts).splitlines()) < 100


# -- sizes -------------------------------------------------------------------------------------------------------------


def sizes(*queues, system="slurm"):
    found = find_sizes(Facts(system, tuple(FoundQueue(f"q{n}", nodes=nodes) for n, nodes in enumerate(queues))))
    return {size.name: (size.cores, size.memory / 1e9, size.gpus, size.gpu_type) for size in found}


def test_parts_of_a_node():
    assert sizes({Shape(64, 512000 * MIB): 4}) == {
        "node": (64, 536, 0, ""),
        "half-node": (32, 268, 0, ""),
        "quarter-node": (16, 134, 0, ""),
    }


def test_nodes_that_are_alike_are_one_make():
    """The least that one has holds for all, so that any can take the job."""
    assert sizes({Shape(64, 515000 * MIB): 2, Shape(64, 514000 * MIB): 7})["node"] == (64, 538, 0, "")
    assert len(sizes({Shape(64, 515000 * MIB): 2, Shape(64, 514000 * MIB): 7})) == 3


def test_other_makes_say_how_large_they_are():
    found = sizes({Shape(64, 256 * GIB): 9, Shape(64, 1024 * GIB): 2}, {Shape(128, 512 * GIB): 1})
    assert list(found)[::3] == ["node", "node-64c-1099g", "node-128c-549g"]
    assert found["half-node-64c-1099g"] == (32, 549, 0, "")


def test_gpus_come_with_their_share():
    found = sizes(
        {Shape(64, 1024 * GIB, (("A100", 4),)): 3, Shape(32, 256 * GIB, (("A100", 2),)): 1, Shape(16, 64 * GIB): 1}
    )
    assert {name: shape for name, shape in found.items() if shape[2]} == {
        "a100": (16, 137, 1, "A100"),
        "2xa100": (32, 274, 2, "A100"),
        "4xa100": (64, 1099, 4, "A100"),
    }
    assert found["node"][0] == 16


def test_where_all_nodes_have_gpus_cpu_jobs_get_parts_of_them():
    assert list(sizes({Shape(8, 64 * GIB, (("", 2),)): 1})) == ["node", "half-node", "quarter-node", "gpu", "2xgpu"]


def test_nothing_too_small_for_a_worker():
    assert sizes({Shape(1, 150 * MIB): 1, Shape(3, None): 1}) == {"node": (1, 0.157, 0, "")}


# -- what is written ---------------------------------------------------------------------------------------------------


def reads(facts):
    """Read the file as the configuration is read: nothing is complained about, and some queue holds each size."""
    dialect = DIALECTS[facts.system]
    section = yaml.safe_load(written(facts))["jobclusters"]
    assert section.keys() <= {"system", "queues", "spot", "sizes"}
    queues, problems = read_queues(section["queues"][facts.system], dialect.clock, "queues")
    sizes, more = read_sizes(section["sizes"], DIALECTS, job_keywords(dialect))
    assert [*problems, *more] == []
    assert sizes.keys() == {size.name for size in find_sizes(facts)}
    for size in sizes.values():
        kind = size.keywords(facts.system).get("gpu_type")
        assert best_queue(queues, JobShape(size.cores, size.memory, size.gpus, kind))


def accepts(configure, facts):
    """Load it as Dask does."""
    reads(facts)
    configure(written(facts))
    site = config.site(DIALECTS[facts.system])
    for size in find_sizes(facts):
        known = site.sizes[size.name]
        assert (known.cores, known.memory, known.gpus) == (size.cores, size.memory, size.gpus)
    return site


@pytest.mark.parametrize("name", SITES)
def test_golden_files(name, request, configure):
    facts = SITES[name]()
    path = GOLDEN / f"{name}.yaml"
    if request.config.getoption("--rewrite-scripts"):
        path.write_text(written(facts))
    assert written(facts) == path.read_text()
    site = accepts(configure, facts)
    more = {} if facts.system != "sge" else {"parallel_environment": "smp"}
    for size in find_sizes(facts):
        script = job_script(facts.system, worker_size=size.name, **more)
        assert facts.system == "htcondor" or any(queue in script for queue in site.queues)
    too_much = max((queue.cores or 1 for queue in site.queues.values()), default=1) + 1
    with pytest.raises(InvalidRequest, match="no listed queue holds the job"):
        job_script(facts.system, cores=too_much, memory="1 GB", **more)


def test_every_site_has_its_golden_file():
    assert {path.stem for path in GOLDEN.iterdir()} == set(SITES)


def slurm_script(**keywords):
    lines = job_script("slurm", **keywords).splitlines()
    return next((line.partition("=")[2] for line in lines if line.startswith("#SBATCH --partition=")), None)


def test_a_size_gets_the_queue_that_holds_it(configure):
    accepts(configure, SITES["slurm-container"]())
    assert slurm_script(worker_size="node") == "big"
    assert slurm_script(worker_size="v100") == "normal"
    assert slurm_script(worker_size="v100", walltime="00:04:00") == "debug"
    assert "--gpus-per-node=v100:2\n" in job_script("slurm", worker_size="2xv100")


def test_an_impossible_request_is_refused(configure):
    accepts(configure, SITES["slurm-container"]())
    for keywords in (
        {"worker_size": "v100", "walltime": "05:00:00"},
        {"cores": 65, "memory": "1 GB"},
        {"cores": 1, "memory": "501 GiB"},
        {"worker_size": "4xv100", "gpu_type": "a100"},
    ):
        with pytest.raises(InvalidRequest, match="no listed queue holds the job"):
            slurm_script(**keywords)
    with pytest.raises(InvalidRequest, match="but a node of queue 'normal' has 32; queue='big' would hold the job"):
        slurm_script(cores=48, memory="1 GB", queue="normal")


def test_no_job_is_preempted_unasked(configure):
    """The spot queue would be the shortest that is long enough."""
    accepts(configure, SITES["slurm-container"]())
    assert slurm_script(worker_size="v100", walltime="00:30:00") == "normal"
    assert slurm_script(worker_size="v100", walltime="00:30:00", worker_is_spot=True) == "spot"
    with pytest.raises(InvalidRequest, match="walltime 02:00:00, but queue 'spot' allows 01:00:00"):
        slurm_script(worker_size="v100", walltime="02:00:00", worker_is_spot=True)


def test_a_queue_that_is_for_others_is_not_chosen(configure):
    accepts(configure, SITES["slurm-large"]())
    assert slurm_script(worker_size="node", walltime="06:00:00") == "batch"
    text = (GOLDEN / "slurm-large.yaml").read_text()
    assert "      # You may not use it; for those who may:\n      # interactive: {cores: 48" in text


def test_what_was_found_as_json():
    found = as_json(SITES["slurm-container"]())
    assert found["system"] == "slurm"
    assert found["queues"][2] == {
        "name": "spot",
        "default": False,
        "preemptible": True,
        "allowed": True,
        "walltime": 3600,
        "nodes": [{"count": 3, "cores": 32, "memory": 268435456000, "gpus": {"v100": 4}}],
        "down": "",
        "remarks": ["a job without a walltime gets 00:10:00"],
    }
    assert found["queues"][3]["walltime"] is None
    assert found["sizes"]["2xv100"] == {
        "label": "2 V100",
        "cores": 16,
        "memory": 134 * 10**9,
        "gpus": 2,
        "gpu-type": "v100",
    }


names = st.text(st.sampled_from("abAB01-_.+:@"), min_size=1, max_size=6) | st.sampled_from(
    ["null", "yes", "1e3", "0x10", "12:30:00", "~"[:0] or "no"]
)
kinds = st.text(st.sampled_from("aA1-_."), max_size=4)
shape = st.builds(
    Shape,
    st.integers(1, 300),
    st.none() | st.integers(16 * MIB, 5000 * GIB),
    st.dictionaries(kinds, st.integers(1, 16), max_size=2).map(lambda found: tuple(found.items())),
)
queue = st.builds(
    FoundQueue,
    names,
    walltime=st.none() | st.just(UNLIMITED) | st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    nodes=st.dictionaries(shape, st.integers(1, 9000), max_size=4),
    cap=st.builds(
        Cap, *[st.none() | st.integers(1, 64), st.none() | st.integers(GIB, 100 * GIB), st.none() | st.integers(0, 4)]
    ),
    down=st.sampled_from(["", "3 down", "all down"]),
    unsure=st.booleans(),
    default=st.booleans(),
    preemptible=st.booleans(),
    allowed=st.sampled_from([True, False, None]),
    remarks=st.lists(st.text(max_size=30), max_size=2).map(tuple),
)


@settings(max_examples=300)
@given(
    system=st.sampled_from(sorted(SURVEYS)),
    queues=st.lists(queue, max_size=5, unique_by=lambda queue: queue.name),
    left_out=st.lists(st.text(max_size=40), max_size=2),
)
def test_what_is_written_is_accepted(system, queues, left_out):
    reads(Facts(system, tuple(queues), tuple(left_out), commands=("a\nb", "x" * 300)))


def changed(system, key, old, new):
    reply = recorded(system, f"composed-discover-{key}")
    assert old in reply.out
    return {key: replace(reply, out=reply.out.replace(old, new))}


@pytest.mark.parametrize("number", ["²", "9" * 5000, "-1"])
@pytest.mark.parametrize(
    ("system", "key", "old", "new"),
    [
        ("slurm", "nodes", "Gres=gpu:a100:4", "Gres=gpu:{}"),
        ("slurm", "nodes", "Gres=gpu:a100:4", "Gres=gpu:a100:{}"),
        ("lsf", "hosts", "502.9G", "{}G"),
        ("lsf", "queues", "1 1 32", "1 1 {}"),
        ("lsf", "queues", "1440.0 min", "{} min"),
        ("pbs", "nodes", "ncpus = 48", "ncpus = {}"),
        ("pbs", "nodes", "mem = ", "mem = {}"),
    ],
)
def test_a_number_that_is_none_is_unknown(system, key, old, new, number):
    assert found(system, **changed(system, key, old, new.format(number))).queues
