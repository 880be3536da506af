#!/usr/bin/env bash
#$ -N dask-worker
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -l h_vmem=954M
#$ -l h_rt=01:00:01

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 3450 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=30s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$(date +%s)
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 853MiB --preload "$handover" --preload-nanny "$handover" --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0
