"""What the table of detectors allows to be said of each probe, and which comparisons had nothing to compare."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.comparison.table import Held, Subset, difference, p_value
from experiments.records import TargetRow
from experiments.records.comparison import DetectorEntry, Finding, Stratum
from probes import Comparison, Contrast, permuted_labels

ALPHA = 0.05
DRAWS = 199


def strata_account(within: Subset) -> list[Stratum]:
    """Rows of each kind × direction; a stratum of one class takes part in no AUROC, and is named."""
    names = np.asarray(within.strata)
    found = []
    for name in sorted(set(within.strata)):
        own = within.positive[names == name]
        n_positive, n_negative = int(own.sum()), int((~own).sum())
        lacking = "positive" if n_positive == 0 else "negative"
        found.append(
            Stratum(
                stratum=name,
                positives=n_positive,
                negatives=n_negative,
                refused=None if n_positive and n_negative else f"no {lacking} row",
            )
        )
    return found


def held_out_p(helds: Sequence[Held], target: Sequence[TargetRow], rng: np.random.Generator) -> list[float | None]:
    """p-value of each headline with the held-out labels permuted by group within kind × direction.

    The probes stay as they were trained, so a draw costs no training. Labels are exchanged within outer folds, whose
    probe saw none of them. Probes are expected to score every row.
    """
    contrast = Contrast(
        np.array([row.positive for row in target], dtype=bool),
        tuple(row.group for row in target),
        tuple(f"{row.fold}/{row.stratum}" for row in target),
    )
    if not helds:
        return []
    scores = np.stack([held.scores for held in helds])
    observed = Comparison.of(contrast.labels, contrast.strata).auroc(scores)[:, 0]
    draws = [
        Comparison.of(labels, contrast.strata).auroc(scores)[:, 0] for labels in permuted_labels(contrast, DRAWS, rng).T
    ]
    return [
        p_value(float(value), [float(draw[k]) for draw in draws]) if np.isfinite(value) else None
        for k, value in enumerate(observed)
    ]


def findings(
    helds: Mapping[str, Held],
    entries: Mapping[str, DetectorEntry],
    target: Sequence[TargetRow],
    within: Subset,
    rng: np.random.Generator,
) -> dict[str, Finding]:
    """For each probe: does it pass its nulls, beat every control and baseline, and keep a signal without confounds?

    Returns:
        Per probe, ``p_held_out`` (labels of held-out rows permuted), ``above_search_null`` (no search on permuted
        labels reached it; null where there was none), the paired ``differences`` from baselines and controls,
        ``not_beaten`` (those whose interval does not lie above zero), ``residual_above_half``, and ``found``, which
        takes all of these.
    """
    found = {}
    probes = {name: held for name, held in helds.items() if held.summary.family == "probe"}
    p_values = held_out_p(list(probes.values()), target, rng)
    for (name, held), p_held_out in zip(probes.items(), p_values, strict=True):
        differences = {other: difference(held, helds[other], within) for other in _rivals(helds)}
        not_beaten = [other for other, gap in differences.items() if (gap.low or 0.0) <= 0]
        residual = entries.get(f"{name}_residual")
        above = residual is not None and (residual.auroc.low or 0.0) > 0.5
        null, own = held.summary.null_aurocs, entries[name].auroc.value
        above_null = own is not None and own > max(null) if null else None
        found[name] = Finding(
            p_held_out=p_held_out,
            above_search_null=above_null,
            differences=differences,
            not_beaten=tuple(not_beaten),
            residual_above_half=above,
            found=bool(
                p_held_out is not None and p_held_out <= ALPHA and above_null is not False and not not_beaten and above
            ),
        )
    return found


def _rivals(helds: Mapping[str, Held]) -> list[str]:
    """Baselines, and controls that are no variant of a probe."""
    variants = tuple(f"{name}_" for name, held in helds.items() if held.summary.family == "probe")
    return [
        name
        for name, held in helds.items()
        if held.summary.family in ("baseline", "control") and not name.startswith(variants)
    ]
