"""A small stand-in for a vLLM server with the connector for hidden states, on loopback, over a model of this process.

It writes what the connector writes: ``REQUEST.safetensors`` with ``hidden_states`` ``[token, layer, width]`` and
``token_ids``, in the background, while it holds an exclusive lock on ``REQUEST.safetensors.lock``.
"""

import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from activations import LoadedModel, Site, visiting
from activations.sites import decoder_blocks

Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def states_of(loaded: LoadedModel, ids: list[int]) -> torch.Tensor:
    """What enters each block and what leaves the last one: ``[token, layer, width]``."""
    n = len(decoder_blocks(loaded.model))
    found: dict[int, torch.Tensor] = {}
    sites = {Site(k, "resid_pre"): k for k in range(n)} | {Site(n - 1, "resid_post"): n}
    visitors = {site: lambda x, k=k: found.update({k: x.detach().clone()}) for site, k in sites.items()}
    with torch.no_grad(), visiting(loaded.model, visitors):
        loaded.model(input_ids=torch.tensor([ids]))
    return torch.stack([found[k][0] for k in range(n + 1)], dim=1)


@contextmanager
def fake_vllm(
    loaded: LoadedModel, folder: Path, change: Change = lambda tensors: tensors, version: str = "0.22.0"
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve while the context lasts; gives the address and the requests that were seen."""
    seen: list[dict[str, Any]] = []
    one = threading.Lock()
    folder.mkdir(exist_ok=True)

    def write(path: Path, tensors: dict[str, torch.Tensor], lock: int) -> None:
        time.sleep(0.02)
        save_file(tensors, path)
        os.close(lock)

    class Handler(BaseHTTPRequestHandler):
        def _reply(self, body: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self._reply({"version": version})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            if body["model"] != loaded.name:
                self._reply({"error": {"message": f"The model `{body['model']}` does not exist."}}, 404)
                return
            with one:
                states = states_of(loaded, body["prompt"])
            tensors = change({"hidden_states": states.contiguous(), "token_ids": torch.tensor(body["prompt"])})
            path = folder / f"cmpl-{uuid.uuid4().hex}.safetensors"
            lock = os.open(f"{path}.lock", os.O_CREAT | os.O_WRONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            threading.Thread(target=write, args=(path, tensors, lock)).start()
            choice = {"index": 0, "text": "x", "finish_reason": "length"}
            self._reply({"choices": [choice], "kv_transfer_params": {"hidden_states_path": str(path)}})

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
