#!/usr/bin/env bash
#OAR -n dask-worker
#OAR -l /nodes=1/core=2,walltime=00:30:00
#OAR -p memcore>=7630
#OAR -q besteffort
#OAR --checkpoint 30
#OAR --signal 12
#OAR -t idempotent

began=$(date +%s)
# Workers import modules from there: Dask would also take a directory that another user has made.
scratch=${TMPDIR:-/tmp}/dask-scratch-space-$(id -u)
mkdir -m 700 "$scratch" 2>/dev/null || { [ ! -L "$scratch" ] && [ -O "$scratch" ] && chmod 700 "$scratch"; } ||
  scratch=$(mktemp -d "$scratch-XXXXXX")
export DASK_TEMPORARY_DIRECTORY="${DASK_TEMPORARY_DIRECTORY:-$scratch}"
# Python runs this, and then the worker: both, and the worker's processes, look into the working directory last.
start='
import gc, sys
gc.disable()  # nothing of what is imported is garbage: to look for some, now and at the end, takes a fifth of the time of imports
sys.path.sort(key=lambda entry: entry == "")
from multiprocessing import util
flags = getattr(util, "_args_from_interpreter_flags", list)
# Python 3.10 has only -I for that, which would also ignore the seed of hashes, and so the workers disagree.
last = ["-P"] if sys.version_info >= (3, 11) else ["-c", "import sys; sys.path.remove(str()); del sys.argv[1]; exec(sys.argv.pop(1))"]
util._args_from_interpreter_flags = lambda: flags() + last
try: import jobclusters.forkserver
except ImportError:
    preload = sys.argv.index("jobclusters.preload") - 1
    del sys.argv[preload : preload + 4]
gc.freeze()
gc.enable()
if "jobclusters.forkserver" in sys.modules: jobclusters.forkserver.start()
import runpy
del sys.argv[:3]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
'
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
name=dask-worker
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
# All processes get these, some more than once, and are to go on: this shell alone heeds them, and ends by them at last.
warned=
trap '' USR2
MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_-65536}" MKL_NUM_THREADS="${MKL_NUM_THREADS-1}" OMP_NUM_THREADS="${OMP_NUM_THREADS-1}" OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS-1}" PYTHONHASHSEED=6640 \
python -c "$start" python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 13732MiB --preload jobclusters.preload --preload-nanny jobclusters.preload --nanny --death-timeout 60 --no-dashboard --dashboard-address 127.0.0.1:0 &
workers=$!
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
