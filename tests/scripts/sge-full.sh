#!/bin/bash
#$ -N my.job
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -o "/my logs/"
#$ -q normal
#$ -P physics
#$ -pe smp 2
#$ -l h_vmem=7630M
#$ -l h_rt=36:00:00
#$ -M me@x.org

module load python
export OMP_NUM_THREADS=1
name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$RESTARTED
exec apptainer exec 'my image.sif' python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 6866MiB --nworkers 2 --nanny --death-timeout 300 --local-directory "$TMPDIR/dask" --lifetime 55m --preload 'my module' --worker-class mine.Nanny --resources fast=1
