#!/usr/bin/env bash
#$ -N dask-worker
#$ -S /bin/bash
#$ -j y
#$ -P physics
#$ -pe smp 2
#$ -l h_vmem=2048M
#$ -l h_rt=00:30:00
#$ -M me@x.org

module load python
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
[ "${RESTARTED:-0}" = 0 ] || name=$name-r$(date +%s)
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 3686MiB --preload "$handover" --preload-nanny "$handover" --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0 --lifetime 55m
