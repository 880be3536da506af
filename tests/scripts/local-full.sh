#!/bin/bash
#JOB --name="my job"
#JOB --output="/my logs/my job-%j.out"
#JOB --cores=2
#JOB --memory=15259M
#JOB --time=36:00:00
#JOB --exclusive
#JOB --mail-type=END

module load python
export OMP_NUM_THREADS=1
name=dask-worker
exec apptainer exec 'my image.sif' python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 6866MiB --nworkers 2 --nanny --death-timeout 300 --local-directory "$TMPDIR/dask" --lifetime 55m --preload 'my module' --worker-class mine.Nanny --resources fast=1
