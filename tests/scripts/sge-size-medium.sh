#!/usr/bin/env bash
#$ -N dask-worker
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -pe smp 2
#$ -l h_vmem=1908M
#$ -l h_rt=00:30:00

name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$RESTARTED
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 3433MiB --nanny --death-timeout 60
