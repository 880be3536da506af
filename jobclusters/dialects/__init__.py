"""The batch systems, by name. Adding one is a line here, a dialect, a template and recorded replies."""

from __future__ import annotations

from jobclusters.dialect import Dialect
from jobclusters.dialects.local import Local
from jobclusters.dialects.slurm import Slurm

#: In the order in which they are looked for on a machine; the embedded queue is always there, so it's last.
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Slurm(), Local())}
