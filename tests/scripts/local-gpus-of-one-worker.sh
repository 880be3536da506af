#!/usr/bin/env bash
#JOB --name=dask-worker
#JOB --cores=32
#JOB --memory=232697M
#JOB --gpus=4

handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 32 --memory-limit 209426MiB --preload "$handover" --preload-nanny "$handover" --nanny --resources GPU=4 --death-timeout 60 --dashboard-address 127.0.0.1:0
