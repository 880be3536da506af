#!/usr/bin/env bash
#JOB --name=dask-worker
#JOB --memory=4096M
#JOB --comment=mine

module load python
name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 3686MiB --nanny --death-timeout 60 --lifetime 55m
