"""How sure a model is of its unhinted answer, in ways that are blind to the hint.

Three measures, each used where it means something: the entropy of the answers of unhinted rollouts that make no label
(`labels.confidence_rollouts`); the entropy of the answer that is forced at the unhinted prompt's end, before any text;
and the top-two margin of the least sure token, which tells of short completions only: among a thousand sampled tokens
some are always undecided.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.detectors.rows import Rows
from experiments.records import Certainty, Rollout
from experiments.run.model_run import ModelRun
from probes import quantile_bins
from probes.arrays import Array

KNOWN_SHARE = 0.9
"""A measure that fewer of the rows have is left out."""
SHORT = 200
"""Median tokens of an unhinted completion up to which its least sure token tells how sure the model is."""


class Measure(NamedTuple):
    """One measure: higher is surer; ``[row]``."""

    name: str
    values: Array


def forced_certainty(run: ModelRun) -> list[Certainty]:
    """The entropy of the forced answer at every unhinted prompt's end; equal prompts are read once.

    None where `probe.early_answering` is empty: nothing is forced then.
    """
    from experiments.engines.forced import forced_entropy

    if not run.config.probe.early_answering:
        return []
    items = {label.item_id for label in run.records.labels.values()}
    first = {name: run.records.rollout(name, "unhinted") for name in sorted(items)}
    alike: dict[tuple[int, ...], Rollout] = {r.prompt_ids: r for r in first.values() if r is not None}
    n_options = [len(run.records.items[r.item_id].question.options) for r in alike.values()]
    with run.reporter.bar("forced unhinted answers", len(alike)) as tick:
        budget = run.config.capture.token_budget
        values = forced_entropy(run.loaded, list(alike.values()), n_options, budget, tick)
    known = dict(zip(alike, values.tolist(), strict=True))
    return [
        Certainty(item_id=name, forced_entropy=round(known[rollout.prompt_ids], 6))
        for name, rollout in first.items()
        if rollout is not None
    ]


def measures(rows: Rows, forced: Mapping[str, float]) -> list[Measure]:
    """The measures that nearly all rows have; one that is not known of a row has the median there.

    Args:
        forced: entropy of the forced answer by item.
    """
    found = [
        ("entropy of other unhinted answers", _negative([label.answer_entropy for label in rows.labels])),
        ("entropy of the forced answer", _negative([forced.get(label.item_id) for label in rows.labels])),
    ]
    lengths = [len(rollout.completion_ids) for rollout in rows.unhinted]
    if lengths and np.median(lengths) <= SHORT:
        margin = [np.nan if label.margin is None else label.margin for label in rows.labels]
        found.append(("top-two margin of the least sure token", np.array(margin, dtype=float)))
    return [Measure(name, _filled(values)) for name, values in found if np.isfinite(values).mean() >= KNOWN_SHARE]


def _negative(entropies: list[float | None]) -> Array:
    return np.array([np.nan if value is None else -value for value in entropies], dtype=float)


def _filled(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nanmedian(values))


def features_of(known: list[Measure], n_rows: int) -> Array:
    """Each measure with the fifth that it lies in, ``[row, feature]``; a column of zeros without any."""
    columns = [np.column_stack([one.values, quantile_bins(one.values)]) for one in known]
    return np.column_stack(columns) if columns else np.zeros((n_rows, 1))


def terms_of(known: list[Measure], n_rows: int) -> Array:
    """Each measure, its rank from -1 to 1, and the rank squared; ``[row, term]``, a column of zeros without any."""
    columns = []
    for one in known:
        rank = np.searchsorted(np.sort(one.values), one.values, side="right") / n_rows * 2 - 1
        columns += [one.values, rank, rank**2]
    return np.column_stack(columns) if columns else np.zeros((n_rows, 1))
