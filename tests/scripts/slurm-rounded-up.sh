#!/usr/bin/env bash
#SBATCH --job-name=dask-worker
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=954M
#SBATCH --time=0-01:00:01

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 3450 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=30s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 853MiB --preload "$handover" --preload-nanny "$handover" --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0
