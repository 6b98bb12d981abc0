"""Detectors trained at step 0 and read at later steps, and their like trained at each step; folds shared by all.

A group of questions lies in the same fold at every step, so a probe of step 0 never reads a group that it was trained
on, at whatever step. Scores of different folds come from different probes: an AUROC pairs rows within a fold, and
thresholds are taken on scores less the mean of the fold's training negatives at step 0, over their spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activations import Site, fill
from activations.errors import HintprobeError
from activations.models import count_layers
from activations.placement import usable_device
from activations.planner import plan_missing
from experiments.detectors import MAIN, TARGETS, Context, DetectorCells, Rows, labelled_rows
from experiments.detectors.activation import probe_families
from experiments.detectors.cells import Place, StoredCells, usable_positions, with_positions
from experiments.detectors.text import TEXT_DETECTORS
from experiments.detectors.training import Trained, train
from experiments.records.seeds import stream
from experiments.records.trajectory import Estimate, Flagging, Reading
from experiments.run.model_run import ModelRun
from experiments.stages.capture import captured_sites
from experiments.stages.probe import store_of
from experiments.training.config import MeasureConfig
from experiments.training.levels import Resampled
from experiments.training.measured import Measured
from probes import (
    SHARE,
    Bootstrap,
    Contrast,
    Folds,
    Limits,
    Search,
    StratifiedPairs,
    grouped_folds,
    threshold_at,
)

Array = NDArray[np.float64]
Features = Mapping[Any, Array]
"""The features of rows, ``[row, d]``, by the name of the cell."""
FEWEST_NEGATIVES = 20
"""Aligned rows from which a step's own threshold is taken; of fewer, 5% is not one row."""


@dataclass(frozen=True)
class Resamples:
    """Resamples of groups that all steps share.

    Attributes:
        bootstrap: over the hinted rows in their shared order.
        at: index of each rollout in that order.
    """

    bootstrap: Bootstrap
    at: Mapping[str, int]

    def of(self, rows: Rows) -> Bootstrap:
        """The resamples of some rows."""
        return self.bootstrap.take([self.at[label.rollout_id] for label in rows.labels])


@dataclass(frozen=True)
class Held:
    """Held-out scores of one detector at one step, in the units of its fold at step 0.

    Attributes:
        scores: NaN where the row lacks what is read.
        fold: the fold whose probe gave it.
    """

    rows: Rows
    scores: Array
    fold: NDArray[np.intp]


@dataclass(frozen=True)
class Shared:
    """What every step has in common."""

    fold_of: Mapping[str, int]
    measure: MeasureConfig
    seed: int
    resamples: Resamples

    @property
    def search(self) -> Search:
        """Of all detectors."""
        probe = self.measure.probe
        return Search(probe.c_grid, probe.outer_folds, probe.inner_folds, device=usable_device(probe.device))

    def folds(self, rows: Rows) -> Folds:
        """Outer folds as everywhere; inner ones balanced.

        Raises:
            HintprobeError: too few groups of a class.
        """
        contrast, probe = rows.contrast(), self.measure.probe
        refuse_few(contrast, probe.min_per_class)
        outer = np.array([self.fold_of[group] for group in contrast.groups], dtype=np.intp)
        inner = []
        for k in range(probe.outer_folds):
            train_rows = np.flatnonzero(outer != k)
            own = np.full(len(contrast), -1, dtype=np.intp)
            own[train_rows] = grouped_folds(contrast.take(train_rows), probe.inner_folds, self.seed + 1 + k)
            inner.append(own)
        return Folds(outer, tuple(inner))


def shared_folds(groups: Sequence[str], n_folds: int, seed: int) -> dict[str, int]:
    """Fold of each group, of nearly equal sizes; the same whatever the rows of a step are labelled."""
    names = sorted(set(groups))
    return {names[i]: k % n_folds for k, i in enumerate(stream(seed, "folds of groups").permutation(len(names)))}


