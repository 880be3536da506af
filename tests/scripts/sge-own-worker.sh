#!/usr/bin/env bash
#$ -N dask-worker
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -l h_vmem=1024M
#$ -l h_rt=00:30:00
#$ -notify

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$(date +%s)
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
# All processes get these, some more than once, and are to go on: this shell alone heeds them, and ends by them at last.
warned=
trap '' USR1 USR2
python -m my.cli "${MODE:-fast}" tcp://10.0.0.1:8786 --name "$name" --nthreads 3 --memory-limit 921MiB --death-timeout 60 &
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
