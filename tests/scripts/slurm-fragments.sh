#!/usr/bin/env bash
#SBATCH --job-name=dask-worker
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1024M
#SBATCH --time=0-00:30:00

began=$(date +%s)
# Python runs this first, and then the worker.
checked='
import logging, platform, runpy, sys
import distributed
here, there = (platform.python_version(), distributed.__version__), ("3.12.1", "2026.8.0")
same = here[0].split(".")[:2] == there[0].split(".")[:2] and here[1] == there[1]
logging.getLogger("distributed.worker").log(
    20 if same else 30,
    "Python %s and distributed %s here, Python %s and distributed %s at the scheduler: %s",
    *here, *there, "they match" if same else "tasks may fail, so give both the same software",
)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
'
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
exec env OMP_NUM_THREADS=1 "$(command -v python)" -c "$checked" distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --nanny --death-timeout 60 --local-directory "${TMPDIR:-/tmp}/my dask" --dashboard-address 127.0.0.1:0 "--contact-address=tcp://$(hostname -i)" --preload "$HOME/mine.py"
