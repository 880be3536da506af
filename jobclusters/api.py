"""Functions that need no cluster, and don't import distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jobclusters.batch.script import render
from jobclusters.config import settings
from jobclusters.config.call import Call, read_call
from jobclusters.config.saved import Configuration
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, unknown
from jobclusters.network.interfaces import Network, connection_args, port_args
from jobclusters.registry.files import FILES
from jobclusters.spec.units import read_ports


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
    return {name: size.describe() for name, size in settings.sizes().items()}


def list_sizes() -> list[str]:
    """List the sizes that ``worker_size=`` accepts."""
    return list(settings.sizes())


def job_script(system: str, *, configuration: str | Configuration | None = None, **keywords: object) -> str:
    """Print the job script that a cluster would submit; needs neither a cluster nor the batch system.

    Parameters
    ----------
    system
        ``"slurm"``, ``"pbs"``, ``"torque"``, ``"moab"``, ``"lsf"``, ``"sge"``, ``"htcondor"``, ``"oar"`` or
        ``"local"``.
    configuration, **keywords
        As for the cluster classes.

    Returns
    -------
    str
        The script; placeholders mark the places of the scheduler's address and the cluster's name. What only a cluster
        knows isn't in it: the network that it chooses, the unique ending of the job's name.

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
    exec ...python... -m distributed.cli.dask_worker 'tls://<insert-scheduler-address-here>:8786' --name "$name" ...
    """
    call = read_job(system, keywords, configuration)
    return render(call.spec, call.dialect, call.template_dirs)


def read_job(system: str, keywords: Mapping[str, object], configuration: str | Configuration | None = None) -> Call:
    """Read a call as :func:`job_script` does."""
    if system not in DIALECTS:
        raise InvalidRequest(unknown("batch system", system, DIALECTS))
    call = read_call(DIALECTS[system], keywords, configuration)
    call.warn()
    interface = call.value("interface") or None
    network = Network(interface, interface, "", read_ports(call.value("ports")))
    args = connection_args(call.value("protocol"), None, network) + port_args(call.spec, network)
    scheduler = call.spec.scheduler
    if call.value("protocol") is None and call.value("security", settings.encrypts()) is True:
        scheduler = scheduler.replace("tcp://", "tls://")
        directory = f"{settings.expand(str(settings.shared_directory()))}/clusters/<cluster>"
        for part, name in FILES.items():
            args += (f"--tls-{part.replace('_', '-')}", f"{directory}/{name}")
    spec = replace(call.spec, worker_name="dask-worker", scheduler=scheduler, worker_args=call.spec.worker_args + args)
    return replace(call, spec=spec)
