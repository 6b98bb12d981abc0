"""A vLLM server that extracts hidden states: for models that one process cannot hold, or holds slowly."""

import dataclasses
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from activations.backends import vllm_files as files
from activations.backends.base import Edits, Options, Selected, Where
from activations.batching import Ids, PaddedBatch
from activations.errors import HintprobeError
from activations.models import LoadedModel
from activations.sites import Site, decoder_blocks

_TRIES = 3


class VllmBackend:
    """Reads the residual stream between blocks. It neither edits nor gives logits.

    Every row is one request over its exact token ids. The numbers are those of vLLM's own kernels, so the store keeps
    them under an identity of their own, the server's version included.

    Args:
        loaded: the same model, in the dtype that the server runs it in: what is asked is told by its configuration.
        options: ``base_url`` is needed.

    Raises:
        HintprobeError: no address, or no vLLM server there.
    """

    name = "vllm"
    components = files.COMPONENTS
    edits = False

    def __init__(self, loaded: LoadedModel, options: Options | None = None) -> None:
        self._options = options or Options()
        if not self._options.base_url:
            raise HintprobeError(
                "The backend 'vllm' needs the address of a server. Give `capture.server.base_url` in the config or "
                "--base-url, such as http://127.0.0.1:8000/v1; `experiments/gpu/vllm_capture.sh` starts one."
            )
        self._base = self._options.base_url.rstrip("/")
        self._served = self._options.served_model or loaded.name
        self._n_layers = len(decoder_blocks(loaded.model))
        self._width = int(loaded.model.config.get_text_config().hidden_size)
        version = self._get(f"{self._base.removesuffix('/v1')}/version").get("version", "unknown")
        variant = {**loaded.variant, "attention": "vllm", "backend": "vllm", "vllm": str(version)}
        self.loaded = dataclasses.replace(loaded, variant=variant)

    @property
    def model(self) -> nn.Module:
        """The loaded model, which is never run: what runs is in another process."""
        return self.loaded.model

    def read(self, batch: PaddedBatch, where: Where, sites: Sequence[Site]) -> Selected:
        """See :class:`~activations.backends.base.Backend`."""
        unknown = sorted({site for site in sites if site.component not in self.components})
        if unknown:
            raise HintprobeError(
                f"vLLM extracts the residual stream between blocks (resid_pre, resid_post), and {unknown[0]} was asked "
                "for. Use another backend for it."
            )
        rows = [ids[mask].tolist() for ids, mask in zip(batch.ids, batch.mask, strict=True)]
        with ThreadPoolExecutor(max(1, min(self._options.concurrency, len(rows)))) as pool:
            states = list(pool.map(self._states, rows))
        own = (where - batch.offset[:, None]).cpu()
        return {
            site: torch.stack([s[at, files.layer_id(site)] for s, at in zip(states, own, strict=True)]).to(
                self.loaded.device
            )
            for site in sites
        }

    def logits(self, batch: PaddedBatch, edits: Edits | None = None) -> Tensor:
        """Not to be had.

        Raises:
            HintprobeError: always.
        """
        raise HintprobeError("The backend 'vllm' reads and does not edit. Use the native backend for interventions.")

    def _states(self, ids: Ids) -> Tensor:
        reply = self._post(f"{self._base}/completions", files.request_body(self._served, ids))
        states = files.read_states(files.path_in(reply), ids, self._n_layers, self._width)
        dtype = self.loaded.model.dtype
        if states.dtype != dtype:
            raise HintprobeError(
                f"The vLLM server gives {states.dtype}, and the model is loaded in {dtype}. Set `dtype` to the "
                "server's dtype, or start the server with the model's (--dtype)."
            )
        return states

    def _post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask(urllib.request.Request(url, json.dumps(body).encode()))

    def _get(self, url: str) -> dict[str, Any]:
        return self._ask(urllib.request.Request(url))

    def _ask(self, request: urllib.request.Request) -> dict[str, Any]:
        request.add_header("Content-Type", "application/json")
        if self._options.api_key:
            request.add_header("Authorization", f"Bearer {self._options.api_key}")
        for left in reversed(range(_TRIES)):
            try:
                with urllib.request.urlopen(request, timeout=self._options.timeout) as answer:
                    reply = json.loads(answer.read())
                    return reply if isinstance(reply, dict) else {}
            except urllib.error.HTTPError as error:
                said = error.read(500).decode("utf-8", "replace")
                if error.code < 500 or not left:
                    raise HintprobeError(
                        f"The vLLM server at {self._base} refused a request with status {error.code}: {said}"
                    ) from error
            except (OSError, ValueError) as error:
                if not left:
                    raise HintprobeError(
                        f"The vLLM server at {self._base} does not answer: {error}. Start it, or correct "
                        "`capture.server.base_url`; activations captured before are kept."
                    ) from error
        raise AssertionError("every try returns or raises")
