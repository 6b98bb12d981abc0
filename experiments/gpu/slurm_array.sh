#!/usr/bin/env bash
# Capture over many GPUs: each task of the array writes its share of the rollouts into the one store; the last job runs the rest.
# Generate first (one_gpu.sh, stopped after that stage, or vllm_server.sh). The cache must lie on a file system that all nodes see.
#
#   sbatch --array=0-7 experiments/gpu/slurm_array.sh experiments/configs/gpu/qwen3-8b-mmlu.yaml
#   sbatch --dependency=afterok:JOB --gpus=1 --wrap "hintprobe run experiments/configs/gpu/qwen3-8b-mmlu.yaml"
#SBATCH --job-name=hintprobe-capture
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=02:00:00
set -euo pipefail
config=${1:?give a configuration, such as experiments/configs/gpu/qwen3-8b-mmlu.yaml}
shift
hintprobe capture "$config" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "$@"
