#!/usr/bin/env bash
#$ -N dask-head-production
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -o /home/me/.jobclusters/clusters/production/
#$ -l h_vmem=8192M
#$ -l h_rt=00:30:00
#$ -r n

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
