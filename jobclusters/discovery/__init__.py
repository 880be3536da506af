"""What a site has: its queues, nodes and GPUs, read from a batch system's replies, written as a configuration.

Nothing here does input or output; ``jobclusters/discover.py`` asks the questions and saves the file.
"""

from __future__ import annotations

from jobclusters.discovery.facts import Survey
from jobclusters.discovery.lsf import LsfSurvey
from jobclusters.discovery.pbs import PbsSurvey
from jobclusters.discovery.sge import SgeSurvey
from jobclusters.discovery.slurm import SlurmSurvey

_PBS = PbsSurvey()

#: By the dialect's name. This machine, as a queue, is asked in another way.
SURVEYS: dict[str, Survey] = {
    "slurm": SlurmSurvey(),
    "pbs": _PBS,
    "torque": _PBS,
    "lsf": LsfSurvey(),
    "sge": SgeSurvey(),
}
