#!/usr/bin/env bash
#BSUB -J dask-head-production
#BSUB -o /home/me/.jobclusters/clusters/production/dask-head-production-%J.out
#BSUB -n 1
#BSUB -M 8388608
#BSUB -R "rusage[mem=8192] span[hosts=1]"
#BSUB -W 00:30
#BSUB -rn

workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
python -m jobclusters.head /home/me/.jobclusters/clusters/production run0 &
workers=$!
status=0
for process in $workers; do
  wait "$process" && code=0 || code=$?
  # Each signal that this shell forwards ends a wait early.
  while kill -0 "$process" 2>/dev/null; do
    wait "$process" && code=0 || code=$?
  done
  [ "$code" = 0 ] || status=$code
done
python -m jobclusters.head --sweep /home/me/.jobclusters/clusters/production run0
exit "$status"
