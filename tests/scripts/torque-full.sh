#!/bin/bash
#PBS -N my-job
#PBS -j oe
#PBS -o "/my logs/my-job.out"
#PBS -q normal
#PBS -A physics
#PBS -l nodes=1:ppn=2,mem=15259mb
#PBS -l walltime=36:00:00
#PBS -m e
#PBS -M me@here

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
exec apptainer exec 'my image.sif' python -c "$checked" distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 6866MiB --nworkers 2 --nanny --death-timeout 300 --local-directory "$TMPDIR/dask" --dashboard-address 127.0.0.1:0 --lifetime 55m --preload 'my module' --worker-class mine.Nanny --resources fast=1
