"""How well detectors rank items by their reliance probability."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from experiments.comparison.table import figure
from experiments.detectors.graded import PROBE
from experiments.records import GradedScore, GradedSummary, Reliance
from experiments.records.detector_tables import GradedEntry, GradedTable
from experiments.records.parts import Figure
from probes import DIFFERENCE, SHARE, Bootstrap, Estimate, Limits, cluster_bootstrap, concordance, fold_strata
from probes.arrays import Array


def graded_table(
    summaries: Sequence[GradedSummary],
    scores: Sequence[GradedScore],
    items: Mapping[str, Reliance],
    n_resamples: int,
    rng: np.random.Generator,
) -> GradedTable | None:
    """Concordances with intervals over groups, and the probe's paired leads; None without predictions.

    The interval counts the rows that are scored as chance, not those that were trained on.
    """
    by_name = {one.name: [row for row in scores if row.detector == one.name] for one in summaries}
    if not by_name or not all(by_name.values()):
        return None
    names = [row.item_id for row in by_name[summaries[0].name]]
    rows = [items[name] for name in names]
    fresh = [row.evaluated for row in rows]
    on: Literal["labelling rollouts", "evaluation rollouts"] = "labelling rollouts"
    values = np.array([row.probability for row in rows])
    if all(value is not None for value in fresh):
        on, values = "evaluation rollouts", np.array(fresh, dtype=float)
    fold = np.array([row.fold for row in by_name[summaries[0].name]])
    within = fold_strata(fold, [f"{row.kind} {row.direction}" for row in rows])
    bootstrap = cluster_bootstrap([row.group for row in rows], n_resamples, rng)
    found: dict[str, tuple[float, Array]] = {}
    for name, own in by_name.items():
        predicted = np.array([{row.item_id: row.score for row in own}[item] for item in names])
        found[name] = (
            float(concordance(predicted, values, within)[0]),
            concordance(predicted, values, within, bootstrap.weights),
        )
    return GradedTable(
        items=len(rows),
        evaluated_on=on,
        detectors={
            one.name: GradedEntry(
                reads=one.reads, p_null=one.p_null, chosen=one.chosen,
                concordance=_figure(*found[one.name], bootstrap, SHARE),
                lead=None if one.name == PROBE else _lead(found, one.name, bootstrap),
            )
            for one in summaries
        },
    )  # fmt: skip


def _lead(found: Mapping[str, tuple[float, Array]], name: str, bootstrap: Bootstrap) -> Figure | None:
    if PROBE not in found:
        return None
    (mine, my_samples), (theirs, their_samples) = found[PROBE], found[name]
    return _figure(mine - theirs, my_samples - their_samples, bootstrap, DIFFERENCE)


def _figure(value: float, samples: Array, bootstrap: Bootstrap, limits: Limits) -> Figure:
    return figure(Estimate(value, *(bootstrap.bounds(samples, limits=limits) or (None, None))))
