#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l nodes=1:ppn=32:gpus=4,mem=232697mb
#PBS -l walltime=00:30:00

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 32 --memory-limit 209426MiB --nanny --resources GPU=4 --death-timeout 60
