#!/usr/bin/env bash
#PBS -N dask-head-production
#PBS -j oe
#PBS -o /home/me/.jobclusters/clusters/production/dask-head-production.out
#PBS -l nodes=1:ppn=1,mem=8192mb
#PBS -l walltime=00:30:00
#PBS -r n

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
