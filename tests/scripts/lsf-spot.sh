#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o ./dask-worker-%J.out
#BSUB -q preemptable
#BSUB -n 2
#BSUB -M 15625000
#BSUB -R "rusage[mem=15259] span[hosts=1]"
#BSUB -W 00:30
#BSUB -r

name=dask-worker
[ -z "${LSB_RESTART:-}" ] || name=$name-r$(date +%s)
exec python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 13732MiB --nanny --death-timeout 60
