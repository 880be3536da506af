"""The batch systems, by name. Adding one is a line here, a dialect, a template and recorded replies."""

from __future__ import annotations

from jobclusters.dialect import Dialect
from jobclusters.dialects.local import Local
from jobclusters.dialects.lsf import Lsf
from jobclusters.dialects.pbs import Pbs
from jobclusters.dialects.sge import Sge
from jobclusters.dialects.slurm import Slurm
from jobclusters.dialects.torque import Torque

#: In the order in which they are looked for on a machine; the embedded queue is always there, so it's last.
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Slurm(), Pbs(), Torque(), Lsf(), Sge(), Local())}
