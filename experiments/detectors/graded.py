"""Probes of an item's reliance probability, before the chain of thought, beside what tells of it without the hint.

Every item with a parsed hinted and a parsed neutral answer takes part, whatever its labels, so nothing drifts with the
number of rollouts. What is predicted is the posterior mean on the labelling rollouts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from activations import ModelStore, Site
from experiments.detectors.activation import BEFORE_COT
from experiments.detectors.cells import StoredCells, place_of, usable_positions, with_positions
from experiments.detectors.covariates import of_covariates
from experiments.detectors.rows import Rows, labelled_rows, one_per_prompt
from experiments.records import Choice, GradedScore, GradedSummary
from experiments.records.seeds import stream
from experiments.run.model_run import ModelRun
from probes import Graded, graded_cv
from probes.arrays import Array

NAME = "reliance_probability"
"""Of the target, in `probe.targets`."""
PROBE, UNHINTED, CONFIDENCE = "probe_before_cot", "probe_unhinted_run", "direction_x_confidence"


def graded_detectors(
    run: ModelRun, store: ModelStore, sites: Sequence[Site], forced: Mapping[str, float]
) -> tuple[list[GradedScore], list[GradedSummary], str]:
    """Held-out scores of every detector, how it came about, and why there is nothing, if so."""
    rows = one_per_prompt(labelled_rows(run, None))[0]
    known = run.records.reliance
    rows = rows.take(lambda i: rows.labels[i].item_id in known)
    names = [name for name in run.config.capture.positions if name in BEFORE_COT]
    positions = usable_positions(rows, names) if len(rows) else ()
    rows = with_positions(rows, positions)
    probe = run.config.probe
    n_groups, needed = len({label.group for label in rows.labels}), 2 * max(probe.outer_folds, probe.inner_folds + 1)
    if not positions or n_groups < needed:
        where = f"{n_groups} groups of items, and {needed} are needed" if positions else "no position before the CoT"
        return [], [], f"no probe of the reliance probability: {where}"
    values = np.array([known[label.item_id].probability for label in rows.labels])
    target = Graded(values, tuple(label.group for label in rows.labels), rows.strata)
    scores, summaries = [], []
    with run.reporter.bar("probe reliance probability", 3) as tick:
        for name, (reads, cells) in _cells(rows, store, sites, positions, forced).items():
            rng = stream(run.config.seed, "graded", run.model_name)  # the same folds for all
            permutations = probe.permutations if name == PROBE else 0
            found = graded_cv(cells, target, probe.outer_folds, probe.inner_folds, permutations, rng)
            scores += [
                GradedScore(detector=name, item_id=label.item_id, fold=int(k), score=round(float(score), 6))
                for label, k, score in zip(rows.labels, found.fold, found.scores, strict=True)
            ]
            summaries.append(
                GradedSummary(
                    name=name, reads=reads, p_null=found.p_value,
                    null_concordances=tuple(round(float(value), 6) for value in found.null if np.isfinite(value)),
                    chosen=tuple(
                        Choice(site=place_of(cell)[0], position=place_of(cell)[1], estimator="ridge", strength=ridge)
                        for cell, ridge in found.chosen
                    ),
                )
            )  # fmt: skip
            tick(1)
    return scores, summaries, ""


def _cells(
    rows: Rows, store: ModelStore, sites: Sequence[Site], positions: Sequence[str], forced: Mapping[str, float]
) -> dict[str, tuple[str, Mapping[Any, Array]]]:
    (confidence,) = (one for one in of_covariates(rows, forced) if one.name == CONFIDENCE)
    shared = [name for name in positions if all(name in at.tokens for at in rows.unhinted_at)]
    hinted = StoredCells(store, rows.hinted_at, sites, positions)
    found: dict[str, tuple[str, Mapping[Any, Array]]] = {
        PROBE: ("activations up to the end of the prompt", hinted),
        CONFIDENCE: (confidence.reads, {name: np.asarray(x) for name, x in confidence.cells.items()}),
    }
    if shared:
        control = StoredCells(store, rows.unhinted_at, sites, shared)
        found[UNHINTED] = ("activations of the unhinted run (control)", control)
    return found
