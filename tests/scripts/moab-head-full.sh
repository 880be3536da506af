#!/usr/bin/env bash
#PBS -N dask-head-production
#PBS -j oe
#PBS -o /home/me/.jobclusters/clusters/production/dask-head-production.out
#PBS -q services
#PBS -A physics
#PBS -l select=1:ncpus=2:mem=15259mb
#PBS -l walltime=168:00:00
#PBS -r n

cd "${PBS_O_INITDIR:-${PBS_O_WORKDIR:-.}}" || echo "working in $PWD" >&2
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
