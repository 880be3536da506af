#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 16
#BSUB -M 125000000
#BSUB -R "rusage[mem=122071] span[hosts=1]"
#BSUB -W 00:30

name=dask-worker
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 16 --memory-limit 109863MiB --nanny --death-timeout 60
