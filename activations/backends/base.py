"""What every backend can do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from activations.batching import PaddedBatch
from activations.models import LoadedModel
from activations.names import Component
from activations.sites import Site

Where = Int[Tensor, "batch position"]
Selected = dict[Site, Float[Tensor, "batch position width"]]
Edits = Mapping[Site, tuple[Where, Float[Tensor, "batch position width"]]]
"""Per site, indices into the padded batch and what to put there."""


ALL_COMPONENTS: tuple[Component, ...] = get_args(Component)


@dataclass(frozen=True)
class Options:
    """What some backends need to know beside the model; each takes what is its own.

    Attributes:
        remote: nnsight's service: ``True`` sends traces there, ``"local"`` simulates that here.
        base_url: address of a vLLM server's API, such as ``http://127.0.0.1:8000/v1``.
        served_model: the name by which that server knows the model; the loaded model's own name if empty.
        concurrency: requests in flight at a time.
        timeout: seconds until a request is given up.
        api_key: key of that server.
    """

    remote: bool | Literal["local"] = False
    base_url: str = ""
    served_model: str = ""
    concurrency: int = 8
    timeout: float = 600.0
    api_key: str | None = field(default=None, repr=False)


class Backend(Protocol):
    """Runs padded batches of one model. A site means the same tensor in every backend.

    Attributes:
        name: what ``--backend`` calls it.
        loaded: the model, with the identity that the store keeps this backend's numbers under.
        components: what it can read at most; a model may lack some.
        edits: whether it has logits, and replaces tensors on the way to them.
    """

    name: str
    loaded: LoadedModel
    components: tuple[Component, ...]
    edits: bool

    @property
    def model(self) -> nn.Module:
        """The module that really runs: the loaded one, or this backend's copy of it."""
        ...

    def read(self, batch: PaddedBatch, where: Where, sites: Sequence[Site]) -> Selected:
        """One forward; tensors of ``sites`` at ``where``, on the model's device, in its dtype.

        Raises:
            HintprobeError: a site that the model or the backend lacks.
        """
        ...

    def logits(self, batch: PaddedBatch, edits: Edits | None = None) -> Float[Tensor, "batch seq vocabulary"]:
        """One forward through the head, with tensors replaced on the way."""
        ...


def select(value: Float[Tensor, "batch seq width"], where: Where) -> Float[Tensor, "batch position width"]:
    """The wanted positions of each row, as a copy."""
    where = where.to(value.device)
    return value.detach()[torch.arange(len(value), device=value.device)[:, None], where]


def put(
    value: Float[Tensor, "batch seq width"], where: Where, new: Float[Tensor, "batch position width"]
) -> Float[Tensor, "batch seq width"]:
    """A copy with ``new`` at the wanted positions of each row."""
    index = where.to(value.device)[..., None].expand(-1, -1, value.shape[-1])
    return value.scatter(1, index, new.to(value.device, value.dtype))
