#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 48
#BSUB -M 375000000
#BSUB -R "rusage[mem=366211] span[hosts=1]"
#BSUB -W 00:30

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 48 --memory-limit 329589MiB --nanny --death-timeout 60
