#!/usr/bin/env bash
#SBATCH --job-name=dask-worker
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=122071M
#SBATCH --time=0-00:30:00

name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 16 --memory-limit 109863MiB --nanny --death-timeout 60
