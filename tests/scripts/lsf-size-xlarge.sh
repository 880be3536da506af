#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 4
#BSUB -M 31250000
#BSUB -R "rusage[mem=30518] span[hosts=1]"
#BSUB -W 00:30

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 4 --memory-limit 27465MiB --nanny --death-timeout 60
