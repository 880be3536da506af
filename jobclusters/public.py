"""What can be asked without a cluster, and without importing distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jobclusters import config
from jobclusters.call import Call, read_call
from jobclusters.configurations import Configuration
from jobclusters.connection import Network, connection_args
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, unknown
from jobclusters.script import render


def describe_sizes() -> dict[str, str]:
    """Describe the sizes that ``worker_size=`` accepts, by name.

    Returns
    -------
    dict of str to str
        Built-in sizes first, then those of the site's and the user's configuration.

    Examples
    --------
    >>> describe_sizes()["p38xlarge"]
    'V100-8XLarge - 32 cores - 244 GB RAM - 4 GPU'
    """
    return {name: size.describe() for name, size in config.sizes().items()}


def list_sizes() -> list[str]:
    """List the sizes that ``worker_size=`` accepts."""
    return list(config.sizes())


def job_script(system: str, *, configuration: str | Configuration | None = None, **keywords: object) -> str:
    """Print the job script that a cluster would submit; needs neither a cluster nor the batch system.

    Parameters
    ----------
    system
        ``"slurm"``, ``"pbs"``, ``"torque"``, ``"lsf"``, ``"sge"`` or ``"local"``.
    configuration, **keywords
        As for the cluster classes.

    Returns
    -------
    str
        The script; where the scheduler's address will stand it says so. What only a cluster knows isn't in it: the
        network that it chooses, and its certificates.

    Raises
    ------
    InvalidRequest
        With every problem of the call.

    Examples
    --------
    >>> print(job_script("slurm", worker_size="large", queue="normal"))  # doctest: +ELLIPSIS
    #!/usr/bin/env bash
    #SBATCH --job-name=dask-worker
    #SBATCH --partition=normal
    #SBATCH --nodes=1
    #SBATCH --ntasks=1
    #SBATCH --cpus-per-task=2
    #SBATCH --mem=15259M
    #SBATCH --time=0-00:30:00
    <BLANKLINE>
    began=$(date +%s)
    ...
    exec ...python... -m distributed.cli.dask_worker 'tcp://<insert-scheduler-address-here>:8786' --name "$name" ...
    """
    call = read_job(system, keywords, configuration)
    return render(call.spec, call.dialect, call.template_dirs)


def read_job(system: str, keywords: Mapping[str, object], configuration: str | Configuration | None = None) -> Call:
    """Read a call as :func:`job_script` does.

    Raises
    ------
    InvalidRequest
        With every problem of the call.
    """
    if system not in DIALECTS:
        raise InvalidRequest(unknown("batch system", system, DIALECTS))
    call = read_call(DIALECTS[system], keywords, configuration)
    interface = call.value("interface") or None
    args = connection_args(call.value("protocol"), None, Network(interface, interface, ""))
    return replace(call, spec=replace(call.spec, worker_name="dask-worker", worker_args=call.spec.worker_args + args))
