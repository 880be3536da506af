#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 1
#BSUB -M 1048576
#BSUB -R "rusage[mem=1024] span[hosts=1]"
#BSUB -W 00:30

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
name=dask-worker
[ -z "${LSB_RESTART:-}" ] || name=$name-r$(date +%s)
exec python -m my.cli "${MODE:-fast}" tcp://10.0.0.1:8786 --name "$name" --nthreads 3 --memory-limit 921MiB --death-timeout 60
