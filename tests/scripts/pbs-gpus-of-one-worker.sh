#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l select=1:ncpus=32:mem=232697mb:ngpus=4
#PBS -l walltime=00:30:00

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 32 --memory-limit 209426MiB --nanny --resources GPU=4 --death-timeout 60
