#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l select=1:ncpus=32:mem=232697mb:ngpus=4
#PBS -l walltime=00:30:00

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
exec "$(command -v apptainer || command -v singularity || echo apptainer)" exec --nv /images/rapids.sif python -c "$checked" dask cuda worker tcp://10.0.0.1:8786 --name "$name" --nthreads 8 --memory-limit 52356MiB --resources GPU=1 --death-timeout 60 --dashboard-address 127.0.0.1:0
