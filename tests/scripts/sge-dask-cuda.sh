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
# Python runs this first, and then the worker.
checked='
import logging, platform, runpy, sys
import distributed
here, there = (platform.python_version(), distributed.__version__), ("3.12.1", "2026.8.0")
same = here[0].split(".")[:2] == there[0].split(".")[:2] and here[1] == there[1]
logging.getLogger("distributed.worker").log(
    20 if same else 30,
    "Python %s and distributed %s here, Python %s and distributed %s at the scheduler: %s",
    *here, *there, "they match" if same else "tasks may fail, so give both the same software",
)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
'
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
# dask-cuda would take all of the node's.
export CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0,1,2,3}
name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$(date +%s)
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
# All processes get these, some more than once, and are to go on: this shell alone heeds them, and ends by them at last.
warned=
trap '' USR1 USR2
"$(command -v apptainer || command -v singularity || echo apptainer)" exec --nv /images/rapids.sif python -c "$checked" dask cuda worker tcp://10.0.0.1:8786 --name "$name" --nthreads 8 --memory-limit 52356MiB --resources GPU=1 --death-timeout 60 --dashboard-address 127.0.0.1:0 &
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
