"""The journal of what a cluster has submitted: messages of its owner to its janitor, and to who clears up after both.

It imports next to nothing, as the janitor reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobclusters.registry.files import ClusterFiles

#: The file, in the cluster's directory.
JOURNAL = "jobs.jsonl"


def no_jobs(job_name: str) -> dict[str, object]:
    """Give the message that a submission has no jobs left."""
    return {"submitted": job_name, "ids": []}


def apply_messages(
    submissions: dict[str, list[str]],
    lines: Iterable[str | bytes],
    tokens: set[str] | None = None,
    clusters: set[str] | None = None,
) -> bool:
    """Apply the owner's messages to its submissions; False after its goodbye.

    Apply them also to the tokens of its local queues, and to the clusters of the site to which its scripts went.
    """
    for message in parsed(lines):
        if "goodbye" in message:
            return False
        if "submitting" in message:
            submissions[message["submitting"]] = []
        elif "token" in message:
            if tokens is not None:
                tokens.add(message["token"])
        elif "clusters" in message:
            if clusters is not None:
                clusters.update(message["clusters"])
        elif "submitted" not in message:  # the batch system's identity, or a message of a later version
            continue
        elif message["ids"]:
            submissions[message["submitted"]] = message["ids"]
        else:
            submissions.pop(message["submitted"], None)
    return True


def parsed(lines: Iterable[str | bytes]) -> Iterator[dict[str, Any]]:
    """Parse lines, without those that were written in part, for instance on a full disk."""
    for line in lines:
        with suppress(ValueError):
            if isinstance(message := json.loads(line), dict):
                yield message


def read_journal(files: ClusterFiles) -> list[bytes]:
    """Read a cluster's journal; nothing if it has none."""
    with suppress(OSError):
        return files.read(JOURNAL).splitlines()
    return []


def compact_journal(files: ClusterFiles) -> None:
    """Rewrite a cluster's journal without what has ended."""
    lines = read_journal(files)
    submissions: dict[str, list[str]] = {}
    apply_messages(submissions, lines)
    lasting = {"token", "identity", "clusters"}
    kept: list[object] = [message for message in parsed(lines) if lasting & message.keys()]
    for name, ids in submissions.items():
        kept += [{"submitting": name}, *([{"submitted": name, "ids": ids}] if ids else [])]
    files.write(JOURNAL, "".join(json.dumps(message) + "\n" for message in kept))
