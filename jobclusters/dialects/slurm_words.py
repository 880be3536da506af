"""SLURM's words for the states of a job, and for why it waits or has ended."""

from __future__ import annotations

from jobclusters.state import JobState

#: https://slurm.schedmd.com/job_state_codes.html
STATES = {
    "PENDING": JobState.PENDING,
    "CONFIGURING": JobState.PENDING,  # has a node that still boots
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "COMPLETING": JobState.COMPLETING,
    "COMPLETED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "BOOT_FAIL": JobState.NODE_FAIL,
    "NODE_FAIL": JobState.NODE_FAIL,
    "CANCELLED": JobState.CANCELLED,
    "REVOKED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
    "DEADLINE": JobState.TIMEOUT,
    "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    "PREEMPTED": JobState.PREEMPTED,
}

#: https://slurm.schedmd.com/job_reason_codes.html: limits of one job, which waiting doesn't change.
NEVER = frozenset(
    {
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "PartitionConfig",
        "BadConstraints",
        "AccountNotAllowed",
        "QOSNotAllowed",
        "AssocMaxWallDurationPerJobLimit",
        "QOSMaxWallDurationPerJobLimit",
        "QOSMaxCpuPerJobLimit",
        "QOSMaxMemoryPerJob",
        "QOSMaxGRESPerJob",
        "QOSMaxNodePerJobLimit",
    }
)

#: https://slurm.schedmd.com/job_reason_codes.html; first the whole word, then the beginnings.
_MEANINGS = {
    "Resources": "waits for free nodes",
    "Priority": "others in the queue go first",
    "BeginTime": "may not start before its begin time",
    "Dependency": "waits for another job",
    "JobHeldUser": "held by you",
    "JobHeldAdmin": "held by an administrator",
    "JobArrayTaskLimit": "as many elements of its array run as may",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is not active",
    "PartitionTimeLimit": "asks for more time than the partition allows",
    "PartitionNodeLimit": "asks for more nodes than the partition allows",
    "PartitionConfig": "asks for something that the partition does not allow",
    "BadConstraints": "asks for something that no node has",
    "Licenses": "waits for a licence",
    "Reservation": "waits for its reservation",
    "ReqNodeNotAvail": "a node that it needs is down or reserved",
    "Nodes required for job are DOWN": "all nodes that it could use are down or reserved",
    "QOSMax": "you use as much as this quality of service allows",
    "QOSGrp": "this quality of service is used up by all its users",
    "AssocMax": "you use as much as your account allows",
    "AssocGrp": "your account's share is used up",
    "NonZeroExitCode": "its script failed",
    "TimeLimit": "its walltime was over",
    "OutOfMemory": "used more memory than it had asked for",
}


def meaning(reason: str) -> str:
    """Put a reason into plain words, if we know it.

    >>> meaning("QOSMaxCpuPerUserLimit"), meaning("None")
    ('you use as much as this quality of service allows', '')
    """
    return _MEANINGS.get(reason) or next((words for begin, words in _MEANINGS.items() if reason.startswith(begin)), "")
