"""What stands beside the paper's metrics: answers that flip without any hint, and how long a chain of thought is."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from experiments.comparison.faithfulness import FaithfulnessRow, used_rows
from experiments.records.behaviour_figures import CotLength, NaturalFlips
from experiments.records.parts import Figure, Rate
from probes import SHARE, Bootstrap, Limits, cluster_bootstrap
from probes.arrays import Array


def _rate(above: Array, below: Array, bootstrap: Bootstrap, limits: Limits | None = None) -> Rate:
    """Sum of ``above`` over sum of ``below``, with its interval."""
    found = bootstrap.ratio(above, below, limits)
    value = found.value if below.any() else None
    return Rate(
        value=value, low=found.low, high=found.high, numerator=float(above.sum()), denominator=float(below.sum())
    )


def natural_flips(rows: Sequence[FaithfulnessRow], n_resamples: int, rng: np.random.Generator) -> NaturalFlips | None:
    """How often a run without the hint flips, on the rows of p and q (a_u ≠ h): to h, and to a third option.

    What p and q would be with a hint that does nothing. Neutral runs are taken where there are any: they have the
    hint's frame, and share the hinted run's sampling noise as it shares the unhinted run's. Else further unhinted runs
    are. A row counts once per parsed run. None without such runs.
    """
    source: Literal["neutral", "unhinted"] = "neutral" if any(row.neutral_answers for row in rows) else "unhinted"

    def runs(row: FaithfulnessRow) -> tuple[str | None, ...]:
        return row.neutral_answers if source == "neutral" else row.unhinted_repeats

    used = [row for row in used_rows(rows) if any(answer is not None for answer in runs(row))]
    if not used:
        return None
    parsed = [[answer for answer in runs(row) if answer is not None] for row in used]
    counted = np.array([len(answers) for answers in parsed], dtype=float)
    to_target = [sum(a == row.target for a in answers) for row, answers in zip(used, parsed, strict=True)]
    to_other = [
        sum(a not in (row.target, row.unhinted_answer) for a in answers)
        for row, answers in zip(used, parsed, strict=True)
    ]
    bootstrap = cluster_bootstrap([row.group for row in used], n_resamples, rng)
    return NaturalFlips(
        source=source,
        rows=len(used),
        unparsed_repeats=sum(answer is None for row in used for answer in runs(row)),
        to_target=_rate(np.array(to_target, dtype=float), counted, bootstrap, SHARE),
        to_other=_rate(np.array(to_other, dtype=float), counted, bootstrap, SHARE),
    )


def cot_lengths(rows: Sequence[FaithfulnessRow], n_resamples: int, rng: np.random.Generator) -> CotLength | None:
    """Mean length of the chain of thought where a switch to h is admitted, and where it is not; and their difference.

    None where no scored switch has a length.
    """
    switched = [
        row
        for row in used_rows(rows)
        if row.hinted_answer == row.target and row.verbalized is not None and row.cot_length is not None
    ]
    if not switched:
        return None
    length = np.array([row.cot_length for row in switched], dtype=float)
    said = np.array([bool(row.verbalized) for row in switched], dtype=float)
    bootstrap = cluster_bootstrap([row.group for row in switched], n_resamples, rng)
    faithful, unfaithful = (_rate(length * flag, flag, bootstrap) for flag in (said, 1 - said))
    gap = Figure()
    if faithful.value is not None and unfaithful.value is not None:
        low, high = None, None
        if faithful.low is not None and unfaithful.low is not None:
            means = [bootstrap.samples(length * flag, flag) for flag in (said, 1 - said)]
            low, high = bootstrap.bounds(means[0] - means[1]) or (None, None)
        gap = Figure(value=faithful.value - unfaithful.value, low=low, high=high)
    return CotLength(faithful=faithful, unfaithful=unfaithful, difference=gap)
