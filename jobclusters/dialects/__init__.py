"""Describes the commands and replies of each batch system: data and parsers; pure.

A new batch system needs a line here, a dialect, a template and recorded replies.
"""

from __future__ import annotations

from jobclusters.dialects.base import Dialect
from jobclusters.dialects.htcondor import Htcondor
from jobclusters.dialects.local import Local
from jobclusters.dialects.lsf import Lsf
from jobclusters.dialects.moab import Moab
from jobclusters.dialects.oar import Oar
from jobclusters.dialects.pbs import Pbs
from jobclusters.dialects.sge import Sge
from jobclusters.dialects.slurm import Slurm
from jobclusters.dialects.torque import Torque

#: In the order in which a machine is searched for them; the embedded queue is always there, so it's last.
DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Slurm(),
        Pbs(),
        Torque(),
        Moab(),
        Lsf(),
        Sge(),
        Htcondor(),
        Oar(),
        Local(),
    )
}
