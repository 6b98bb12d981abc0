"""The one module that registers hooks. Everything is undone when the context ends, whatever happened inside."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from activations.anatomy import BlockParts, Call, UnknownAnatomyError, dissect, paired_stream
from activations.components import COMPONENTS, Block
from activations.errors import HintprobeError
from activations.forward import Step, forward
from activations.sites import Site, decoder_blocks

Visited = Float[Tensor, "batch seq width"]
Visitor = Callable[[Visited], Visited | None]
"""Sees the tensor of a site; may return a replacement of the same shape."""

_parts: WeakKeyDictionary[nn.Module, list[BlockParts | str]] = WeakKeyDictionary()
_tracing: ContextVar[bool] = ContextVar("_tracing", default=False)


@contextmanager
def unseen() -> Iterator[None]:
    """Forwards inside the context find something out about the model; visitors, edits and counts take no notice."""
    token = _tracing.set(True)
    try:
        yield
    finally:
        _tracing.reset(token)


class _StopForwardError(Exception):
    """Raised inside a hook once every wanted site has been seen, for the context that ``owner`` stands for."""

    def __init__(self, owner: object) -> None:
        super().__init__()
        self.owner = owner


def _first_output(value: Any) -> Any:
    # Most decoder blocks return a tensor, some families' a tuple or a list.
    return value[0] if isinstance(value, tuple | list) and value else value


def _first_input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[0] if args else kwargs.get("hidden_states")


def _before(module: nn.Module, see: Visitor) -> Any:
    """Let ``see`` have a module's input, and pass on what it returns."""

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        changed = see(_first_input(args, kwargs))
        if changed is None:
            return None
        if args:
            return (changed, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": changed}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _after(module: nn.Module, see: Visitor) -> Any:
    """Let ``see`` have a module's output, and give out what it returns."""

    def hook(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        changed = see(_first_output(output))
        if changed is None:
            return None
        return changed if isinstance(output, Tensor) else (changed, *output[1:])

    return module.register_forward_hook(hook)


def _in_place(visit: Visitor) -> Visitor:
    """The stream between attention and MLP is also what the MLP's output is added to: change the tensor itself."""

    def see(middle: Visited) -> None:
        # Where gradients are kept, what the visitor saw must not be written over, and must stay in the graph.
        shown = middle.clone() if torch.is_grad_enabled() else middle
        changed = visit(shown)
        if changed is not None:
            middle.copy_(changed)
        elif shown is not middle:
            middle.copy_(shown)

    return see


def place(model: nn.Module, site: Site) -> tuple[nn.Module, bool]:
    """Where a site's tensor passes: a module, and whether it is the module's input (or its output).

    Raises:
        HintprobeError: the model has no such site.
    """
    blocks = decoder_blocks(model)
    if not 0 <= site.layer < len(blocks):
        raise HintprobeError(f"Site {site} was asked for, and the model has blocks 0 to {len(blocks) - 1}.")
    layer = site.layer
    block = Block(type(model).__name__, layer, blocks[layer], lambda: block_parts(model, layer))
    return COMPONENTS[site.component].find(block)


@contextmanager
def visiting(model: nn.Module, visitors: Mapping[Site, Visitor], stop_after_deepest: bool = False) -> Iterator[None]:
    """Let each visitor see (and perhaps replace) its site's tensor in every forward run inside the context.

    What replaces ``resid_mid`` reaches both the MLP and the sum after it.

    Args:
        visitors: per site, a function of its tensor; see :class:`~activations.sites.Site` for the shapes.
        stop_after_deepest: end the forward once every site was seen; the forward's caller then gets nothing back and
            must run as the last statement of the context.

    Raises:
        HintprobeError: a site that the model lacks, or a visitor that never fired.
    """
    places = {site: place(model, site) for site in visitors}
    silent = set(visitors)
    owner = object()

    def counted(site: Site, visit: Visitor) -> Visitor:
        def see(tensor: Visited) -> Visited | None:
            if _tracing.get():
                return None
            silent.discard(site)
            check_stream(model, str(site), tensor)
            changed = visit(tensor)
            if stop_after_deepest and not silent:
                # A new one each time: kept, it and its traceback's frames would hold each other and a batch's tensors.
                raise _StopForwardError(owner)
            return changed

        return see

    with ExitStack() as stack:
        for site, visit in visitors.items():
            module, enters = places[site]
            see = counted(site, visit)
            see = _in_place(see) if COMPONENTS[site.component].shared else see
            stack.callback((_before if enters else _after)(module, see).remove)
        try:
            yield
        except _StopForwardError as error:
            # The stop of an enclosing context is not ours to end: its forward gave nothing back.
            if error.owner is not owner:
                raise
            # Since Python 3.13 this generator's frame, which the traceback holds, holds the frame that holds the error.
            error.__traceback__ = None
    if silent:
        names = ", ".join(str(site) for site in sorted(silent))
        raise HintprobeError(f"No forward reached {names}: a hook that never fired measures nothing.")


def check_stream(model: nn.Module, what: str, tensor: Any) -> None:
    """Refuse what is not one stream.

    Raises:
        HintprobeError: something else than ``[batch, token, width]``.
    """
    if not isinstance(tensor, Tensor) or tensor.dim() != 3:
        kind = f"tensor of shape {list(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
        raise HintprobeError(
            f"{what} of {type(model).__name__} is a {kind}, and [batch, token, width] was expected: the model carries "
            "several streams side by side (as Gemma 3n does), so a site has no unique meaning in it. It can generate "
            "and be judged; capture, edits and patching do not support it."
        )


def block_parts(model: nn.Module, layer: int) -> BlockParts:
    """The parts of a block, told once per model by a traced forward of a few tokens.

    Raises:
        HintprobeError: the block is built in a way that is not understood.
    """
    if model not in _parts:
        _parts[model] = _trace(model)
    parts = _parts[model][layer]
    if isinstance(parts, str):
        raise HintprobeError(
            f"Block {layer} of {type(model).__name__} could not be split into its parts: {parts}. resid_pre and "
            "resid_post can be read, the components inside the block cannot."
        )
    return parts


def head_shape(model: nn.Module, layer: int) -> tuple[int, int]:
    """Heads and width of a head in ``head_z``: its last axis is ``[n_heads, head_dim]`` flattened.

    Raises:
        HintprobeError: the attention's output projection could not be told, or does not divide into heads.
    """
    place(model, Site(layer, "head_z"))
    parts = block_parts(model, layer)
    width = _head_width(decoder_blocks(model)[layer], parts)
    if width is not None:
        return parts.z_width // width, width
    n_heads = _text_config(model).num_attention_heads
    if not isinstance(n_heads, int) or parts.z_width % n_heads:
        raise HintprobeError(
            f"The attention in block {layer} of {type(model).__name__} is {parts.z_width} wide, which is not a "
            f"multiple of the {n_heads} heads in its configuration."
        )
    return n_heads, parts.z_width // n_heads


def _head_width(block: nn.Module, parts: BlockParts) -> int | None:
    """What the module around the output projection says of a head's width; layers of one model may differ in it."""
    owner = next((m for m in block.modules() if any(child is parts.projection for child in m.children())), None)
    widths = [getattr(owner, name, None) for name in ("head_v_dim", "v_head_dim", "head_dim", "head_size")]
    return next((w for w in widths if isinstance(w, int) and w > 0 and parts.z_width % w == 0), None)


def _text_config(model: Any) -> Any:
    return model.config.get_text_config()


@torch.no_grad()
def _trace(model: Any) -> list[BlockParts | str]:
    """Take every block apart in one forward of two short rows; hooks of ours that are in place stay silent."""
    positions = torch.arange(6, device=model.device).expand(2, -1)
    ids = (positions * 7 + 3) % _text_config(model).vocab_size
    result: list[BlockParts | str] = []
    with ExitStack() as stack:
        for block in decoder_blocks(model):
            _trace_block(block, result, stack)
        with unseen():
            forward(model, Step(ids, None, positions), head=False)
    return result


def _trace_block(block: nn.Module, result: list[BlockParts | str], stack: ExitStack) -> None:
    calls: list[Call] = []
    entered: list[Tensor] = []
    pending: dict[str, Tensor] = {}

    def begin(stream: Tensor) -> Tensor:
        calls.clear()
        entered[:] = [paired_stream(stream)]
        return entered[0]

    def end(stream: Tensor) -> None:
        try:
            result.append(dissect(entered[0], stream, calls))
        except UnknownAnatomyError as error:
            result.append(str(error))

    def watch(name: str, module: nn.Module) -> Sequence[Any]:
        def opened(seen: Tensor) -> None:
            if isinstance(seen, Tensor):
                pending[name] = seen

        def closed(gave: Tensor) -> None:
            if name in pending and isinstance(gave, Tensor):
                calls.append(Call(name, module, name.count(".") + 1, pending.pop(name), gave))

        return _before(module, opened), _after(module, closed)

    handles = [_before(block, begin)]
    for name, module in block.named_modules():
        if name and not isinstance(module, nn.ModuleList):
            handles += watch(name, module)
    handles.append(_after(block, end))
    for handle in handles:
        stack.callback(handle.remove)


@dataclass
class ForwardCount:
    """Forward passes of the decoder: calls, and rows over all calls."""

    calls: int = 0
    rows: int = 0


@contextmanager
def counting_forwards(model: nn.Module) -> Iterator[ForwardCount]:
    """Count every forward of the decoder inside the context, whoever runs it."""
    count = ForwardCount()

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if _tracing.get():
            return
        ids = args[0] if args else kwargs["input_ids"]
        count.calls += 1
        count.rows += len(ids)

    handle = model.base_model.register_forward_pre_hook(hook, with_kwargs=True)  # type: ignore[union-attr]
    try:
        yield count
    finally:
        handle.remove()


Interceptor = Callable[[int, dict[str, Any]], dict[str, Any] | None]
"""Sees a block's index and the arguments it is called with, by name, the stream apart; may return others."""


@contextmanager
def intercepting(model: nn.Module, see: Interceptor) -> Iterator[None]:
    """Let ``see`` have (and perhaps replace) what the decoder passes to each of its blocks besides the stream.

    Masks, position embeddings and caches are then the model's own, whatever its architecture.
    """

    def hook_of(layer: int, block: nn.Module) -> Callable[..., Any]:
        names = list(inspect.signature(block.forward).parameters)[1:]

        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if _tracing.get():
                return None
            changed = see(layer, {**dict(zip(names, args[1:], strict=False)), **kwargs})
            return None if changed is None else (args[:1], changed)

        return hook

    with ExitStack() as stack:
        for layer, block in enumerate(decoder_blocks(model)):
            stack.callback(block.register_forward_pre_hook(hook_of(layer, block), with_kwargs=True).remove)
        yield


_extras: WeakKeyDictionary[nn.Module, int | None] = WeakKeyDictionary()


@torch.no_grad()
def _as_blocks_give(model: Any, stream: Visited) -> Any:
    """A stream in the form in which the model's blocks give theirs out: by itself, or first of several values."""
    if model not in _extras:
        seen: list[Any] = []
        handle = decoder_blocks(model)[-1].register_forward_hook(lambda _module, _args, output: seen.append(output))
        try:
            with unseen():
                ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
                forward(model, Step(ids, None, ids), head=False)
        finally:
            handle.remove()
        _extras[model] = None if isinstance(seen[0], Tensor) else len(seen[0]) - 1
    extras = _extras[model]
    return stream if extras is None else (stream, *[None] * extras)


@contextmanager
def instead_of_blocks(model: nn.Module, stream: Visited) -> Iterator[None]:
    """Let the decoder skip its blocks and go on from a given stream: final norm, head and all that the family adds.

    Args:
        stream: what the last block would give out, ``[batch, seq, d_model]`` of the forward that is then run.
    """
    blocks = decoder_blocks(model)
    given = _as_blocks_give(model, stream)
    before = [block.__dict__.get("forward") for block in blocks]
    try:
        for block in blocks:
            block.forward = lambda *_args, **_kwargs: given
        yield
    finally:
        for block, own in zip(blocks, before, strict=True):
            del block.forward
            if own is not None:
                block.forward = own
