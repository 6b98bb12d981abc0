"""Places in a transformer, with one meaning whatever the architecture."""

from dataclasses import dataclass
from functools import total_ordering
from typing import TYPE_CHECKING, get_args

from activations.errors import HintprobeError
from activations.names import Component

if TYPE_CHECKING:
    from torch import nn

_ORDER: tuple[Component, ...] = get_args(Component)


@total_ordering
@dataclass(frozen=True)
class Site:
    """A tensor of a decoder block. Sites sort in the order in which a forward passes them.

    In sequential blocks ``resid_mid = resid_pre + attn_out`` and ``resid_post = resid_mid + mlp_out``; in parallel
    ones ``resid_post = resid_pre + attn_out + mlp_out``, and there is no ``resid_mid``.

    Attributes:
        layer: decoder block, from 0.
        component: ``resid_pre`` enters the block, ``resid_mid`` is the stream between attention and MLP,
            ``resid_post`` leaves the block (the last one before the final norm); ``attn_out`` and ``mlp_out`` are what
            is added to the stream, norms after the part included (Gemma 2 and 3, OLMo 2); all of these
            ``[batch, seq, d_model]``. ``head_z`` is the input of the attention's output projection,
            ``[batch, seq, n_heads * head_dim]``, head by head.
    """

    layer: int
    component: Component

    def __str__(self) -> str:
        return f"{self.component}.{self.layer}"

    def __lt__(self, other: "Site") -> bool:
        return (self.layer, _ORDER.index(self.component)) < (other.layer, _ORDER.index(other.component))

    @classmethod
    def parse(cls, text: str) -> "Site":
        """Read ``component.layer``, the form that :meth:`__str__` writes."""
        component, _, layer = text.partition(".")
        if component not in get_args(Component) or not (layer.isascii() and layer.isdigit()):
            raise HintprobeError(
                f"{text!r} is not a site. Expected COMPONENT.LAYER with a component of {get_args(Component)}, such as "
                "resid_post.3."
            )
        return cls(int(layer), component)  # type: ignore[arg-type]


def decoder_blocks(model: "nn.Module") -> "nn.ModuleList":
    """The list of decoder blocks, found by structure: the one ModuleList as long as the configuration says.

    Raises:
        HintprobeError: no such list, or more than one.
    """
    n_layers = getattr(model.config.get_text_config(), "num_hidden_layers", None)  # type: ignore[operator, union-attr]
    found = _lists(model, n_layers)
    if len(found) > 1 and (decoder := getattr(model, "get_decoder", lambda: None)()) is not None:
        found = _lists(decoder, n_layers)  # a multimodal model's vision tower may be as deep
    if len(found) != 1:
        raise HintprobeError(
            f"The decoder blocks of {type(model).__name__} could not be identified: expected one list of {n_layers} "
            f"blocks with parts, found {', '.join(found) or 'none'}. This architecture is not supported yet."
        )
    return next(iter(found.values()))


def _lists(module: "nn.Module", n_layers: int | None) -> dict[str, "nn.ModuleList"]:
    """Lists of so many blocks, by name; a list inside another one holds parts of its blocks, such as experts."""
    from torch import nn

    lists = {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) == n_layers and all(_has_parts(block) for block in part)
    }
    return {name: blocks for name, blocks in lists.items() if not any(name.startswith(f"{n}.") for n in lists)}


def _has_parts(block: "nn.Module") -> bool:
    return len(list(block.children())) > 1


def residual_sites(n_layers: int) -> list[Site]:
    """What enters the first block, then what leaves each block: ``n_layers + 1`` sites."""
    return [Site(0, "resid_pre"), *(Site(layer, "resid_post") for layer in range(n_layers))]
