#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l select=1:ncpus=8:mem=58175mb:ngpus=1
#PBS -l walltime=00:30:00

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 8 --memory-limit 52356MiB --nanny --resources GPU=1 --death-timeout 60
