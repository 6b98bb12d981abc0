"""Edits of a forward pass: small frozen values, applied by one context that always restores.

Every edit says per row at which (unpadded) token indices it works, so that rows of a batch differ in theirs. The same
values work teacher-forced and while generating.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.abilities import keeps_all_keys
from activations.batching import PaddedBatch
from activations.columns import Indices, Window, check_positions, onwards
from activations.errors import HintprobeError
from activations.hooks import Interceptor, Visitor, head_shape, intercepting, visiting
from activations.kv_cache import cache_among
from activations.masks import causal_mask, without_keys
from activations.models import LoadedModel
from activations.sites import Site, decoder_blocks

States = Float[Tensor, "reached width"]
Reached = Int[Tensor, "reached"]


@dataclass(frozen=True, eq=False)
class SiteEdit:
    """Changes the states of a site at chosen positions. Tensors may be given as numpy arrays.

    Attributes:
        site: where.
        positions: per row, token indices; see :func:`~activations.columns.onwards` for tokens yet to be generated.
        head: one head of ``head_z``; None is the whole width.
    """

    site: Site
    positions: Sequence[Indices]
    head: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):  # a probe's direction comes as a numpy array
            if isinstance(value := getattr(self, field.name), np.ndarray):
                object.__setattr__(self, field.name, torch.from_numpy(value))
        if self.head is not None and self.site.component != "head_z":
            raise HintprobeError(f"Head {self.head} was named at {self.site}; only head_z has heads.")

    def __str__(self) -> str:
        head = "" if self.head is None else f", head {self.head}"
        return f"{type(self).__name__} at {self.site}{head}"

    def changed(self, states: States, rows: Reached, places: Reached) -> States:
        """What stands in the states' stead.

        Args:
            states: at the positions reached, in float32.
            rows: which row of the edit each is in.
            places: which of that row's positions each is.
        """
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class Replace(SiteEdit):
    """Puts given states there, such as those of another run.

    Attributes:
        values: ``[row, position, width]``, a row's first positions first; rows with fewer are padded with anything.
    """

    values: Float[Tensor, "row position width"]

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = (len(self.positions), max((len(chosen) for chosen in self.positions), default=0))
        if self.values.dim() != 3 or self.values.shape[0] != needed[0] or self.values.shape[1] < needed[1]:
            raise HintprobeError(
                f"{self} was given values of shape {tuple(self.values.shape)}; [{needed[0]}, {needed[1]}, width] were "
                "expected: as many rows as positions has, and a state for each position."
            )
        _check_finite(self, self.values)

    def changed(self, states: States, rows: Reached, places: Reached) -> States:
        """The given states."""
        return self.values.to(states.device)[rows, places].to(states.dtype)


@dataclass(frozen=True, eq=False, kw_only=True)
class Zero(SiteEdit):
    """Sets states to zero."""

    def changed(self, states: States, rows: Reached, places: Reached) -> States:
        """Zeros."""
        return torch.zeros_like(states)


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(SiteEdit):
    """Sets states to a mean over a reference set, which the caller took.

    Attributes:
        mean: ``[width]``, or ``[row, width]``.
    """

    mean: Float[Tensor, "*row width"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_vector(self, self.mean)

    def changed(self, states: States, rows: Reached, places: Reached) -> States:
        """The mean."""
        return _per_row(self.mean, rows, states).expand_as(states)


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(SiteEdit):
    """Adds a direction times a scale.

    Attributes:
        direction: ``[width]``, or ``[row, width]``. It is used as given, not normalised.
        scale: one for all rows, or one per row.
    """

    direction: Float[Tensor, "*row width"]
    scale: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_vector(self, self.direction)

    def changed(self, states: States, rows: Reached, places: Reached) -> States:
        """States plus scale times direction."""
        scale = torch.as_tensor(self.scale, dtype=states.dtype, device=states.device)
        if scale.dim():
            scale = scale[rows][:, None]
        return states + scale * _per_row(self.direction, rows, states)


@dataclass(frozen=True, eq=False, kw_only=True)
class ProjectOut(SiteEdit):
    """Removes the component along a direction.

    Attributes:
        direction: ``[width]``, or ``[row, width]``, of any length but zero.
    """

    direction: Float[Tensor, "*row width"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_vector(self, self.direction)
        if not self.direction.norm(dim=-1).min() > 0:
            raise HintprobeError(f"{self} was given a direction of length zero, along which nothing can be removed.")

    def changed(self, states: States, rows: Reached, places: Reached) -> States:
        """States minus their projection."""
        direction = _per_row(self.direction, rows, states)
        unit: Tensor = direction / direction.norm(dim=-1, keepdim=True)
        return states - (states * unit).sum(-1, keepdim=True) * unit


@dataclass(frozen=True, eq=False)
class Knockout:
    """Takes keys from queries: what stands at the key positions is no longer attended to from the query positions.

    The model's own mask is changed, so its attention kernel stays, sliding windows stay, and no pattern is ever
    materialised. A query never loses itself (Geva et al. 2023, arXiv 2304.14767, section 4, cut edges so).

    Attributes:
        queries, keys: per row, token indices; ``onwards`` takes in tokens yet to be generated.
        layers: blocks whose attention is cut; None is all of them.
    """

    queries: Sequence[Indices]
    keys: Sequence[Indices]
    layers: tuple[int, ...] | None = None

    @classmethod
    def hiding(cls, keys: Sequence[Indices], layers: tuple[int, ...] | None = None) -> "Knockout":
        """Hide keys from every later token, generated ones included."""
        return cls([onwards(min(chosen)) if len(chosen) else () for chosen in keys], keys, layers)

    def __str__(self) -> str:
        return "Knockout" if self.layers is None else f"Knockout in layers {list(self.layers)}"


Edit = SiteEdit | Knockout


@contextmanager
def editing(
    loaded: LoadedModel, batch: PaddedBatch, edits: Sequence[Edit], rows: Sequence[int] | None = None
) -> Iterator[Window]:
    """Apply edits to every forward of the model inside the context; at one site, in the order given.

    Args:
        batch: what the forwards run over, whole. Who decodes with a cache moves the window that is yielded.
        edits: any number; none changes nothing.
        rows: which row of the edits each row of the batch is; by default the same. Whoever gives them spreads the
            edits over several batches, and calls :func:`check_edits` before the first and :func:`check_fired` after
            the last.

    Raises:
        HintprobeError: positions outside a row, a site or a head that the model lacks, a direction of another width,
            or an edit that no forward reached.
    """
    window = Window(batch, int(batch.mask.shape[1]), list(rows if rows is not None else range(len(batch.ids))))
    if rows is None:
        check_edits(edits, batch.mask.sum(-1).tolist())
    at_site: dict[Site, list[SiteEdit]] = defaultdict(list)
    for edit in edits:
        if isinstance(edit, SiteEdit):
            at_site[edit.site].append(edit)
    knockouts = [edit for edit in edits if isinstance(edit, Knockout)]
    with ExitStack() as stack:
        visitors = {site: _visitor(loaded, chosen, window) for site, chosen in at_site.items()}
        stack.enter_context(visiting(loaded.model, visitors))
        if knockouts:
            stack.enter_context(intercepting(loaded.model, _cutter(loaded, knockouts, window)))
        yield window
    if rows is None:
        check_fired(edits, window.fired)


def check_fired(edits: Sequence[Edit], fired: set[int]) -> None:
    """Refuse a result that some edit had no part in.

    Raises:
        HintprobeError: an edit that no forward reached.
    """
    silent = [str(edit) for edit in edits if id(edit) not in fired]
    if silent:
        raise HintprobeError(f"{', '.join(silent)} never fired: no forward reached its positions.")


def check_edits(edits: Sequence[Edit], lengths: Sequence[int]) -> None:
    """Refuse edits whose positions do not fit rows of these lengths.

    Raises:
        HintprobeError: see :func:`~activations.columns.check_positions`.
    """
    for edit in edits:
        if isinstance(edit, SiteEdit):
            check_positions(edit.positions, lengths, str(edit))
        else:
            check_positions(edit.queries, lengths, f"{edit} (queries)")
            check_positions(edit.keys, lengths, f"{edit} (keys)")


def _visitor(loaded: LoadedModel, edits: Sequence[SiteEdit], window: Window) -> Visitor:
    def visit(tensor: Tensor) -> Tensor | None:
        changed = None
        for edit in edits:
            rows, columns, places = window.reached(edit.positions)
            if not len(rows):
                continue
            window.fired.add(id(edit))
            changed = tensor.clone() if changed is None else changed
            part = _part_of(loaded, edit, changed)
            own = torch.tensor(window.rows, device=rows.device)[rows]
            part[rows, columns] = _apply(edit, part[rows, columns], own, places)
        return changed

    return visit


def _part_of(loaded: LoadedModel, edit: SiteEdit, tensor: Tensor) -> Tensor:
    """A view of what the edit changes: everything, or one head."""
    if edit.head is None:
        return tensor
    n_heads, width = head_shape(loaded.model, edit.site.layer)
    if not 0 <= edit.head < n_heads:
        raise HintprobeError(f"{edit}: the model has heads 0 to {n_heads - 1} there.")
    return tensor[..., edit.head * width : (edit.head + 1) * width]


def _apply(edit: SiteEdit, states: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    given = getattr(edit, "values", getattr(edit, "direction", getattr(edit, "mean", None)))
    if given is not None and given.shape[-1] != states.shape[-1]:
        raise HintprobeError(
            f"{edit} was given vectors of width {given.shape[-1]}, and the model is {states.shape[-1]} wide there."
        )
    return edit.changed(states.float(), rows, places).to(states.dtype)


def _cutter(loaded: LoadedModel, knockouts: Sequence[Knockout], window: Window) -> Interceptor:
    if not keeps_all_keys(loaded.model):
        raise HintprobeError(
            f"Attention cannot be knocked out in {type(loaded.model).__name__}: attention is not its only path between "
            "tokens (it has recurrent or convolutional layers), so a cut would hide nothing."
        )
    n_layers = len(decoder_blocks(loaded.model))
    for edit in knockouts:
        if edit.layers is not None and not all(0 <= layer < n_layers for layer in edit.layers):
            raise HintprobeError(f"{edit}: the model has blocks 0 to {n_layers - 1}.")

    seen: dict[int, tuple[tuple[int, int], Tensor | None]] = {}

    def blocked_by(edit: Knockout) -> Tensor | None:
        """The same in every layer of a forward, so made once."""
        stamp = (window.width, window.n_new)
        if id(edit) not in seen or seen[id(edit)][0] != stamp:
            queries, keys = window.marked(edit.queries, window.n_new), window.marked(edit.keys, window.width)
            pairs = queries[:, :, None] & keys[:, None, :]
            seen[id(edit)] = (stamp, pairs if pairs.any() else None)
        return seen[id(edit)][1]

    def blocked(layer: int) -> Tensor | None:
        result = None
        for edit in knockouts:
            if edit.layers is None or layer in edit.layers:
                pairs = blocked_by(edit)
                if pairs is not None:
                    window.fired.add(id(edit))
                    result = pairs if result is None else result | pairs
        return result

    def cut(layer: int, arguments: dict[str, Any]) -> dict[str, Any] | None:
        taken = blocked(layer)
        if taken is None:
            return None
        mask = arguments.get("attention_mask")
        if mask is None:
            # The model skips a mask where it is plainly causal; a cache may keep the latest keys only.
            cache = cache_among(arguments)
            n_keys = window.n_new if cache is None else cache[1].get_mask_sizes(window.n_new, layer)[0]
            mask = causal_mask(window.batch.mask[:, -n_keys:], window.n_new)
        return {**arguments, "attention_mask": without_keys(mask, taken)}

    return cut


def _per_row(vectors: Tensor, rows: Tensor, like: Tensor) -> Tensor:
    vectors = vectors.to(like.device, like.dtype)
    return vectors if vectors.dim() == 1 else vectors[rows]


def _check_vector(edit: SiteEdit, vector: Tensor) -> None:
    if vector.dim() not in (1, 2) or (vector.dim() == 2 and len(vector) != len(edit.positions)):
        raise HintprobeError(
            f"{edit} was given a tensor of shape {tuple(vector.shape)}; [width] or [{len(edit.positions)} rows, width] "
            "was expected."
        )
    _check_finite(edit, vector)


def _check_finite(edit: SiteEdit, values: Tensor) -> None:
    if not torch.isfinite(values).all():
        raise HintprobeError(f"{edit} was given values that are not finite.")
