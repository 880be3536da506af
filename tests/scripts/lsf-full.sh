#!/bin/bash
#BSUB -J my-job
#BSUB -o "/my logs/my-job-%J.out"
#BSUB -q normal
#BSUB -P physics
#BSUB -n 2
#BSUB -M 15625000
#BSUB -R "rusage[mem=15259] span[hosts=1]"
#BSUB -W 36:00
#BSUB -m e
#BSUB -M me@here

module load python
export OMP_NUM_THREADS=1
name=dask-worker
exec apptainer exec 'my image.sif' python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 6866MiB --nworkers 2 --nanny --death-timeout 300 --local-directory "$TMPDIR/dask" --lifetime 55m --preload 'my module' --worker-class mine.Nanny --resources fast=1
