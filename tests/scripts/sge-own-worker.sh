#!/usr/bin/env bash
#$ -N dask-worker
#$ -S /bin/bash
#$ -cwd
#$ -j y
#$ -l h_vmem=1024M
#$ -l h_rt=00:30:00

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$(date +%s)
exec python -m my.cli "${MODE:-fast}" tcp://10.0.0.1:8786 --name "$name" --nthreads 3 --memory-limit 921MiB --death-timeout 60
