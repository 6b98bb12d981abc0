#!/usr/bin/env bash
# Everything on one GPU: what it would cost, whether the model is understood, then the run. Stop it and start it again at will.
# Time and disk are the first thing it prints; experiments/gpu/README.md lists them for the shipped configurations.
#
#   experiments/gpu/one_gpu.sh experiments/configs/gpu/qwen3-8b-mmlu.yaml [--set KEY=VALUE …]
set -euo pipefail
config=${1:?give a configuration, such as experiments/configs/gpu/qwen3-8b-mmlu.yaml}
shift
model=$(python -c '
import sys; from pathlib import Path; from experiments.config.file import load_config
config = load_config(Path(sys.argv[1]), [s for k, s in zip(sys.argv[2:], sys.argv[3:]) if k == "--set"])
print(config.models[0])' "$config" "$@")
hintprobe plan "$config" "$@"
hintprobe check "$model"
hintprobe run "$config" "$@"
