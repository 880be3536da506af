#!/usr/bin/env bash
#SBATCH --job-name=dask-worker
#SBATCH --partition=normal
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=24
#SBATCH --mem=122071M
#SBATCH --time=0-02:00:00
#SBATCH --constraint=haswell

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 6950 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=50s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 4 --memory-limit 18310MiB --preload "$handover" --preload-nanny "$handover" --nworkers 6 --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0
