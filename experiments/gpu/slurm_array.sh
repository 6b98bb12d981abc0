#!/usr/bin/env bash
# Capture over many GPUs: each task of the array writes its share of the rollouts into the one store; the last job runs the rest.
# The cache must lie on a file system that all nodes see. Time and disk: `hintprobe plan CONFIG`; a task takes its share of `capture`,
# and the store all of the activations.
#
#   sbatch --gpus=1 --time=12:00:00 --wrap "hintprobe judge experiments/configs/gpu/qwen3-8b-mmlu.yaml"   # generates, then judges
#   sbatch --dependency=afterok:FIRST --array=0-7 experiments/gpu/slurm_array.sh experiments/configs/gpu/qwen3-8b-mmlu.yaml
#   sbatch --dependency=afterok:SECOND --gpus=1 --time=12:00:00 --wrap "hintprobe run experiments/configs/gpu/qwen3-8b-mmlu.yaml"
#
# To repeat some tasks of an array of eight only: SHARDS=8 sbatch --array=3,5 …
#SBATCH --job-name=hintprobe-capture
#SBATCH --output=%x-%A_%a.log
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=02:00:00
set -euo pipefail
config=${1:?give a configuration, such as experiments/configs/gpu/qwen3-8b-mmlu.yaml}
shift
shards=${SHARDS:-$SLURM_ARRAY_TASK_COUNT}
if [ "$SLURM_ARRAY_TASK_ID" -ge "$shards" ]; then
    echo "task $SLURM_ARRAY_TASK_ID of $shards: number the array from 0 without gaps, or say in SHARDS how many parts there are" >&2
    exit 2
fi
hintprobe capture "$config" --shard "$SLURM_ARRAY_TASK_ID/$shards" "$@"