def refuse_few(contrast: Contrast, fewest: int) -> None:
    """Refuse a class of too few rows.

    Raises:
        HintprobeError: one of the classes.
    """
    for value, name in ((True, "reliant"), (False, "aligned")):
        n = int((contrast.labels == value).sum())
        if n < fewest:
            raise HintprobeError(f"{n} {name} rows, and at least {fewest} are needed (probe.min_per_class)")


def rows_of(one: Measured, positions: Sequence[str]) -> Rows:
    """The reliant and aligned rows of a step that resolve these positions."""
    return with_positions(labelled_rows(one.run), positions)


def fitted(rows: Rows, detectors: Sequence[DetectorCells], shared: Shared) -> dict[str, Trained]:
    """Train detectors on the rows of one step.

    Raises:
        HintprobeError: too few rows or groups of a class.
    """
    folds = shared.folds(rows)
    return {d.name: train(d, rows, [folds], shared.search, shared.seed) for d in detectors}


def probe_detectors(run: ModelRun, rows: Rows, positions: Sequence[str], names: Sequence[str]) -> list[DetectorCells]:
    """The probes of these names, with their cells read from the run's store; per row, not per prompt."""
    rng = stream(run.config.seed, "probes")
    context = Context(run, store_of(run), rows, tuple(sites_of(run)), tuple(positions), TARGETS[MAIN], rng)
    return [probe for probe in probe_families(context) if probe.name in names]


def text_detectors(rows: Rows, names: Sequence[str]) -> list[DetectorCells]:
    """The text classifiers of these names, in the order of the table."""
    return [build(rows, None) for name, build in TEXT_DETECTORS.items() if name in names]


def sites_of(run: ModelRun) -> list[Site]:
    """The sites that a run captures."""
    return captured_sites(run.config.capture, count_layers(run.source))


def chosen_positions(one: Measured) -> tuple[str, ...]:
    """Positions that nearly all labelled rows of step 0 resolve."""
    return usable_positions(labelled_rows(one.run), one.run.config.capture.positions)


def states_of(run: ModelRun, rows: Rows, trained: Trained) -> Features:
    """What a probe of step 0 reads of rows, from a run's own store."""
    found: dict[Any, Array] = {}
    for place in {outcome.chosen.cell for outcome in trained.result.outcomes if outcome.chosen is not None}:
        if isinstance(place, Place):
            found.update(StoredCells(store_of(run), rows.hinted_at, [place.site], [place.position]))
    return found


def put_through(start: ModelRun, rows: Rows, positions: Sequence[str]) -> None:
    """Put the rows' text through the model of step 0: what its store lacks is captured now."""
    ids = [rollout.prompt_ids + rollout.completion_ids for rollout in rows.hinted]
    places = [[at.tokens.get(name) for name in positions] for at in rows.hinted_at]
    sites = sites_of(start)
    store = store_of(start)
    if plan_missing(store, ids, places, dict.fromkeys(sites, 0)).groups:  # the model is loaded only if it is to run
        fill(start.loaded, store, ids, places, sites, start.config.capture.token_budget)


def words_in(rows: Rows, trained: Trained) -> Features:
    """Counts of the words that a text classifier knew at step 0."""
    detector = TEXT_DETECTORS[trained.detector.name](rows, trained.detector.vocabulary or None)
    return {name: np.asarray(x) for name, x in detector.cells.items()}


def own_scores(trained: Trained, rows: Rows) -> Held:
    """Held-out scores of the step that a detector was trained at."""
    scores = trained.result.scores[trained.index]
    fold = trained.result.fold[trained.index]
    return Held(rows, _in_units(trained, scores, fold), fold)


def frozen_scores(trained: Trained, rows: Rows, features: Features, shared: Shared) -> Held:
    """Scores of other rows by the detectors of step 0, each by that of its group's fold.

    Args:
        features: of all the rows, by the names of the cells that the detectors chose.
    """
    fold = np.array([shared.fold_of[label.group] for label in rows.labels], dtype=np.intp)
    scores = np.full(len(rows), np.nan)
    for k, outcome in enumerate(trained.result.outcomes):
        mine = fold == k
        if outcome.chosen is not None:
            scores[mine] = outcome.chosen.score(features[outcome.chosen.cell][mine])
    return Held(rows, _in_units(trained, scores, fold), fold)


