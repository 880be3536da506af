#!/usr/bin/env bash
#JOB --name=dask-worker
#JOB --cores=8
#JOB --memory=58175M
#JOB --gpus=1

handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 8 --memory-limit 52356MiB --preload "$handover" --preload-nanny "$handover" --nanny --resources GPU=1 --death-timeout 60 --dashboard-address 127.0.0.1:0
