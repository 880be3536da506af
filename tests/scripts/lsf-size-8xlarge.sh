#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 32
#BSUB -M 250000000
#BSUB -R "rusage[mem=244141] span[hosts=1]"
#BSUB -W 00:30

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 32 --memory-limit 219726MiB --nanny --death-timeout 60
