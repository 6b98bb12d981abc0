"""All that is assumed of vLLM's extraction of hidden states, with where it is written. Nothing else knows it.

Sources, read in November 2026: vLLM's page "Hidden State Extraction" (docs/features/speculative_decoding/
extract_hidden_states.md), its ``example_hidden_states_connector.py``, and the pull request that brought it
(vllm-project/vllm#33736). Known faults that are looked for here: prefix caching makes the states shorter than the ids
(vllm#44485), hybrid models wrote zeros (vllm#46301). What cannot be seen in a file, such as states of another layer,
`hintprobe check --backend vllm` finds by comparing with the native backend.
"""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from activations.batching import Ids
from activations.errors import HintprobeError
from activations.names import Component
from activations.sites import Site

COMPONENTS: tuple[Component, ...] = ("resid_pre", "resid_post")
"""The stream between blocks is all that is extracted."""
PATH = "hidden_states_path"
"""Key of ``kv_transfer_params`` in a reply; its value is the file's path on the server's machine."""
_PATIENCE_S = 60.0
_POLL_S = 0.02


def layer_id(site: Site) -> int:
    """Column of a site: vLLM's layer id k is what enters block k; the last id leaves the last block, before the norm.

    Source: the model code's ``_maybe_add_hidden_state(states, 0, …)`` before the first layer and ``(…, index + 1, …)``
    after each; the note on ``num_hidden_layers`` in the documentation.
    """
    return site.layer + (site.component == "resid_post")


def server_arguments(n_layers: int, folder: Path) -> list[str]:
    """Arguments of ``vllm serve MODEL`` that this backend needs: every layer, no prefix cache, no chunked prefill."""
    method = {
        "method": "extract_hidden_states",
        "num_speculative_tokens": 1,
        "draft_model_config": {"hf_config": {"eagle_aux_hidden_state_layer_ids": list(range(n_layers + 1))}},
    }
    connector = {
        "kv_connector": "ExampleHiddenStatesConnector",
        "kv_role": "kv_producer",
        "kv_connector_extra_config": {"shared_storage_path": str(folder)},
    }
    return [
        *("--speculative_config", json.dumps(method)),
        *("--kv_transfer_config", json.dumps(connector)),
        *("--no-enable-prefix-caching", "--no-enable-chunked-prefill"),
    ]


def request_body(model: str, ids: Ids) -> dict[str, Any]:
    """A request for ``/v1/completions`` over exact token ids. One token must be generated; its state is not kept."""
    return {"model": model, "prompt": list(ids), "max_tokens": 1, "temperature": 0.0}


def path_in(reply: dict[str, Any]) -> Path:
    """Where the server has written the states of a request.

    Raises:
        HintprobeError: the reply names no file.
    """
    parameters = reply.get("kv_transfer_params")
    path = parameters.get(PATH) if isinstance(parameters, dict) else None
    if not isinstance(path, str):
        raise HintprobeError(
            "The vLLM server's reply names no file of hidden states (kv_transfer_params.hidden_states_path). Start it "
            "with the connector, as `experiments/gpu/vllm_capture.sh` does (vLLM 0.18 or later)."
        )
    return Path(path)


def read_states(path: Path, ids: Ids, n_layers: int, width: int) -> Float[Tensor, "token layer width"]:
    """The states of one row; the file is deleted once it is read.

    Raises:
        HintprobeError: no file that can be read, or one whose ids, lengths, layers or values are not what was asked.
    """
    tensors = _load(path)
    states, tokens = tensors.get("hidden_states"), tensors.get("token_ids")
    if states is None or tokens is None:
        raise _wrong(path, f"it holds {sorted(tensors)}, and hidden_states and token_ids were expected")
    if tokens.tolist() != list(ids):
        raise _wrong(path, f"its token ids ({len(tokens)}) are not the {len(ids)} that were sent")
    if states.ndim != 3 or len(states) != len(ids):
        raise _wrong(
            path,
            f"its states have the shape {list(states.shape)} for {len(ids)} tokens; with prefix caching on they are "
            "shorter (vllm#44485): start the server with --no-enable-prefix-caching",
        )
    if states.shape[1:] != (n_layers + 1, width):
        raise _wrong(
            path,
            f"a token has {list(states.shape[1:])} numbers, and {[n_layers + 1, width]} were expected: all layer ids "
            f"from 0 to {n_layers} in eagle_aux_hidden_state_layer_ids",
        )
    if not bool(states.flatten(1).any(1).all()):
        raise _wrong(path, "the states of some tokens are all zero (vllm#46301)")
    for used in (path, _lock(path)):
        with suppress(OSError):
            used.unlink()
    return states


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _load(path: Path) -> dict[str, Tensor]:
    """Read a file once it is whole: the server holds ``FILE.lock`` until then, and writes in the background.

    A lock is only seen on the server's own machine, so it is no more than waited for; elsewhere the file is read again
    until it parses (its header states its length).
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _wait_for_lock(path)
    until, seen = time.monotonic() + _PATIENCE_S, "there is none"
    while True:
        try:
            return load_file(path)
        except (FileNotFoundError, SafetensorError) as error:
            if path.exists():
                seen = str(error)
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from error
        if time.monotonic() > until:
            raise _unreadable(path, seen)
        time.sleep(_POLL_S)


def _wait_for_lock(path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on this system
        return
    with suppress(OSError), _lock(path).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)


def _unreadable(path: Path, reason: str) -> HintprobeError:
    return HintprobeError(
        f"The vLLM server says that it wrote hidden states to {path}, but that file cannot be read here: {reason}. Set "
        "its shared_storage_path to a folder that this machine can read under the same path."
    )


def _wrong(path: Path, what: str) -> HintprobeError:
    return HintprobeError(f"The vLLM server's file {path} is not what was requested: {what}. Nothing from it was kept.")
