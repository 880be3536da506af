#!/usr/bin/env bash
#SBATCH --job-name=dask-head-production
#SBATCH --output=/home/me/.jobclusters/clusters/production/dask-head-production-%j.out
#SBATCH --error=/home/me/.jobclusters/clusters/production/dask-head-production-%j.err
#SBATCH --partition=services
#SBATCH --account=physics
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=15259M
#SBATCH --time=7-00:00:00
#SBATCH --no-requeue

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
