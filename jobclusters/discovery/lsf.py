"""Reads a site's queues and hosts from LSF's commands.

Manuals: bqueues(1), lshosts(1), bhosts(1), bparams(1), bmgroup(1),
https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-command
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType

from jobclusters.dialects.base import Reply
from jobclusters.discovery.facts import (
    Cap,
    Facts,
    FoundQueue,
    Node,
    Shape,
    Survey,
    User,
    counted,
    listed,
    memory_of,
    number,
    plain,
)
from jobclusters.spec.units import UNLIMITED

_VALUE = re.compile(r"([0-9]{1,12}(?:\.[0-9]+)?)\s*(min|[KMGTP]?)(?=\s|$)")
_DOWN = ("unavail", "unreach", "unlicensed", "closed_Adm", "closed_LIM", "closed_RC")


class LsfSurvey(Survey):
    """LSF's queues and hosts."""

    system = "lsf"
    questions = MappingProxyType(
        {
            "queues": ("bqueues", "-l"),
            "hosts": ("lshosts", "-w"),
            "slots": ("bhosts", "-w"),
            "groups": ("bmgroup", "-w"),
            "gpus": ("lshosts", "-gpu", "-w"),
            "parameters": ("bparams",),
            "mine": ("bqueues", "-w", "-u", "{user}"),
        }
    )
    needed = frozenset({"queues", "hosts", "slots"})

    def read(self, replies: Mapping[str, Reply], user: User) -> Facts:
        """Read the replies."""
        nodes = _nodes(replies)
        groups = {row[0].rstrip("/"): row[1:] for row in _table(replies["groups"], "GROUP_NAME")}
        usual = re.search(r"^Default Queues?:\s*(.*)$", replies["parameters"].out, re.MULTILINE)
        defaults = usual[1].split() if usual else []
        blocks = re.split(r"^QUEUE: *(\S+)[^\n]*$", replies["queues"].out, flags=re.MULTILINE)[1:]
        texts = dict(zip(blocks[::2], blocks[1::2], strict=True))
        preempted = {name for text in texts.values() for name in _preempts(text)}
        mine = {row[0] for row in _table(replies["mine"], "QUEUE_NAME")}
        queues, left_out = [], []
        for name, text in texts.items():
            if why := _closed(name, text):
                left_out.append(f"{name}: {why}")
                continue
            found, down, missing = _serving(text, nodes, groups)
            limits = _limits(text)
            cores = int(limits.get("PROCLIMIT", limits.get("TASKLIMIT", 0)))
            remarks = [f"for the users {listed(_line(text, 'USERS'))} only"] if not _open(_line(text, "USERS")) else []
            remarks += [f"its host groups can't be looked up: {', '.join(missing)}"] if missing else []
            queues.append(
                FoundQueue(
                    name=name,
                    walltime=timedelta(minutes=limits["RUNLIMIT"]) if "RUNLIMIT" in limits else UNLIMITED,
                    nodes={} if missing else found,
                    cap=Cap(cores or None, memory_of(int(limits.get("MEMLIMIT", 0)))),
                    down="" if missing else down,
                    unsure=bool(missing),
                    default=name == next(iter(defaults), None),
                    preemptible=name in preempted or "PREEMPTABLE" in _line(text, "SCHEDULING POLICIES"),
                    allowed=name in mine if mine else _allowed(_line(text, "USERS"), user),
                    remarks=tuple(remarks),
                )
            )
        return Facts("lsf", tuple(queues), tuple(left_out))


def _table(reply: Reply, first: str) -> list[list[str]]:
    """Read the rows below a header."""
    rows = [line.split() for line in reply.out.splitlines() if line.strip()] if reply.ok else []
    header = next((index for index, row in enumerate(rows) if row[0] == first), len(rows))
    return rows[header + 1 :]


def _nodes(replies: Mapping[str, Reply]) -> dict[str, Node]:
    """Combine what LIM knows of hosts (cores, memory), what mbatchd knows (slots, state), and their GPUs."""
    slots = {row[0]: row for row in _table(replies["slots"], "HOST_NAME") if len(row) > 3}
    gpus = _gpus(replies["gpus"])
    nodes = {}
    for row in _table(replies["hosts"], "HOST_NAME"):
        if len(row) < 6 or row[0] not in slots:  # clients run no jobs
            continue
        status = slots[row[0]][1]
        cores = number(slots[row[0]][3]) or number(row[4])
        up = status not in _DOWN and status != "closed"
        if cores:
            nodes[row[0]] = Node(Shape(cores, memory_of(_bytes(row[5])), gpus.get(row[0], ())), up)
    return nodes


