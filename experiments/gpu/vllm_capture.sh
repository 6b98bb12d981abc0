#!/usr/bin/env bash
# Activations from a vLLM server that extracts hidden states: first the proof that its numbers are the native backend's, then the
# capture stage with it. vLLM (0.18 or later) pins another torch: give it an environment of its own and name its command in VLLM.
# The model's weights are loaded here too (configuration, check, and the stages after), so let the two share the card: GPU_SHARE.
#
#   VLLM=~/vllm/bin/vllm experiments/gpu/vllm_capture.sh experiments/configs/gpu/qwen3-8b-mmlu.yaml [--set KEY=VALUE …]
#
# PORT (8000), CONCURRENCY (16 requests in flight), GPU_SHARE (0.45), SERVE (further words for `vllm serve`, such as
# "--tensor-parallel-size 4"), STATES (a folder that server and client both see; in memory: a 1,000-token row of an 8B model
# takes 300 MB for the moment between writing and reading).
set -euo pipefail
config=${1:?give a configuration, such as experiments/configs/gpu/qwen3-8b-mmlu.yaml}
shift
port=${PORT:-8000}
states=${STATES:-/dev/shm/hintprobe-states-$$}
url="http://127.0.0.1:$port/v1"
mapfile -t found < <(python -c '
import sys; from pathlib import Path; from transformers import AutoConfig
from activations.backends.vllm_files import server_arguments
from experiments.config.file import load_config
from experiments.run.known_models import resolve_model
config = load_config(Path(sys.argv[1]), [s for k, s in zip(sys.argv[3:], sys.argv[4:]) if k == "--set"])
source = resolve_model(config.models[0])
layers = AutoConfig.from_pretrained(source).get_text_config().num_hidden_layers
print(config.models[0], *server_arguments(layers, Path(sys.argv[2])), sep="\n")' "$config" "$states" "$@")
model=${found[0]}
settings=(--set capture.backend=vllm --set "capture.server.base_url=$url" --set "capture.server.model=$model"
    --set capture.server.concurrency="${CONCURRENCY:-16}" "$@")

mkdir -p "$states"
read -r -a more <<< "${SERVE:-}"
"${VLLM:-vllm}" serve "$model" --host 127.0.0.1 --port "$port" --dtype bfloat16 --gpu-memory-utilization "${GPU_SHARE:-0.45}" \
    "${found[@]:1}" "${more[@]}" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$states"' EXIT
until curl --silent --fail --output /dev/null "$url/models"; do
    kill -0 "$server" || { echo "the server did not start" >&2; exit 1; }
    sleep 2
done

hintprobe check "$model" --backend vllm --base-url "$url" --dtype bfloat16
hintprobe capture "$config" "${settings[@]}"
