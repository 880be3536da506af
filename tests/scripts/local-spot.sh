#!/usr/bin/env bash
#JOB --name=dask-worker
#JOB --cores=2
#JOB --memory=15259M

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 13732MiB --nanny --death-timeout 60
