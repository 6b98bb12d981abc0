#!/usr/bin/env bash
# Generation on a vLLM server, which is several times faster than in process; then the server goes, and capture, patching and
# the rest have the GPU to themselves. vLLM pins another torch: give it an environment of its own and name its command in VLLM.
# Time and disk: `hintprobe plan CONFIG` (in process; a server with continuous batching takes a fraction of its `generate`).
#
#   VLLM=~/vllm/bin/vllm experiments/gpu/vllm_server.sh experiments/configs/gpu/qwen3-8b-mmlu.yaml [--set KEY=VALUE …]
#
# PORT (8000), CONCURRENCY (64 requests in flight), MAX_MODEL_LEN (prompt and completion: generate.max_new_tokens + 4096).
set -euo pipefail
config=${1:?give a configuration, such as experiments/configs/gpu/qwen3-8b-mmlu.yaml}
shift
port=${PORT:-8000}
read -r model longest < <(python -c '
import sys; from pathlib import Path; from experiments.config.file import load_config
config = load_config(Path(sys.argv[1]), [s for k, s in zip(sys.argv[2:], sys.argv[3:]) if k == "--set"])
print(config.models[0], config.generate.max_new_tokens + 4096)' "$config" "$@")
settings=(--set generate.engine=server --set "generate.server.base_url=http://127.0.0.1:$port/v1"
    --set "generate.server.model=$model" --set generate.server.concurrency="${CONCURRENCY:-64}" "$@")

# Without `--generation-config vllm` the server would take top_k, top_p and repetition penalties from the model's own
# generation_config.json, and sample from another distribution than the in-process engine does.
"${VLLM:-vllm}" serve "$model" --host 127.0.0.1 --port "$port" --generation-config vllm \
    --max-model-len "${MAX_MODEL_LEN:-$longest}" &
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
