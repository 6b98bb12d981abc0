#!/usr/bin/env bash
# Generation on a vLLM server, which is several times faster than in process; then the server goes, and capture, patching and
# the rest have the GPU to themselves. vLLM pins another torch: give it an environment of its own and name its command in VLLM.
#
#   VLLM=~/vllm/bin/vllm experiments/gpu/vllm_server.sh experiments/configs/gpu/qwen3-8b-mmlu.yaml [--set KEY=VALUE …]
set -euo pipefail
config=${1:?give a configuration, such as experiments/configs/gpu/qwen3-8b-mmlu.yaml}
shift
port=${PORT:-8000}
model=$(python -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["models"][0])' "$config")
settings=(--set generate.engine=server --set "generate.server.base_url=http://127.0.0.1:$port/v1"
    --set "generate.server.model=$model" --set generate.server.concurrency="${CONCURRENCY:-64}" "$@")

"${VLLM:-vllm}" serve "$model" --host 127.0.0.1 --port "$port" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/v1/models"; do
    kill -0 "$server" || { echo "the server did not start" >&2; exit 1; }
    sleep 2
done

hintprobe generate "$config" "${settings[@]}"
kill "$server" && wait "$server" || true
trap - EXIT
hintprobe run "$config" "${settings[@]}"
