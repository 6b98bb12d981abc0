"""TransformerLens 4's ``TransformerBridge``, on a copy of the model."""

import copy
import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from activations.backends.base import Edits, Options, Selected, Where, put, select
from activations.batching import PaddedBatch
from activations.errors import HintprobeError
from activations.models import LoadedModel
from activations.names import Component
from activations.sites import Site

_HOOKS: dict[Component, str] = {
    "resid_pre": "hook_resid_pre",
    "resid_mid": "hook_resid_mid",
    "resid_post": "hook_resid_post",
    "attn_out": "hook_attn_out",
    "mlp_out": "hook_mlp_out",
    "head_z": "attn.hook_z",
}


class TransformerLensBackend:
    """Reads and edits at the bridge's hook points, weights as they are (no compatibility mode).

    The bridge replaces submodules of the model in place and runs eager attention only, hence the copy, and an identity
    of its own in the store.
    """

    name = "transformer_lens"
    components: tuple[Component, ...] = tuple(_HOOKS)
    edits = True

    def __init__(self, loaded: LoadedModel, options: Options | None = None) -> None:
        self.bridge = self.model = _bridged(loaded)
        variant = {**loaded.variant, "attention": "eager", "backend": "transformer_lens"}
        self.loaded = dataclasses.replace(loaded, variant=variant)

    @torch.no_grad()
    def read(self, batch: PaddedBatch, where: Where, sites: Sequence[Site]) -> Selected:
        """See :class:`~activations.backends.base.Backend`."""
        into: Selected = {}

        def keeper(site: Site) -> Callable[..., None]:
            def keep(value: Tensor, hook: Any) -> None:
                into[site] = select(_flat(value), where)

            return keep

        n_blocks = len(self.bridge.blocks)
        deepest = max(site.layer for site in sites) + 1
        stop = {"stop_at_layer": deepest} if deepest < n_blocks else {}
        self._run(batch, {site: keeper(site) for site in sites}, return_type=None, **stop)
        silent = [str(site) for site in sites if site not in into]
        if silent:
            raise HintprobeError(f"The bridge passed no tensor at {', '.join(silent)}.")
        return into

    @torch.no_grad()
    def logits(self, batch: PaddedBatch, edits: Edits | None = None) -> Tensor:
        """See :class:`~activations.backends.base.Backend`."""
        hooks = {site: _replacer(site, where, new) for site, (where, new) in (edits or {}).items()}
        result: Tensor = self._run(batch, hooks, return_type="logits")
        return result

    def _run(self, batch: PaddedBatch, hooks: dict[Site, Callable[..., Any]], **options: Any) -> Any:
        named = {self._hook_name(site): hook for site, hook in hooks.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.bridge.run_with_hooks(
                batch.ids,
                fwd_hooks=list(named.items()),
                attention_mask=batch.mask.long(),
                position_ids=batch.position_ids,
                **options,
            )

    def _hook_name(self, site: Site) -> str:
        name = f"blocks.{site.layer}.{_HOOKS[site.component]}"
        # A list of names that is partly wrong would pass the bridge in silence.
        if name not in self.bridge.hook_dict:
            raise HintprobeError(
                f"{site} was asked for, and the bridge of {self.loaded.name} has no hook point {name}. "
                "Parallel blocks have no resid_mid; other architectures may lack more. Use the native backend."
            )
        return name


def _bridged(loaded: LoadedModel) -> Any:
    """A bridge around a copy: bridging one object twice, or using it beside the bridge, breaks it."""
    model = copy.deepcopy(loaded.model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return TransformerBridge.boot_transformers(
                model.config._name_or_path or loaded.name,
                hf_model=model,
                tokenizer=copy.deepcopy(loaded.tokenizer),
                dtype=model.dtype,
                device=str(loaded.device),
            )
    except (ValueError, KeyError, AttributeError, NotImplementedError, RuntimeError) as error:
        raise HintprobeError(
            f"TransformerLens could not bridge {loaded.name} ({type(model).__name__}): {str(error)[:200]}. Use the "
            "native backend, which finds a model's parts by its structure."
        ) from error


def _flat(value: Tensor) -> Tensor:
    """Heads side by side: the bridge gives ``[batch, seq, head, head_dim]``."""
    return value.flatten(2)


def _replacer(site: Site, where: Where, new: Tensor) -> Callable[..., Tensor]:
    def replace(value: Tensor, hook: Any) -> Tensor:
        changed = put(_flat(value), where, new).view_as(value)
        # The bridge's hook is on the way into the MLP only; the stream itself is what is summed.
        return value.copy_(changed) if site.component == "resid_mid" else changed

    return replace
