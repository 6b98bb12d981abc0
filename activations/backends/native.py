"""Plain torch hooks on the model as transformers loads it: the default, and the fast path."""

from collections.abc import Sequence

import torch
from torch import Tensor

from activations.backends.base import ALL_COMPONENTS, Edits, Options, Selected, Where, put, select
from activations.batching import PaddedBatch
from activations.errors import HintprobeError
from activations.forward import forward
from activations.hooks import Visitor, visiting
from activations.models import LoadedModel
from activations.names import Component
from activations.sites import Site


class NativeBackend:
    """Reads in hooks, without the LM head, and ends the forward at the deepest wanted site."""

    name = "native"
    components: tuple[Component, ...] = ALL_COMPONENTS
    edits = True

    def __init__(self, loaded: LoadedModel, options: Options | None = None) -> None:
        self.loaded, self.model = loaded, loaded.model

    @torch.no_grad()
    def read(self, batch: PaddedBatch, where: Where, sites: Sequence[Site]) -> Selected:
        """See :class:`~activations.backends.base.Backend`."""
        into: Selected = {}
        with visiting(self.loaded.model, {s: _keeper(where, s, into) for s in sites}, stop_after_deepest=True):
            forward(self.loaded.model, batch, head=False)
        return into

    @torch.no_grad()
    def logits(self, batch: PaddedBatch, edits: Edits | None = None) -> Tensor:
        """See :class:`~activations.backends.base.Backend`."""
        visitors = {site: _replacer(where, new) for site, (where, new) in (edits or {}).items()}
        with visiting(self.loaded.model, visitors):
            output: Tensor = forward(self.loaded.model, batch).logits
        return output


def _keeper(where: Where, site: Site, into: Selected) -> Visitor:
    def keep(value: Tensor) -> None:
        if site in into:
            raise HintprobeError(
                f"{site} was passed twice in one forward, so it is not one tensor. Is the block shared, or is it run "
                "again for checkpointing?"
            )
        into[site] = select(value, where)

    return keep


def _replacer(where: Where, new: Tensor) -> Visitor:
    return lambda value: put(value, where, new)
