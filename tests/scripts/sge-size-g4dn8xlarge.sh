#!/usr/bin/env bash
#$ -N dask-worker
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -pe smp 32
#$ -l h_vmem=3815M
#$ -l gpu=1
#$ -l h_rt=00:30:00

name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$RESTARTED
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 32 --memory-limit 109863MiB --nanny --resources GPU=1 --death-timeout 60
