#!/usr/bin/env bash
# One stage over many GPUs: each task of the array does its part of the rows, and the last one to end joins them.
# The cache must lie on a file system that all nodes see. Time and disk: `hintprobe plan CONFIG`; docs/scaling.md has a worked plan.
#
#   config=experiments/configs/gpu/qwen3-8b-mmlu.yaml
#   after=
#   for stage in generate judge capture; do
#       job=$(sbatch --parsable $after --array=0-63 --export=ALL,STAGE=$stage experiments/gpu/slurm_array.sh $config)
#       job=$(sbatch --parsable --dependency=afterany:$job --wrap "hintprobe join $config")   # says which parts are missing
#       after="--dependency=afterok:$job"
#   done
#   probe=$(sbatch --parsable $after --gpus=1 --time=12:00:00 --wrap "hintprobe probe $config")
#   sbatch --dependency=afterok:$probe --array=0-7 --export=ALL,STAGE=patch experiments/gpu/slurm_array.sh $config
#   and when that is joined: hintprobe run $config
#
# To repeat some tasks of an array of eight only: PARTS=8 sbatch --array=3,5 …
#SBATCH --job-name=hintprobe
#SBATCH --output=%x-%A_%a.log
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=02:00:00
set -euo pipefail
config=${1:?give a configuration, such as experiments/configs/gpu/qwen3-8b-mmlu.yaml}
shift
parts=${PARTS:-$SLURM_ARRAY_TASK_COUNT}
if [ "$SLURM_ARRAY_TASK_ID" -ge "$parts" ]; then
    echo "task $SLURM_ARRAY_TASK_ID of $parts: number the array from 0 without gaps, or say in PARTS how many parts there are" >&2
    exit 2
fi
hintprobe "${STAGE:-capture}" "$config" --part "$SLURM_ARRAY_TASK_ID/$parts" "$@"
