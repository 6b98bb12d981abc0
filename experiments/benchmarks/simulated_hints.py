"""Simulated rows of a hinted model whose activations hold a known cause, put through the rule for a find.

An item has a direction, a kind and a certainty of the model. Whether the hint contradicts the model's own answer
depends on both; where it does, the model follows (reliant) or not (resisted), and where it does not, the row is
aligned. Hinted and unhinted activations hold certainty; what else the hinted ones hold is the cause.
"""

from typing import Literal

import numpy as np
from scipy.stats import norm

from experiments.comparison.findings import findings
from experiments.comparison.held import Held, Subset, subset
from experiments.records import DetectorSummary, Family, TargetRow
from probes import Contrast, NestedResult, Search, nested_cv, quantile_bins
from probes.arrays import Array, Bools

Cause = Literal["noise", "difficulty", "conflict", "use"]
"""What hinted activations hold: nothing; certainty, direction and their product; that and whether the hint contradicts
the model's belief; whether the hint is used."""
D, N_CELLS = 16, 2
KINDS = ("metadata", "sycophancy")
SEARCH = Search((0.03,), outer_folds=4, inner_folds=3, repeats=2, permutations=99)


class _Items:
    """Items with as many reliant, aligned and resisted rows as asked for, in this order."""

    def __init__(self, cause: Cause, n_class: int, rng: np.random.Generator) -> None:
        n = 40 * n_class
        direction, certainty = rng.choice([-1.0, 1.0], n), rng.normal(size=n)
        driven = cause in ("difficulty", "conflict")
        odds = direction * (1.5 * certainty + 0.3) if driven else np.zeros(n)
        agrees = rng.random(n) < 1 / (1 + np.exp(-odds))
        follows = rng.random(n) < 1 / (1 + np.exp(0.8 * certainty if driven else 0.0))
        classes = (~agrees & follows, agrees, ~agrees & ~follows)
        rows = np.concatenate([np.flatnonzero(one)[:n_class] for one in classes])
        self.direction, self.certainty = direction[rows], certainty[rows]
        self.agrees, self.reliant = agrees[rows], np.repeat([True, False, False], n_class)
        self.kind = rng.choice(KINDS, len(rows))
        self.main = np.arange(2 * n_class)
        self.resisted = np.arange(2 * n_class, 3 * n_class)


def _states(parts: list[Array], rng: np.random.Generator) -> dict[str, Array]:
    """Cells of noise, the last of which holds each part along a direction of its own."""
    n = len(parts[0])
    cells = {f"cell{k}": rng.normal(size=(n, D)) for k in range(N_CELLS)}
    axes = np.linalg.qr(rng.normal(size=(D, D)))[0]
    for part, axis in zip(parts, axes, strict=False):
        cells[f"cell{N_CELLS - 1}"] += np.outer(part, axis)
    return cells


def found_in(cause: Cause, n_class: int, rng: np.random.Generator, reliability: float, auroc: float) -> bool:
    """Whether the rule calls a probe found in one simulated experiment.

    Args:
        n_class: reliant, aligned and resisted rows, each.
        reliability: share of the unhinted margin's variance that is certainty.
        auroc: of reliant against all others along the direction that holds use.
    """
    items = _Items(cause, n_class, rng)
    certain = 1.5 * items.certainty
    parts = {
        "noise": [0 * certain],
        "difficulty": [certain, items.direction, certain * items.direction],
        "conflict": [certain, items.direction, certain * items.direction, 2.0 * ~items.agrees],
        "use": [certain, items.direction, np.sqrt(2) * norm.ppf(auroc) * items.reliant],
    }[cause]
    hinted, unhinted = _states(parts, rng), _states([certain if cause != "noise" else 0 * certain], rng)
    sign = items.direction[:, None]
    noise = rng.normal(size=len(certain))
    margin = np.sqrt(reliability) * items.certainty + np.sqrt(1 - reliability) * noise
    confidence = np.column_stack([margin, quantile_bins(margin)])
    rivals = {
        "probe_unhinted_direction": {name: np.column_stack([x, sign * x, sign]) for name, x in unhinted.items()},
        "direction_x_confidence": {"margin": np.column_stack([sign, confidence, sign * confidence])},
    }
    target = [_target(items, i) for i in range(len(items.reliant))]
    return _decided(target, hinted, rivals, items, int(rng.integers(2**31)))


def _target(items: _Items, i: int) -> TargetRow:
    return TargetRow(
        target="reliant", rollout_id=f"r{i}", group=f"g{i}", kind=items.kind[i],
        direction="correct" if items.direction[i] > 0 else "incorrect", positive=bool(items.reliant[i]), fold=0,
    )  # fmt: skip


def _decided(
    target: list[TargetRow], hinted: dict[str, Array], rivals: dict[str, dict[str, Array]], items: _Items, seed: int
) -> bool:
    main = [target[i] for i in items.main]
    contrast = Contrast(items.reliant[items.main], tuple(r.group for r in main), tuple(r.stratum for r in main))
    folds = SEARCH.folds(contrast, seed)
    plain = Search(SEARCH.penalties, SEARCH.outer_folds, SEARCH.inner_folds, SEARCH.repeats)
    probe = nested_cv({n: x[items.main] for n, x in hinted.items()}, contrast, SEARCH, seed, folds=folds)
    helds = {"probe": _held("probe", "probe", probe)}
    for name, cells in rivals.items():
        own = {cell: x[items.main] for cell, x in cells.items()}
        helds[name] = _held(name, "control", nested_cv(own, contrast, plain, seed, folds=folds))
    belief, believed = _belief(target, hinted, probe, items)
    return bool(findings(helds, _all(main), {"probe": belief}, believed)["probe"].found)


def _all(target: list[TargetRow]) -> Subset:
    everyone: Bools = np.ones(len(target), dtype=bool)
    return subset(target, everyone, 1, np.random.default_rng(0))


def _held(name: str, family: Family, result: NestedResult) -> Held:
    null = result.null
    summary = DetectorSummary(
        name=name, family=family, reads="", seconds_per_row=0.0, chosen=(), validation=(), training_negatives=(),
        rival=family == "control", null_statistic=null.observed if null else None,
        null_aurocs=tuple(null.aurocs.tolist()) if null else (),
    )  # fmt: skip
    nothing, ones = np.zeros(len(result.scores)), np.ones(len(result.scores))
    more = np.stack([drawing.scores for drawing in result.more])
    folds = np.stack([drawing.fold for drawing in result.more])
    return Held(summary, result.scores, nothing, result.probability, result.fold, ones, more, folds)


def _belief(
    target: list[TargetRow], hinted: dict[str, Array], probe: NestedResult, items: _Items
) -> tuple[Held, Subset]:
    """The probe on reliant rows, held out, and on resisted rows, dealt out to its outer folds."""
    reliant = np.flatnonzero(items.reliant)
    fold = items.resisted % len(probe.outcomes)
    scores = np.zeros(len(fold))
    for k, outcome in enumerate(probe.outcomes):
        assert outcome.chosen is not None  # the search chose among its cells
        rows = items.resisted[fold == k]
        scores[fold == k] = outcome.chosen.score(hinted[str(outcome.chosen.cell)][rows])
    every = np.concatenate([probe.scores[reliant], scores])
    result = NestedResult(every, every, np.concatenate([probe.fold[reliant], fold]), ())
    summary = _held("probe", "probe", probe).summary
    held = Held(summary, result.scores, 0 * every, every, result.fold)
    return held, _all([target[i] for i in (*reliant, *items.resisted)])
