#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -n 1
#BSUB -M 976563
#BSUB -R "rusage[mem=954] span[hosts=1]"
#BSUB -W 01:01

name=dask-worker
[ -z "${LSB_RESTART:-}" ] || name=$name-r$(date +%s)
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 853MiB --nanny --death-timeout 60
