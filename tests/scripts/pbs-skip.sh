#!/usr/bin/env bash
#PBS -j oe
#PBS -l select=1:ncpus=1:mem=1024mb

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --nanny --death-timeout 60
