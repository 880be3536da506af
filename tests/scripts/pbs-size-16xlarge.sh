#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l select=1:ncpus=64:mem=488282mb
#PBS -l walltime=00:30:00

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 64 --memory-limit 439453MiB --nanny --death-timeout 60
