"""Attribution patching: every cell's effect estimated from one forward and one backward, then checked by patching.

Nanda 2023 (attribution patching) and Kramár et al. 2024 (AtP*, arXiv 2403.00745, section 3.1). The first-order
estimate is gradient × (source − base). Where an attention is saturated its gradient vanishes, and a patch that would
move it is missed; AtP* therefore evaluates the softmax for patched queries and keys instead of linearising it. Nodes
here are states of the residual stream, which the queries and keys of the next attention read: that attention is
evaluated, and only what lies above it is linear. States inside a block (attn_out, mlp_out, head_z) are not read by an
attention before they are summed, and keep the plain estimate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from activations import LoadedModel, Site, visiting
from activations.abilities import padded_left
from activations.batching import by_length
from activations.errors import HintprobeError
from activations.forward import forward
from activations.hooks import Visitor
from activations.partial import KeptRun, keep_run
from activations.sites import decoder_blocks
from probes.arrays import Array
from probes.patching.engine import Patch, default_budget, grouped, part_of, putter, starts_of
from probes.patching.grid import Cell, PatchEffects, grid_cells, patch_pairs
from probes.patching.pairs import PatchPair


def attribute(
    loaded: LoadedModel,
    pairs: Sequence[PatchPair],
    sites: Sequence[Site],
    *,
    heads: bool = False,
    evaluate_attention: bool = True,
    token_budget: int = 8192,
) -> dict[Cell, Array]:
    """Estimate what patching each cell adds to the logit difference.

    Args:
        heads: at head_z sites, every head by itself.
        evaluate_attention: evaluate the attention that reads a patched stream, at the cost of that attention per cell;
            without it, or in blocks whose attention and MLP are parallel, the estimate is first-order throughout.

    Returns:
        Estimated logit difference of the patched run minus the base run's, ``[pair]`` per cell; NaN where a pair lacks
        the cell.
    """
    if not pairs:
        raise HintprobeError("There are no pairs to attribute.")
    cells = list(grid_cells(loaded, sites, pairs, heads))
    estimates = {cell: np.full(len(pairs), np.nan) for cell in cells}
    for indices in by_length([max(len(p.base_ids), len(p.source_ids)) for p in pairs], token_budget):
        batch = _Batch.run(loaded, [pairs[i] for i in indices], sites, evaluate_attention)
        evaluated: list[tuple[int, Cell, Patch]] = []
        for row, index in enumerate(indices):
            for cell in cells:
                patch = batch.patch(row, cell)
                if patch is None:
                    continue
                estimates[cell][index] = batch.first_order(patch)
                if Site(_reader(cell.site), "resid_mid") in batch.gradients and _is_stream(cell.site):
                    evaluated.append((index, cell, patch))
        for (index, cell, _), value in zip(
            evaluated, batch.through_attention([p for _, _, p in evaluated]), strict=True
        ):
            estimates[cell][index] = value
    return estimates


def _is_stream(site: Site) -> bool:
    return site.component in ("resid_pre", "resid_post")


def _reader(site: Site) -> int:
    """The block whose attention reads a state of the stream."""
    return site.layer + (site.component == "resid_post")


@dataclass(frozen=True)
class _Batch:
    """Both runs of some pairs, and the gradient of the base run's logit difference at every site."""

    pairs: list[PatchPair]
    base: KeptRun
    source: KeptRun
    gradients: Mapping[Site, Tensor]

    @classmethod
    def run(cls, loaded: LoadedModel, pairs: list[PatchPair], sites: Sequence[Site], evaluate: bool) -> "_Batch":
        n_layers = len(decoder_blocks(loaded.model))
        readers = {_reader(site) for site in sites if _is_stream(site)} - {n_layers}
        middle = [Site(layer, "resid_mid") for layer in sorted(readers)] if evaluate else []
        try:
            gradients = _gradients(loaded, pairs, [*sites, *middle])
        except HintprobeError:
            if not middle:
                raise
            # Parallel blocks have no state between attention and MLP.
            gradients, middle = _gradients(loaded, pairs, sites), []
        base, source = (
            keep_run(loaded, padded_left(loaded, rows), [*sites, *middle])
            for rows in ([pair.base_ids for pair in pairs], [pair.source_ids for pair in pairs])
        )
        return cls(pairs, base, source, gradients)

    def patch(self, row: int, cell: Cell) -> Patch | None:
        pair = self.pairs[row]
        where = pair.source_positions(cell.position) if cell.position in pair.positions else None
        if where is None:
            return None
        columns = [p + int(self.source.batch.offset[row]) for p in where]
        states = part_of(self.source, cell.site, cell.head, self.source.state(cell.site)[row, columns])
        return Patch(row, cell.site, pair.positions[cell.position], states, cell.head)

    def first_order(self, patch: Patch) -> float:
        columns = [p + int(self.base.batch.offset[patch.row]) for p in patch.positions]
        clean = part_of(self.base, patch.site, patch.head, self.base.state(patch.site)[patch.row, columns])
        slope = part_of(self.base, patch.site, patch.head, self.gradients[patch.site][patch.row, columns])
        return float(((patch.values.float() - clean.float()) * slope.float()).sum())

    @torch.no_grad()
    def through_attention(self, patches: Sequence[Patch]) -> list[float]:
        """Estimates with the next attention evaluated; a patch that changes nothing has none."""
        kept, values = self.base, [0.0] * len(patches)
        for site, members in starts_of(kept, patches)[1].items():
            middle = Site(site.layer, "resid_mid")
            for group in grouped(members, kept.width, default_budget(kept)):
                first = group[0].column
                rows = torch.tensor([start.patch.row for start in group], device=kept.batch.ids.device)
                stream = putter(kept, site, group, first)(kept.streams[site.layer][rows, first:])
                moved = kept.after_attention(site.layer, first, rows, stream) - kept.state(middle)[rows, first:]
                slopes = self.gradients[middle][rows, first:]
                for start, value in zip(group, (moved.float() * slopes.float()).sum((1, 2)).tolist(), strict=True):
                    values[start.index] = value
        return values