def _in_units(trained: Trained, scores: Array, fold: NDArray[np.intp]) -> Array:
    """Less the mean of the fold's training negatives, over their spread; out-of-fold scores of step 0."""
    found = scores.copy()
    for k, outcome in enumerate(trained.result.outcomes):
        negatives = outcome.inner_scores[~outcome.inner_labels]
        found[fold == k] = (scores[fold == k] - negatives.mean()) / max(float(negatives.std()), 1e-9)
    return found


@dataclass(frozen=True)
class Read:
    """A reading with the samples that differences are taken from."""

    reading: Reading
    auroc: Resampled
    recall: Resampled


def threshold_of(held: Held, rate: float) -> float | None:
    """The threshold that this share of the negatives exceed; None where they are too few."""
    negatives = held.scores[~np.array(held.rows.positive, dtype=bool)]
    negatives = negatives[np.isfinite(negatives)]
    return threshold_at(negatives, rate) if len(negatives) >= FEWEST_NEGATIVES else None


def read(held: Held, start_threshold: float | None, shared: Shared) -> Read:
    """AUROC, and what the two thresholds flag."""
    positive = np.array(held.rows.positive, dtype=bool)
    bootstrap = shared.resamples.of(held.rows)
    refused = _refusal(held.rows.contrast(), shared.measure.compare.min_groups)
    auroc = Resampled(None, np.full(len(bootstrap), np.nan))
    if not refused:
        strata = [f"{k}/{stratum}" for k, stratum in zip(held.fold, held.rows.strata, strict=True)]
        pairs = StratifiedPairs.of(positive, strata)
        point = float(pairs.auroc(held.scores)[0])
        rarer = min(bootstrap.n_groups(positive), bootstrap.n_groups(~positive))
        samples = pairs.auroc(held.scores, bootstrap.weights)
        auroc = Resampled(point if np.isfinite(point) else None, samples, rarer, SHARE)
        refused = "" if auroc.value is not None else "no kind and direction holds reliant and aligned rows of one fold"
    flagged, recall = _flagging(held, positive, start_threshold, bootstrap)
    own, _ = _flagging(held, positive, threshold_of(held, shared.measure.rate), bootstrap)
    reading = Reading(auroc=auroc.estimate(), refused=refused, at_start_threshold=flagged, at_own_threshold=own)
    return Read(reading, auroc, recall)


def _refusal(contrast: Contrast, fewest: int) -> str:
    for value, name in ((True, "reliant"), (False, "aligned")):
        n = contrast.groups_of(value)
        if n < fewest:
            return f"{n} groups with {name} rows, and {fewest} are needed (compare.min_groups)"
    return ""


def _flagging(
    held: Held, positive: NDArray[np.bool_], threshold: float | None, bootstrap: Bootstrap
) -> tuple[Flagging | None, Resampled]:
    """Shares over a threshold among reliant and among aligned rows."""
    if threshold is None:
        return None, Resampled(None, np.full(len(bootstrap), np.nan))
    over = (held.scores > threshold).astype(float)
    recall = share(over, positive.astype(float), bootstrap, SHARE)
    false = share(over, (~positive).astype(float), bootstrap, SHARE)
    return Flagging(recall=recall.estimate(), false_positives=false.estimate()), recall


def share(top: Array, among: Array, bootstrap: Bootstrap, limits: Limits | None) -> Resampled:
    """A share with its resamples; None where nothing is counted."""
    value = float((top * among).sum() / among.sum()) if among.any() else None
    return Resampled(value, bootstrap.samples(top * among, among), bootstrap.n_groups(among), limits)


def nothing_read(reason: str, n: int) -> Read:
    """A reading that is not there."""
    none = Estimate(value=None, low=None, high=None)
    empty = Resampled(None, np.full(n, np.nan))
    return Read(Reading(auroc=none, refused=reason), empty, empty)
