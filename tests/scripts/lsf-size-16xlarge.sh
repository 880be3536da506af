#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 64
#BSUB -M 500000000
#BSUB -R "rusage[mem=488282] span[hosts=1]"
#BSUB -W 00:30

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 64 --memory-limit 439453MiB --nanny --death-timeout 60
