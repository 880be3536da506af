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
name=dask-worker
exec apptainer exec 'my image.sif' python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 6866MiB --nworkers 2 --nanny --death-timeout 300 --local-directory "$TMPDIR/dask" --lifetime 55m --preload 'my module' --worker-class mine.Nanny --resources fast=1
