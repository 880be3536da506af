#!/bin/bash
#SBATCH --job-name="my job"
#SBATCH --output="/my logs/my job-%j.out"
#SBATCH --error="/my logs/my job-%j.err"
#SBATCH --partition=normal
#SBATCH --account=physics
#SBATCH --qos=low
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=20G
#SBATCH --time=1-12:00:00
#SBATCH --exclusive
#SBATCH --mail-type=END

module load python
export OMP_NUM_THREADS=1
name=dask-worker
name=$name${SLURM_RESTART_COUNT:+-r$SLURM_RESTART_COUNT}
exec apptainer exec 'my image.sif' python -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 2 --memory-limit 6866MiB --nworkers 2 --nanny --death-timeout 300 --local-directory "$TMPDIR/dask" --lifetime 55m --preload 'my module' --worker-class mine.Nanny --resources fast=1
