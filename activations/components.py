"""What of a decoder block can be read and edited: one entry each (`docs/adding_a_component.md`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from activations.anatomy import BlockParts
from activations.errors import HintprobeError
from activations.names import Component

Found = tuple[nn.Module, bool]
"""A module, and whether the tensor is its input (or its output)."""


@dataclass(frozen=True)
class Block:
    """A decoder block of a model.

    Attributes:
        model_name: class of the model, for messages.
        parts: takes the block apart, once per model.
    """

    model_name: str
    layer: int
    module: nn.Module
    parts: Callable[[], BlockParts]


@dataclass(frozen=True)
class ComponentSpec:
    """How one component is found in a block.

    Attributes:
        find: the place of its tensor; raises a HintprobeError where the block has none.
        width: numbers in one activation, told from the text model's configuration alone.
        shared: another part reads the same tensor, so that a replacement is written into it.
    """

    find: Callable[[Block], Found]
    width: Callable[[Any], int] = lambda config: int(config.hidden_size)
    shared: bool = False


def _mid(block: Block) -> Found:
    middle = block.parts().mid
    if middle is None:
        raise HintprobeError(
            f"resid_mid.{block.layer} was asked for, and the blocks of {block.model_name} are parallel: attention and "
            "MLP read the same stream, so there is no stream between them. Ask for resid_pre, attn_out, mlp_out or "
            "resid_post."
        )
    return middle, True


def _projection(block: Block) -> Found:
    found = block.parts().projection
    if found is None:
        raise HintprobeError(
            f"The output projection of the attention in block {block.layer} of {block.model_name} could not be "
            "identified, so head_z cannot be read. The other components can."
        )
    return found, True


def _heads_width(config: Any) -> int:
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(config.num_attention_heads * head_dim)


COMPONENTS: Mapping[Component, ComponentSpec] = {
    "resid_pre": ComponentSpec(lambda block: (block.module, True)),
    "head_z": ComponentSpec(_projection, _heads_width),
    "attn_out": ComponentSpec(lambda block: (block.parts().attn_out, False)),
    "resid_mid": ComponentSpec(_mid, shared=True),
    "mlp_out": ComponentSpec(lambda block: (block.parts().mlp_out, False)),
    "resid_post": ComponentSpec(lambda block: (block.module, False)),
}
