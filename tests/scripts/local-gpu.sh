#!/usr/bin/env bash
#JOB --name=dask-worker
#JOB --cores=8
#JOB --memory=58175M
#JOB --gpus=1

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 8 --memory-limit 52356MiB --nanny --resources GPU=1 --death-timeout 60
