#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -A physics
#PBS -l select=1:ncpus=2:mem=4096mb
#PBS -l walltime=00:30:00
#PBS -m e

module load python
name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 3686MiB --nanny --death-timeout 60 --lifetime 55m
