#!/usr/bin/env bash
#BSUB -n 1
#BSUB -M 1048576
#BSUB -W 00:30
#BSUB -J "dask-worker[1-2]"

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker-$((LSB_JOBINDEX + -1))
[ -z "${LSB_RESTART:-}" ] || name=$name-r$(date +%s)
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --preload "$handover" --preload-nanny "$handover" --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0
