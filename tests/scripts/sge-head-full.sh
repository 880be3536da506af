#!/usr/bin/env bash
#$ -N dask-head-production
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -o /home/me/.jobclusters/clusters/production/
#$ -q services
#$ -P physics
#$ -pe smp 2
#$ -l h_vmem=7630M
#$ -l h_rt=168:00:00
#$ -notify
#$ -r n

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
# All processes get these, some more than once, and are to go on: this shell alone heeds them, and ends by them at last.
warned=
trap '' USR1 USR2
python -c 'import gc, sys; gc.disable(); sys.path[:] = [*filter(None, sys.path), "/opt/python"]; del sys.argv[:2]; import runpy; runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)' -m jobclusters.head /home/me/.jobclusters/clusters/production run0 digest0 &
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
python -c 'import gc, sys; gc.disable(); sys.path[:] = [*filter(None, sys.path), "/opt/python"]; del sys.argv[:2]; import runpy; runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)' -m jobclusters.head --sweep /home/me/.jobclusters/clusters/production run0
[ -z "$warned" ] || { trap - "$warned" && kill -s "$warned" "$$"; }
exit "$status"
