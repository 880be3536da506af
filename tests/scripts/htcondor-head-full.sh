#!/usr/bin/env bash
#CONDOR batch_name = dask-head-production
#CONDOR MY.JobclustersName = "dask-head-production"
#CONDOR description = dask-head-production
#CONDOR accounting_group = physics
#CONDOR request_cpus = 2
#CONDOR request_memory = 15259MB
#CONDOR copy_to_spool = True
#CONDOR should_transfer_files = YES
#CONDOR transfer_output_files = ""
#CONDOR output = /home/me/.jobclusters/clusters/production/dask-head-production-$(ClusterId).$(ProcId).out
#CONDOR error = /home/me/.jobclusters/clusters/production/dask-head-production-$(ClusterId).$(ProcId).err
#CONDOR stream_output = True
#CONDOR stream_error = True
#CONDOR getenv = HOME, LOGNAME, PATH, USER
#CONDOR job_lease_duration = 60
#CONDOR job_max_vacate_time = 30
#CONDOR leave_in_queue = JobStatus == 4 && time() - CompletionDate < 300
#CONDOR periodic_remove = JobStatus == 2 && time() - EnteredCurrentStatus > 604800
#CONDOR periodic_remove = JobStatus == 1 && NumShadowStarts > 0

cd "${JOBCLUSTERS_SUBMIT_DIRECTORY:-.}" 2>/dev/null || :
# HTCondor runs a job again that it has evicted, unless it has removed it by then.
[ "${JOBCLUSTERS_STARTS:-0}" = 0 ] || exit
export SITE=1
# Not every shell of a job knows it.
if ! command -v module >/dev/null 2>&1; then
  for init in "${LMOD_PKG-}/init/sh" "${MODULESHOME-}/init/sh" /etc/profile.d/modules.sh /etc/profile.d/*lmod.sh; do
    if [ -r "$init" ]; then . "$init"; break; fi
  done
fi
module load gcc/12 || exit
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
python -c 'import gc, sys; gc.disable(); sys.path[:] = [*filter(None, sys.path), "/opt/python"]; del sys.argv[:2]; import runpy; runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)' -m jobclusters.head /home/me/.jobclusters/clusters/production run0 digest0 &
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
python -c 'import gc, sys; gc.disable(); sys.path[:] = [*filter(None, sys.path), "/opt/python"]; del sys.argv[:2]; import runpy; runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)' -m jobclusters.head --sweep /home/me/.jobclusters/clusters/production run0
exit "$status"
