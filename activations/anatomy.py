"""What a decoder block is made of, read off one traced call of it: no names, only who adds what to the stream."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from jaxtyping import Float
from torch import Tensor, nn

Stream = Float[Tensor, "batch seq d_model"]


@dataclass(frozen=True)
class Call:
    """One call of a module inside a block, in the order in which calls ended.

    Attributes:
        depth: 1 for a child of the block, 2 for a child of that, and so on.
        seen: first tensor that went in.
        gave: first tensor that came out.
    """

    name: str
    module: nn.Module
    depth: int
    seen: Tensor
    gave: Tensor


@dataclass(frozen=True)
class BlockParts:
    """Modules of a block by what they do to the residual stream.

    Attributes:
        attn_out: its output is what attention adds (a norm after the attention included).
        mlp_out: its output is what the MLP or the experts add.
        mid: its input is the stream between the two; None where the block adds both at once (parallel blocks).
        projection: the attention's output projection; None where it could not be told.
        z_width: width of the projection's input.
    """

    attn_out: nn.Module
    mlp_out: nn.Module
    mid: nn.Module | None
    projection: nn.Module | None
    z_width: int


class UnknownAnatomyError(Exception):
    """The block does something else than adding attention and an MLP to its input; says what was looked for."""


def paired_stream(stream: Stream) -> Stream:
    """Two rows that are the same but for their first token: where later tokens differ, tokens were mixed."""
    other = stream[:1].clone()
    other[:, 0] = other[:, 0].flip(-1)
    return torch.cat([stream[:1], other])


def _mixed(value: Tensor) -> float:
    """How far later tokens of a paired stream differ, relative to their size."""
    later = value[:, 1:].float()
    size = later.square().mean().sqrt()
    return float((later[0] - later[1]).square().mean().sqrt() / size) if size > 0 else 0.0


def _sums(parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """The sum of three tensors in every order of adding: equal to the last bit only in the model's own."""
    for a, b, c in permutations(parts):
        yield a + b + c


def dissect(stream_in: Stream, stream_out: Stream, calls: Sequence[Call]) -> BlockParts:
    """Tell the parts of a block from a traced call on a :func:`paired_stream`.

    A tensor is what attention adds if input + tensor is the next part's input, and so on, each compared to the last
    bit: the sum of the same numbers in the same dtype is the same.

    Raises:
        UnknownAnatomyError: nothing adds up.
    """
    shape, device = stream_in.shape, stream_out.device
    if not (torch.isfinite(stream_in).all() and torch.isfinite(stream_out).all()):
        raise UnknownAnatomyError("its activations are not finite on a short probe (load it in bfloat16 or float32)")
    entered = stream_in.to(device)
    # A module that is called twice (a shared dropout) is no one tensor's place.
    times = Counter(id(call.module) for call in calls)
    children = [
        call
        for call in calls
        if call.depth == 1 and times[id(call.module)] == 1 and call.gave.shape == call.seen.shape == shape
    ]
    attention = _attention(children)
    projection, width = _projection(attention, calls)
    found = _sequential(entered, stream_out, children) or _parallel(entered, stream_out, children)
    if found is None:
        raise UnknownAnatomyError("its output is not its input plus the outputs of an attention part and an MLP part")
    attn, mlp, mid = found
    return BlockParts(attn.module, mlp.module, mid.module if mid else None, projection, width)


def _attention(children: Sequence[Call]) -> Call:
    """The part that alone carries one token to another."""
    leaks = [(_mixed(call.gave), k) for k, call in enumerate(children) if _mixed(call.seen) == 0]
    leak, k = max(leaks, default=(0.0, 0))
    if leak == 0:
        raise UnknownAnatomyError("no part of it carries one token's state to another")
    return children[k]


def _projection(attention: Call, calls: Sequence[Call]) -> tuple[nn.Module | None, int]:
    """The matrix whose output is the attention's: the outermost one, so that adapters inside it are no matter."""
    batch = attention.seen.shape[:2]
    inside = [
        call
        for call in calls
        if call.depth > 1
        and call.name.startswith(attention.name + ".")
        and call.gave.shape == attention.gave.shape
        and torch.equal(call.gave, attention.gave)
        and any(weight.ndim > 1 for weight in call.module.parameters())
    ]
    for call in sorted(inside, key=lambda call: call.depth):
        if call.seen.ndim == 3 and call.seen.shape[:2] == batch:
            return call.module, call.seen.shape[-1]
    return None, 0


def _sequential(entered: Tensor, left: Tensor, children: Sequence[Call]) -> tuple[Call, Call, Call | None] | None:
    for i, attn in reversed(list(enumerate(children))):
        middle = entered + attn.gave
        readers = [k for k in range(i + 1, len(children)) if torch.equal(children[k].seen, middle)]
        if not readers or _mixed(attn.gave) == 0:
            continue
        for mlp in reversed(children[readers[0] :]):
            if torch.equal(middle + mlp.gave, left):
                return attn, mlp, children[readers[0]]
    return None


def _parallel(entered: Tensor, left: Tensor, children: Sequence[Call]) -> tuple[Call, Call, Call | None] | None:
    # Both read the same stream, so only what attention adds differs between the two rows.
    # The MLP is a matrix product, whose rows may differ in their last bits: compare, do not ask for zero.
    late_first = list(reversed(children))
    for i, first in enumerate(late_first):
        for second in late_first[i + 1 :]:
            if any(torch.equal(total, left) for total in _sums([entered, first.gave, second.gave])):
                attn, mlp = sorted((first, second), key=lambda call: -_mixed(call.gave))
                return attn, mlp, None
    return None
