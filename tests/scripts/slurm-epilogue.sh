#!/usr/bin/env bash
#SBATCH --job-name=dask-worker
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1024M
#SBATCH --time=0-00:30:00

name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --nanny --death-timeout 60 &
workers=$!
trap 'kill -TERM $workers 2>/dev/null' TERM INT
status=0
for process in $workers; do
  # A signal that this shell forwards ends the first wait early.
  wait "$process" || wait "$process" || status=$?
done
rm -rf /scratch/mine
echo finished
exit "$status"
