#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l select=1:ncpus=16:mem=122071mb
#PBS -l walltime=00:30:00

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 16 --memory-limit 109863MiB --nanny --death-timeout 60
