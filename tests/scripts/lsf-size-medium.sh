#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 2
#BSUB -M 3906250
#BSUB -R "rusage[mem=3815] span[hosts=1]"
#BSUB -W 00:30

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 3433MiB --nanny --death-timeout 60
