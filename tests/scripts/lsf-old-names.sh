#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -P physics
#BSUB -n 4
#BSUB -M 4194304
#BSUB -R "rusage[mem=4096] span[hosts=1]"
#BSUB -N

module load python
handover='from contextlib import suppress
with suppress(ImportError): from jobclusters.handover import dask_setup, dask_teardown'
name=dask-worker
[ -z "${LSB_RESTART:-}" ] || name=$name-r$(date +%s)
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 3686MiB --preload "$handover" --preload-nanny "$handover" --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0 --lifetime 55m
