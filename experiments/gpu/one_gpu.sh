#!/usr/bin/env bash
# Everything on one GPU: what it would cost, whether the model is understood, then the run. Stop it and start it again at will.
#
#   experiments/gpu/one_gpu.sh experiments/configs/gpu/qwen3-8b-mmlu.yaml [--set KEY=VALUE …]
set -euo pipefail
config=${1:?give a configuration, such as experiments/configs/gpu/qwen3-8b-mmlu.yaml}
shift
model=$(python -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["models"][0])' "$config")
hintprobe plan "$config" "$@"
hintprobe check "$model"
hintprobe run "$config" "$@"
