#!/usr/bin/env bash
#OAR -n dask-head-production
#OAR -l /nodes=1/core=1,walltime=00:30:00
#OAR -p memcore>=8192
#OAR -O /home/me/.jobclusters/clusters/production/dask-head-production-%jobid%.out
#OAR -E /home/me/.jobclusters/clusters/production/dask-head-production-%jobid%.err
#OAR --checkpoint 30
#OAR --signal 12

workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
# All processes get these, some more than once, and are to go on: this shell alone heeds them, and ends by them at last.
warned=
trap '' USR2
python -c 'import gc, sys; gc.disable(); sys.path[:] = [*filter(None, sys.path), "/opt/python"]; del sys.argv[:2]; import runpy; runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)' -m jobclusters.head /home/me/.jobclusters/clusters/production run0 digest0 &
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
python -c 'import gc, sys; gc.disable(); sys.path[:] = [*filter(None, sys.path), "/opt/python"]; del sys.argv[:2]; import runpy; runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)' -m jobclusters.head --sweep /home/me/.jobclusters/clusters/production run0
[ -z "$warned" ] || { trap - "$warned" && kill -s "$warned" "$$"; }
exit "$status"