def _gradients(loaded: LoadedModel, pairs: Sequence[PatchPair], sites: Sequence[Site]) -> dict[Site, Tensor]:
    """Gradient of every pair's logit difference at each site, ``[batch, seq, width]``."""
    batch = padded_left(loaded, [pair.base_ids for pair in pairs])
    tokens = torch.tensor([[pair.base_token, pair.source_token] for pair in pairs], device=loaded.device)
    seen: dict[Site, Tensor] = {}

    def keeper(site: Site) -> Visitor:
        def keep(states: Tensor) -> Tensor | None:
            start = site == Site(0, "resid_pre")
            seen[site] = states.detach().requires_grad_() if start else states
            return seen[site] if start else None

        return keep

    wanted = {*sites, Site(0, "resid_pre")}
    with torch.enable_grad(), visiting(loaded.model, {site: keeper(site) for site in wanted}):
        output = forward(loaded.model, batch, last_only=True)
        chosen = output.logits[:, -1].float().gather(1, tokens)
        found = torch.autograd.grad((chosen[:, 0] - chosen[:, 1]).sum(), [seen[site] for site in sites])
    return dict(zip(sites, found, strict=True))


@dataclass(frozen=True)
class Screening:
    """A grid screened by attribution, and what true patching says of the screen.

    Attributes:
        estimates: recovery that attribution expects of each cell, a ratio of means over pairs.
        top: the cells it ranks first, by size.
        sample: cells drawn at random from the whole grid.
        true: recovery by patching, of every cell in ``top`` and ``sample``.
        correlation: Pearson's, between estimate and truth over the random sample; NaN under three cells.
        rank_correlation: Spearman's.
        false_negative_rate: estimated share of the cells whose true recovery is at least ``threshold`` in size that are
            not in ``top``; NaN where no such cell was seen.
        effects: what patching gave.
    """

    estimates: Mapping[Cell, float]
    top: tuple[Cell, ...]
    sample: tuple[Cell, ...]
    true: Mapping[Cell, float]
    correlation: float
    rank_correlation: float
    threshold: float
    false_negative_rate: float
    effects: PatchEffects


def screen(
    loaded: LoadedModel,
    pairs: Sequence[PatchPair],
    sites: Sequence[Site],
    *,
    top: int,
    sample: int,
    rng: np.random.Generator,
    threshold: float = 0.1,
    heads: bool = False,
    evaluate_attention: bool = True,
    token_budget: int = 8192,
) -> Screening:
    """Estimate every cell, patch the most promising and a random sample, and say how good the screen was.

    Args:
        top: cells taken from the head of the ranking.
        sample: cells drawn at random; the screen's errors are judged on these.
        threshold: recovery, in size, from which a cell counts as one that should have been found.

    Raises:
        HintprobeError: nothing to verify with.
    """
    if top < 1 or sample < 1:
        raise HintprobeError(f"A screen was asked for with top {top} and sample {sample}; both must be at least 1.")
    found = attribute(
        loaded, pairs, sites, heads=heads, evaluate_attention=evaluate_attention, token_budget=token_budget
    )
    cells = [cell for cell, values in found.items() if not np.isnan(values).all()]
    size = {cell: abs(np.nanmean(found[cell])) for cell in cells}
    ranked = tuple(sorted(cells, key=lambda cell: -size[cell])[:top])
    drawn = tuple(cells[k] for k in rng.choice(len(cells), min(sample, len(cells)), replace=False))
    effects = patch_pairs(loaded, pairs, sites, heads=heads, token_budget=token_budget, only={*ranked, *drawn})
    gaps = effects.base["logit_difference"] - effects.source["logit_difference"]
    estimates = {}
    for cell in cells:
        there = ~np.isnan(found[cell])
        estimates[cell] = float(-found[cell][there].sum() / gaps[there].sum())
    true = {cell: effects.recovery(cell).ratio for cell in effects.patched}
    pearson, spearman = _correlations([estimates[c] for c in drawn], [true[c] for c in drawn])
    return Screening(
        estimates,
        ranked,
        drawn,
        true,
        pearson,
        spearman,
        threshold,
        _missed(cells, ranked, drawn, true, threshold),
        effects,
    )


def _missed(
    cells: Sequence[Cell], ranked: Sequence[Cell], drawn: Sequence[Cell], true: Mapping[Cell, float], threshold: float
) -> float:
    """Share of large cells outside the ranking's head, the outside known from its part of the random sample alone."""
    inside = sum(abs(true[cell]) >= threshold for cell in ranked)
    outside = [cell for cell in drawn if cell not in ranked]
    share = np.mean([abs(true[cell]) >= threshold for cell in outside]) if outside else 0.0
    missed = float(share) * (len(cells) - len(ranked))
    return missed / (missed + inside) if missed + inside else float("nan")


def _correlations(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    from scipy.stats import pearsonr, spearmanr

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan"), float("nan")
    return float(pearsonr(first, second).statistic), float(spearmanr(first, second).statistic)
