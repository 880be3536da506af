#!/usr/bin/env bash
#$ -N dask-worker
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -pe smp 32
#$ -l h_vmem=7272M
#$ -l gpu=4
#$ -l h_rt=00:30:00
#$ -notify

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$(date +%s)
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
# All processes get these, some more than once, and are to go on: this shell alone heeds them, and ends by them at last.
warned=
trap '' USR1 USR2
python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 32 --memory-limit 209426MiB --preload "$handover" --preload-nanny "$handover" --nanny --resources GPU=4 --death-timeout 60 --dashboard-address 127.0.0.1:0 &
workers=$!
trap '[ "$warned" ] || { warned=USR1; kill -TERM $workers 2>/dev/null; }' USR1
trap '[ "$warned" ] || { warned=USR2; kill -TERM $workers 2>/dev/null; }' USR2
status=0
for process in $workers; do
  wait "$process" && code=0 || code=$?
  # Each signal that this shell forwards ends a wait early.
  while kill -0 "$process" 2>/dev/null; do
    wait "$process" && code=0 || code=$?
  done
  [ "$code" = 0 ] || status=$code
done
[ -z "$warned" ] || { trap - "$warned" && kill -s "$warned" "$$"; }
exit "$status"
