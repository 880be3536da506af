#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 16
#BSUB -M 62500000
#BSUB -R "rusage[mem=61036] span[hosts=1]"
#BSUB -gpu "num=1:mode=exclusive_process"
#BSUB -W 00:30

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 16 --memory-limit 54931MiB --nanny --resources GPU=1 --death-timeout 60