def _bytes(text: str) -> int:
    """Read an amount of memory.

    >>> _bytes("248M"), _bytes("251.4G"), _bytes("-")
    (260046848, 269938694553, 0)
    """
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]+)?)([KMGTP]?)", text)
    return int(float(match[1]) * 1024 ** " KMGTP".index(match[2] or " ")) if match else 0


def _gpus(reply: Reply) -> dict[str, tuple[tuple[str, int], ...]]:
    """Read ``lshosts -gpu``: only the first GPU of a host has its name."""
    found: dict[str, dict[str, int]] = {}
    host = ""
    for row in _table(reply, "HOST_NAME"):
        if len(row) > 2 and number(row[1]) is not None:
            host, row = row[0], row[1:]  # noqa: PLW2901 -- the rest of the row is like those that follow
        if host and len(row) > 1 and number(row[0]) is not None and plain(row[1]):
            kinds = found.setdefault(host, {})
            kinds[row[1]] = kinds.get(row[1], 0) + 1
    return {host: tuple(kinds.items()) for host, kinds in found.items()}


def _line(text: str, key: str) -> str:
    match = re.search(rf"^{key}: *(.*)$", text, re.MULTILINE)
    return match[1].strip() if match else ""


def _preempts(text: str) -> list[str]:
    """Name the queues that a preemptive one preempts: ``PREEMPTIVE[low+1 short]``."""
    match = re.search(r"PREEMPTIVE\s*\[([^\]]*)\]", text)
    return [name.partition("+")[0] for name in match[1].split()] if match else []


def _closed(name: str, text: str) -> str:
    """Explain why a queue takes no jobs of workers; "" if it does."""
    if not plain(name):
        return "a configuration can't hold its name"
    match = re.search(r"^\s*-?\d+\s+-?\d+\s+(\w+:\w+)", text, re.MULTILINE)
    status = match[1] if match else "Open:Active"
    if not status.startswith("Open:") or status in ("Open:Inact", "Open:Inact_Adm"):
        return f"its status is {status}"
    if _line(text, "HOSTS") == "none":
        return "it has no hosts"
    return "it is for interactive jobs only" if "ONLY_INTERACTIVE" in text else ""


def _limits(text: str) -> dict[str, float]:
    """Read the limits of a job, without the defaults: names in one line, their values in the next."""
    text = re.sub(r"^DEFAULT LIMITS:.*?(?=^MAXIMUM LIMITS:|^[A-Z])", "", text, flags=re.MULTILINE | re.DOTALL)
    found: dict[str, float] = {}
    for names, values in pairwise(text.splitlines()):
        words = names.split()
        if not words or not all(re.fullmatch(r"[A-Z]+LIMIT", word) for word in words):
            continue
        numbers = _VALUE.findall(re.sub(r"of \S+", "", values))
        if words in (["PROCLIMIT"], ["TASKLIMIT"]):  # alone, or after a minimum and a default
            numbers = numbers[-1:]
        for word, (amount, unit) in zip(words, numbers, strict=False):
            found[word] = float(amount) * (1024 ** " KMGTP".index(unit) if unit and unit in "KMGTP" else 1)
    return found


def _serving(
    text: str, nodes: Mapping[str, Node], groups: Mapping[str, list[str]]
) -> tuple[dict[Shape, int], str, list[str]]:
    """Count a queue's hosts, and name the groups whose hosts are hidden."""
    names: set[str] = set()
    out: set[str] = set()
    missing = []
    todo, seen = _line(text, "HOSTS").split() or ["all"], set()
    while todo:
        word = todo.pop()
        target = out if word.startswith("~") else names
        name = re.sub(r"\+\d*$", "", word.lstrip("~")).rstrip("/")
        if word in seen:
            continue
        seen.add(word)
        if name in ("all", "all_hosts"):
            target.update(nodes)
        elif name in nodes:
            target.add(name)
        elif name in groups:
            todo += [f"~{each}" if word.startswith("~") else each for each in groups[name]]
        elif "/" in word:
            missing.append(name)
    return (*counted(nodes[name] for name in sorted(names - out)), missing)


def _open(users: str) -> bool:
    return not users or "all" in users.split() or users == "all users"


def _allowed(users: str, user: User) -> bool | None:
    """Tell whether a user may use a queue; the members of LSF's user groups are unknown."""
    if _open(users):
        return True
    names = users.split()
    if user.name in names or any(name.rstrip("/") in user.groups for name in names if name.endswith("/")):
        return True
    return None if any(name.endswith("/") for name in names) else False


SURVEY = LsfSurvey()
