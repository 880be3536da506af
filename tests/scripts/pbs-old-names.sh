#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -A physics
#PBS -l select=1:ncpus=2:mem=4096mb
#PBS -l walltime=00:30:00
#PBS -m e

module load python
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 3686MiB --preload "$handover" --preload-nanny "$handover" --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0 --lifetime 55m
