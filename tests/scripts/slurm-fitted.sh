#!/usr/bin/env bash
#SBATCH --job-name=dask-worker
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=6
#SBATCH --mem=20480M
#SBATCH --gpus-per-node=2
#SBATCH --time=0-00:30:00

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
gpus=${CUDA_VISIBLE_DEVICES:-0,1}
number=0
for gpu in $(echo "$gpus" | tr ',' ' '); do
  CUDA_VISIBLE_DEVICES=$gpu python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name-$number" --nthreads 3 --memory-limit 9216MiB --preload "$handover" --preload-nanny "$handover" --nanny --resources GPU=1 --death-timeout 60 --dashboard-address 127.0.0.1:0 &
  workers="$workers $!"
  number=$((number + 1))
done
status=0
for process in $workers; do
  wait "$process" && code=0 || code=$?
  # Each signal that this shell forwards ends a wait early.
  while kill -0 "$process" 2>/dev/null; do
    wait "$process" && code=0 || code=$?
  done
  [ "$code" = 0 ] || status=$code
done
exit "$status"
