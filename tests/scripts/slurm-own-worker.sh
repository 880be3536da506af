#!/usr/bin/env bash
#SBATCH --job-name=dask-worker
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1024M
#SBATCH --time=0-00:30:00

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
exec python -m my.cli "${MODE:-fast}" tcp://10.0.0.1:8786 --name "$name" --nthreads 3 --memory-limit 921MiB --death-timeout 60
