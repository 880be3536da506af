#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l nodes=1:ppn=1,mem=1024mb
#PBS -l walltime=00:30:00

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --no-nanny --death-timeout 60
