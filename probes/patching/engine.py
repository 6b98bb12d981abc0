"""Many patched runs of one kept run: grouped, each from its own block and token on.

A patch replaces states of one row at one site. What it cannot reach is not computed: blocks below it, tokens before it,
and, in the last block, every query but the last.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from activations import Replace, Site, editing
from activations.batching import PaddedBatch
from activations.errors import HintprobeError
from activations.hooks import head_shape
from activations.partial import KeptRun
from probes.readout import last_logits

_FORWARD_COST = 32
"""Tokens that one more forward is worth, when groups are formed."""
_MOST_CELLS = 32
_READ_TOGETHER = 64


@dataclass(frozen=True, eq=False)
class Patch:
    """States to put into one row of a kept run.

    Attributes:
        row: of the batch.
        site: where; with ``head``, one head of head_z.
        positions: unpadded token indices.
        values: ``[position, width]``.
    """

    row: int
    site: Site
    positions: tuple[int, ...]
    values: Float[Tensor, "position width"]
    head: int | None = None


@dataclass
class Account:
    """What a number of patched runs cost.

    Attributes:
        cells: patched runs asked for.
        without_effect: of these, those that cannot change the readout and were not run.
        forwards: runs of a group of cells.
        work: tokens times blocks computed, in units of one row's whole forward.
        whole: cells that were run as whole forwards, as the model cannot be run from the middle.
    """

    cells: int = 0
    without_effect: int = 0
    forwards: int = 0
    work: float = 0.0
    whole: int = 0


@dataclass(frozen=True, eq=False)
class Start:
    """A patch and the column of the batch that its run starts at."""

    index: int
    patch: Patch
    columns: list[int] = field(default_factory=list)

    @property
    def column(self) -> int:
        """The first of its columns, where the run starts."""
        return self.columns[0]


def default_budget(kept: KeptRun) -> int:
    """Tokens per forward that keep a processor's caches, or a GPU, busy."""
    width = int(kept.streams[0].shape[-1])
    return max(256, (2**27 if kept.loaded.device.type == "cuda" else 2**19) // width)


@torch.no_grad()
def run_patches(
    kept: KeptRun, patches: Sequence[Patch], account: Account | None = None, budget: int | None = None
) -> Iterator[tuple[list[int], Float[Tensor, "cell vocabulary"]]]:
    """Logits at the last token of every patched run, in whatever order is fast.

    Args:
        budget: tokens per forward, at least one cell; by default set by the model's width and device.

    Yields:
        Indices into ``patches`` and their logits.

    Raises:
        HintprobeError: logits that are not finite, or a patch that does not fit.
    """
    account = account if account is not None else Account()
    budget = budget or default_budget(kept)
    account.cells += len(patches)
    idle, starts = starts_of(kept, patches)
    if idle:
        account.without_effect += len(idle)
        rows = torch.tensor([patches[i].row for i in idle], device=kept.logits.device)
        yield idle, kept.logits[rows]
    whole = not kept.can_start_in_the_middle
    pending: list[tuple[list[int], Tensor]] = []
    for site, members in starts.items():
        for group in grouped(members, kept.width, budget):
            indices = [start.index for start in group]
            if whole:
                account.whole += len(group)
                account.work += len(group)
                yield indices, _finite(_whole_forwards(kept, site, group))
                continue
            account.forwards += 1
            account.work += _work(kept, site, group)
            pending.append((indices, _last_states(kept, site, group)))
            if sum(len(done) for done, _ in pending) >= _READ_TOGETHER:
                yield _read(kept, pending)
                pending = []
    if pending:
        yield _read(kept, pending)


def starts_of(kept: KeptRun, patches: Sequence[Patch]) -> tuple[list[int], dict[Site, list[Start]]]:
    """Patches without any effect, and the others by the site they start at."""
    offsets = kept.batch.offset.tolist()
    idle: list[int] = []
    starts: dict[Site, list[Start]] = defaultdict(list)
    for index, given in enumerate(patches):
        patch = _trimmed(kept, _from_next_block(kept, given))
        if patch.positions:
            starts[patch.site].append(Start(index, patch, [p + offsets[patch.row] for p in patch.positions]))
        else:
            idle.append(index)
    return idle, starts


def _from_next_block(kept: KeptRun, patch: Patch) -> Patch:
    """What leaves a block enters the next one."""
    site = patch.site
    if site.component == "resid_post" and site.layer + 1 < kept.n_layers:
        return replace(patch, site=Site(site.layer + 1, "resid_pre"))
    return patch


def _trimmed(kept: KeptRun, patch: Patch) -> Patch:
    """Without the positions that are not changed, or whose change no later computation reads."""
    length = kept.width - int(kept.batch.offset[patch.row])
    if len(patch.values) != len(patch.positions) or not all(0 <= p < length for p in patch.positions):
        raise HintprobeError(
            f"A patch at {patch.site} has {len(patch.values)} states for positions {list(patch.positions)} of a row of "
            f"{length} tokens."
        )
    unread = patch.site.layer == kept.n_layers - 1 and patch.site.component != "resid_pre"
    columns = torch.tensor(patch.positions, device=kept.batch.ids.device) + kept.batch.offset[patch.row]
    clean = part_of(kept, patch.site, patch.head, kept.state(patch.site))[patch.row, columns]
    values = patch.values.to(clean.device, clean.dtype)
    if values.shape != clean.shape:
        raise HintprobeError(
            f"A patch at {patch.site} has states of width {values.shape[-1]}, and the model is {clean.shape[-1]} wide."
        )
    changed = (values != clean).any(-1).tolist()
    keep = sorted(
        (k for k, p in enumerate(patch.positions) if changed[k] and not (unread and p != length - 1)),
        key=lambda k: patch.positions[k],
    )
    return replace(patch, positions=tuple(patch.positions[k] for k in keep), values=values[keep])


def part_of(kept: KeptRun, site: Site, head: int | None, states: Tensor) -> Tensor:
    """A view of a site's states: all of them, or one head's."""
    if head is None:
        return states
    n_heads, width = head_shape(kept.loaded.model, site.layer)
    if not 0 <= head < n_heads:
        raise HintprobeError(f"Head {head} was named at {site}; the model has heads 0 to {n_heads - 1} there.")
    return states[..., head * width : (head + 1) * width]


def grouped(starts: Sequence[Start], width: int, budget: int) -> Iterator[list[Start]]:
    """Cells that start at nearby columns share a forward; the cut with the fewest tokens in all is taken.

    A forward starts at its first cell's column, so every other cell in it computes a few tokens for nothing.
    """
    order = sorted(starts, key=lambda start: start.column)
    best = [0.0]
    cut = [0]
    for end in range(1, len(order) + 1):
        options: list[tuple[float, int]] = []
        for begin in range(end - 1, max(-1, end - 1 - _MOST_CELLS), -1):
            tokens = (end - begin) * (width - order[begin].column)
            if tokens > budget and options:
                break
            options.append((best[begin] + tokens + _FORWARD_COST, begin))
        cost, begin = min(options)
        best.append(cost)
        cut.append(begin)
    end = len(order)
    groups = []
    while end > 0:
        groups.append(order[cut[end] : end])
        end = cut[end]
    yield from reversed(groups)


def _work(kept: KeptRun, site: Site, group: Sequence[Start]) -> float:
    share = (kept.width - group[0].column) / kept.width
    return len(group) * share * (kept.n_layers - site.layer) / kept.n_layers


def _last_states(kept: KeptRun, site: Site, group: Sequence[Start]) -> Tensor:
    """What leaves the last block at the last token, ``[cell, d_model]``."""
    rows = torch.tensor([start.patch.row for start in group], device=kept.batch.ids.device)
    first = group[0].column
    if site.component == "resid_post":
        return torch.cat([start.patch.values for start in group])
    put = putter(kept, site, group, first)
    stream = kept.streams[site.layer][rows, first:]
    if site.component == "resid_pre":
        return kept.last_state(site.layer, first, rows, put(stream))
    return kept.last_state(site.layer, first, rows, stream, {site: put})


def putter(kept: KeptRun, site: Site, group: Sequence[Start], first: int) -> Callable[[Tensor], Tensor]:
    """Puts every cell's states into its row; ``first`` is the batch's column that the given states begin with."""
    cells = [k for k, start in enumerate(group) for _ in start.columns]
    columns = [column for start in group for column in start.columns]

    def put(states: Tensor) -> Tensor:
        # In the last block the states are those of the last token alone.
        shift = kept.width - states.shape[1]
        changed = states.clone()
        if all(start.patch.head is None for start in group):
            changed[cells, [c - shift for c in columns]] = torch.cat([start.patch.values for start in group])
            return changed
        for k, start in enumerate(group):
            part = part_of(kept, site, start.patch.head, changed[k])
            part[[c - shift for c in start.columns]] = start.patch.values
        return changed

    return put


def _whole_forwards(kept: KeptRun, site: Site, group: Sequence[Start]) -> Tensor:
    """The same by whole forwards, one head at a time."""
    logits = torch.empty(len(group), kept.logits.shape[-1], device=kept.logits.device)
    for head in {start.patch.head for start in group}:
        chosen = [k for k, start in enumerate(group) if start.patch.head == head]
        patches = [group[k].patch for k in chosen]
        rows = torch.tensor([patch.row for patch in patches], device=kept.batch.ids.device)
        batch = PaddedBatch(kept.batch.ids[rows], kept.batch.mask[rows], kept.batch.offset[rows])
        values = torch.nn.utils.rnn.pad_sequence([patch.values for patch in patches], batch_first=True)
        edit = Replace(site, [patch.positions for patch in patches], head, values=values)
        with editing(kept.loaded, batch, [edit]):
            logits[chosen] = last_logits(kept.loaded, batch)
    return logits


def _read(kept: KeptRun, pending: Sequence[tuple[list[int], Tensor]]) -> tuple[list[int], Tensor]:
    logits = kept.read(torch.cat([last for _, last in pending]))
    return [index for indices, _ in pending for index in indices], _finite(logits)


def _finite(logits: Tensor) -> Tensor:
    if not torch.isfinite(logits).all():
        raise HintprobeError(
            "The logits after a patch are not finite. The states that were put in are too large for the dtype, or not "
            "numbers themselves: load the model in bfloat16 or float32, or check where the states come from."
        )
    return logits
