#!/bin/bash
#$ -N my-job
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -o "/my logs/"
#$ -q normal
#$ -P physics
#$ -pe smp 2
#$ -l h_vmem=7630M
#$ -l h_rt=36:00:00
#$ -notify
#$ -M me@x.org

module load python
export OMP_NUM_THREADS=1
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
name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$(date +%s)
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
# All processes get these, some more than once, and are to go on: this shell alone heeds them, and ends by them at last.
warned=
trap '' USR1 USR2
apptainer exec 'my image.sif' python -c "$checked" distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 6866MiB --nworkers 2 --nanny --death-timeout 300 --local-directory "$TMPDIR/dask" --dashboard-address 127.0.0.1:0 --lifetime 55m --preload 'my module' --worker-class mine.Nanny --resources fast=1 &
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
