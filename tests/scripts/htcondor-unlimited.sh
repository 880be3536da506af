#!/usr/bin/env bash
#CONDOR batch_name = dask-worker
#CONDOR MY.JobclustersName = "dask-worker"
#CONDOR description = dask-worker
#CONDOR request_cpus = 1
#CONDOR request_memory = 1024MB
#CONDOR copy_to_spool = True
#CONDOR should_transfer_files = YES
#CONDOR transfer_output_files = ""
#CONDOR output = ./dask-worker-$(ClusterId).$(ProcId).out
#CONDOR error = ./dask-worker-$(ClusterId).$(ProcId).err
#CONDOR stream_output = True
#CONDOR stream_error = True
#CONDOR getenv = HOME, LOGNAME, PATH, USER
#CONDOR job_lease_duration = 60
#CONDOR job_max_vacate_time = 30
#CONDOR leave_in_queue = JobStatus == 4 && time() - CompletionDate < 300

cd "${JOBCLUSTERS_SUBMIT_DIRECTORY:-.}" 2>/dev/null || :
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
name=dask-worker
[ "${JOBCLUSTERS_STARTS:-0}" = 0 ] || name=$name-r$JOBCLUSTERS_STARTS
MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_-65536}" MKL_NUM_THREADS="${MKL_NUM_THREADS-1}" OMP_NUM_THREADS="${OMP_NUM_THREADS-1}" OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS-1}" PYTHONHASHSEED=6640 \
exec python -c "$start" python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --preload jobclusters.preload --preload-nanny jobclusters.preload --nanny --death-timeout 60 --no-dashboard --dashboard-address 127.0.0.1:0
