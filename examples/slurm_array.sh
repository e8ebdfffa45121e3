#!/usr/bin/env bash
# A zoo as a Slurm array: every task takes its share of the models, all write to one folder.
#
#   sbatch --array=0-7 examples/slurm_array.sh MODELS OUT [flags of snapprune zoo]
#
# Started again, the array goes on from where it was: what is finished is skipped. A node that fails costs its share; start the
# array once more for it. For GPUs add --gres=gpu:1 and pass --gpu 0.
#SBATCH --job-name=snapprune
#SBATCH --cpus-per-task=2
#SBATCH --exclusive
#SBATCH --requeue
set -uo pipefail

models=${1:?usage: sbatch --array=0-N slurm_array.sh MODELS OUT [flags]}
out=${2:?usage: sbatch --array=0-N slurm_array.sh MODELS OUT [flags]}
shift 2

# The share comes from SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT. srun passes a signal on, so that a task that is being
# cancelled stops between two measurements and keeps what it has.
srun snapprune zoo "$models" --out "$out" --shard auto --quiet "$@"
status=$?

# 0: all faster, 1: some stay as they are. 3, 6: models that another try does not help. 4, 5, 7 and 8 may be worth one.
case $status in
    0 | 1) exit 0 ;;
    3 | 6) echo "some models failed; see $out/zoo.html" >&2; exit 0 ;;
    *) exit "$status" ;;
esac
