"""Measured checkpoints → the trajectory: probes in their readings, differences from step 0, and what levels off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activations.errors import HintprobeError
from experiments.comparison.faithfulness import METRIC_ROWS, metrics_of_sums
from experiments.detectors import Rows
from experiments.detectors.training import Trained
from experiments.records.seeds import stream
from experiments.records.trajectory import Trajectory
from experiments.run.progress import Reporter
from experiments.run.provenance import provenance
from experiments.training.config import TrainingConfig
from experiments.training.followed import followed
from experiments.training.levels import Resampled, level_of
from experiments.training.measured import Measured, faithfulness_terms, ratio_terms
from experiments.training.points import Figures, checkpoint_of
from experiments.training.readings import (
    Held,
    Read,
    Resamples,
    Shared,
    chosen_positions,
    fitted,
    frozen_scores,
    nothing_read,
    own_scores,
    probe_detectors,
    put_through,
    read,
    rows_of,
    share,
    shared_folds,
    states_of,
    text_detectors,
    threshold_of,
    words_in,
)
from experiments.training.workplace import Workplace
from probes import SHARE, cluster_bootstrap

Array = NDArray[np.float64]
LEVELLED = (
    "hack_rate", "verbalized_share", "admitted_share", "accuracy", "raw_faithfulness", "normalised_faithfulness",
    "judge_recall", "probe_refit_auroc", "probe_frozen_auroc", "probe_reread_auroc", "probe_frozen_recall",
    "probe_reread_recall",
)  # fmt: skip


@dataclass(frozen=True)
class _Start:
    """Step 0 as later steps need it.

    Attributes:
        thresholds: of each detector, on held-out rows of step 0.
    """

    one: Measured
    positions: tuple[str, ...]
    probes: dict[str, Trained]
    texts: dict[str, Trained]
    thresholds: dict[str, float | None]
    note: str


def assemble(config: TrainingConfig, steps: Sequence[Measured], reporter: Reporter) -> Trajectory:
    """The trajectory of checkpoints that are measured, step 0 first."""
    first = steps[0]
    groups = [label.group for label in first.labels]
    rng = stream(config.seed, "trajectory")
    bootstrap = cluster_bootstrap(groups, config.measure.compare.bootstrap, rng)
    at = {label.rollout_id: k for k, label in enumerate(first.labels)}
    fold_of = shared_folds(groups, config.measure.probe.outer_folds, config.seed)
    shared = Shared(fold_of, config.measure, config.seed, Resamples(bootstrap, at))
    start = _start(first, shared)
    notes = [start.note] if start.note else []
    figures, points = [], []
    with reporter.bar("probes and differences", len(steps)) as tick:
        for one in steps:
            probes, texts = _readings(one, start, shared)
            own = _figures(one, shared, probes[config.measure.headline] if probes else None)
            figures.append(own)
            points.append(checkpoint_of(one, own, figures[0], probes, texts))
            tick(1)
    first.run.__dict__.pop("loaded", None)
    numbers = [one.step for one in steps]
    return Trajectory(
        name=config.name,
        model=config.model,
        environment=None if config.others else config.train.environment,
        hacked_kinds=first.hacked,
        judge=first.judge,
        reference=first.reference,
        headline=config.measure.headline,
        checkpoints=tuple(points),
        levels={name: level_of(numbers, [own[name] for own in figures]) for name in LEVELLED},
        steps=() if config.others else tuple(Workplace(config.training_dir).steps.read()),
        followed=followed(steps, config.measure.followed),
        notes=tuple(notes),
        provenance=provenance_of(config),
    )


def provenance_of(config: TrainingConfig) -> dict[str, Any]:
    """What a reader needs to measure the same again."""
    return dict(provenance(config.measured([config.model]))) | {"training": config.model_dump(mode="json")}


def _start(first: Measured, shared: Shared) -> _Start:
    """Train what is frozen; where step 0 has too few rows for it, say so and go on without."""
    measure = shared.measure
    try:
        positions = chosen_positions(first)
        rows = rows_of(first, positions)
        probes = fitted(rows, probe_detectors(first.run, rows, positions, measure.probes), shared)
        texts = fitted(rows, text_detectors(rows, measure.texts), shared)
    except HintprobeError as error:
        return _Start(first, (), {}, {}, {}, f"No detector could be trained at step {first.step}: {error}")
    every = probes | texts
    thresholds = {name: threshold_of(own_scores(one, rows), measure.rate) for name, one in every.items()}
    return _Start(first, positions, probes, texts, thresholds, "")


def _readings(
    one: Measured, start: _Start, shared: Shared
) -> tuple[dict[str, dict[str, Read]], dict[str, dict[str, Read]]]:
    """Every probe in three readings, every text classifier in two."""
    if not start.probes:
        return {}, {}
    rows = rows_of(one, start.positions)
    n = len(shared.resamples.bootstrap)
    if one is not start.one and len(rows):
        put_through(start.one.run, rows, start.positions)
    probes = {}
    refits = _refitted(one, rows, start, shared)
    for name, trained in start.probes.items():
        frozen = _frozen(one, rows, start, trained, shared)
        probes[name] = {
            "refit": _read_refit(refits, name, rows, shared),
            **{how: read(held, start.thresholds[name], shared) for how, held in frozen.items()},
        }
    texts = {}
    for name, trained in start.texts.items():
        held = frozen_scores(trained, rows, words_in(rows, trained), shared) if len(rows) else None
        texts[name] = {
            "refit": _read_refit(refits, name, rows, shared),
            "frozen": read(held, start.thresholds[name], shared) if held else nothing_read("no rows", n),
        }
    return probes, texts


def _frozen(one: Measured, rows: Rows, start: _Start, trained: Trained, shared: Shared) -> dict[str, Held]:
    own = frozen_scores(trained, rows, states_of(one.run, rows, trained), shared)
    again = own if one is start.one else frozen_scores(trained, rows, states_of(start.one.run, rows, trained), shared)
    return {"frozen": own, "reread": again}


def _refitted(one: Measured, rows: Rows, start: _Start, shared: Shared) -> dict[str, Trained] | str:
    """The detectors trained at this step, or why there are none."""
    if one is start.one:
        return start.probes | start.texts
    try:
        probes = fitted(rows, probe_detectors(one.run, rows, start.positions, list(start.probes)), shared)
        return probes | fitted(rows, text_detectors(rows, list(start.texts)), shared)
    except HintprobeError as error:
        return str(error)


def _read_refit(refits: dict[str, Trained] | str, name: str, rows: Rows, shared: Shared) -> Read:
    if isinstance(refits, str):
        return nothing_read(refits, len(shared.resamples.bootstrap))
    held = own_scores(refits[name], rows)
    return read(held, threshold_of(held, shared.measure.rate), shared)


def _figures(one: Measured, shared: Shared, headline: dict[str, Read] | None) -> Figures:
    """Every figure of a step as a point with its resamples."""
    bootstrap = shared.resamples.bootstrap
    n = len(bootstrap)
    found: Figures = {
        name: share(_over(top, below), below, bootstrap, None if name == "length" else SHARE)
        for name, (top, below) in ratio_terms(one).items()
    }
    terms = faithfulness_terms(one)
    points = metrics_of_sums({name: values.sum() for name, values in terms.items()})
    samples = metrics_of_sums({name: bootstrap.weights @ values for name, values in terms.items()})
    for key, value in points.items():
        name = f"{key}_faithfulness" if key in ("raw", "normalised") else key
        groups = bootstrap.n_groups(terms[METRIC_ROWS[key]])
        limits = None if key == "normalised" else SHARE
        found[name] = Resampled(float(value) if np.isfinite(value) else None, samples[key], groups, limits)
    for how in ("refit", "frozen", "reread"):
        one_reading = headline[how] if headline else nothing_read("", n)
        found[f"probe_{how}_auroc"] = one_reading.auroc
        found[f"probe_{how}_recall"] = one_reading.recall
    return found


def _over(top: Array, below: Array) -> Array:
    """What one row adds to a share; the numerator is zero wherever the denominator is."""
    return np.divide(top, below, out=np.zeros_like(top), where=below > 0)
