#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l nodes=1:ppn=1,mem=1024mb
#PBS -l walltime=00:30:00

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --preload "$handover" --preload-nanny "$handover" --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0 &
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
rm -rf /scratch/mine
echo finished
exit "$status"
