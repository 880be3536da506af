#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 8
#BSUB -M 59570313
#BSUB -R "rusage[mem=58175] span[hosts=1]"
#BSUB -gpu "num=1:mode=exclusive_process"
#BSUB -W 00:30

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
[ -z "${LSB_RESTART:-}" ] || name=$name-r$(date +%s)
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 8 --memory-limit 52356MiB --preload "$handover" --preload-nanny "$handover" --nanny --resources GPU=1 --death-timeout 60 --dashboard-address 127.0.0.1:0
