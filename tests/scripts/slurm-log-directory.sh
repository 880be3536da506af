#!/usr/bin/env bash
#SBATCH --job-name=dask-worker
#SBATCH --output="/my logs/dask-worker-%j.out"
#SBATCH --error="/my logs/dask-worker-%j.err"
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1024M
#SBATCH --time=0-00:30:00

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --preload "$handover" --preload-nanny "$handover" --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0
