#!/usr/bin/env bash
#JOB --name=dask-worker
#JOB --cores=32
#JOB --memory=232697M
#JOB --gpus=4

name=dask-worker
gpus=${CUDA_VISIBLE_DEVICES:-0,1,2,3}
workers=
trap 'kill -TERM $workers 2>/dev/null' TERM INT
number=0
for gpu in $(echo "$gpus" | tr ',' ' '); do
  CUDA_VISIBLE_DEVICES=$gpu python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name-$number" --nthreads 8 --memory-limit 52356MiB --nanny --resources GPU=1 --death-timeout 60 &
  workers="$workers $!"
  number=$((number + 1))
done
status=0
for process in $workers; do
  # A signal that this shell forwards ends the first wait early.
  wait "$process" || wait "$process" || status=$?
done
exit "$status"
