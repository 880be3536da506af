#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l nodes=1:ppn=1,mem=1024mb
#PBS -l walltime=00:30:00

began=$(date +%s)
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
name=dask-worker
exec python -m my.cli "${MODE:-fast}" tcp://10.0.0.1:8786 --name "$name" --nthreads 3 --memory-limit 921MiB --death-timeout 60
