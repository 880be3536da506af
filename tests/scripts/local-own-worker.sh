#!/usr/bin/env bash
#JOB --name=dask-worker
#JOB --cores=1
#JOB --memory=1024M

name=dask-worker
exec python -m my.cli "${MODE:-fast}" tcp://10.0.0.1:8786 --name "$name" --nthreads 3 --memory-limit 921MiB --death-timeout 60
