"""What the table of detectors allows to be said of each probe, and which comparisons had nothing to compare.

The rule has one p-value per probe, the largest of these (an intersection-union test, Berger 1982: a find needs all of
them, so each may be tested at the full level):

- the whole search against itself on permuted labels (`probes/null.py`);
- the paired lead over each rival, one-sided: what could be known without the hint (the unhinted run's activations with
  direction and direction × features; direction × confidence; the words of the prompt);
- the belief-matched control, one-sided: reliant rows against resisted ones, which contradict the model's belief alike.

A probe is found where its p-value, adjusted by Holm over the probes of the table, is at most 5%. A part that could not
be tested counts as not passed.
"""

from collections.abc import Mapping

import numpy as np

from experiments.comparison.held import Held, Subset
from experiments.comparison.table import auroc_figure, difference, estimate, gap, p_value, refusal
from experiments.records.comparison import Stratum
from experiments.records.detector_tables import Belief, Finding, Lead
from probes import MIN_GROUPS_PER_CLASS, AurocEstimate, holm

ALPHA = 0.05


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


def findings(
    helds: Mapping[str, Held],
    within: Subset,
    belief: Mapping[str, Held] | None = None,
    believed: Subset | None = None,
) -> dict[str, Finding]:
    """The rule for every probe.

    Args:
        helds: all detectors of the main target.
        within: its rows.
        belief: the probes' scores on the rows of the belief-matched control.
        believed: those rows.

    Returns:
        Per probe: ``p_search``; ``rivals``, each with its paired ``difference`` and one-sided ``p``; ``belief``, with
        ``auroc`` and ``p``, or why it was ``refused``; ``p``, the largest of them (None where one is missing);
        ``p_holm``; ``missing`` parts; ``found``. Beside the rule: paired ``differences`` from every other baseline and
        control, and ``not_ahead``, those whose interval does not lie above zero.
    """
    found = {name: _parts(held, helds, within, belief or {}, believed) for name, held in probes_of(helds).items()}
    adjusted = holm({name: 1.0 if part.p is None else part.p for name, part in found.items()})
    return {
        name: part.model_copy(
            update={
                "p_holm": None if part.p is None else adjusted[name],
                "found": part.p is not None and adjusted[name] <= ALPHA,
            }
        )
        for name, part in found.items()
    }


def probes_of(helds: Mapping[str, Held]) -> dict[str, Held]:
    """The probes that the rule is for: not those whose scores are another's in a new form."""
    return {n: held for n, held in helds.items() if held.summary.family == "probe" and not held.summary.variant_of}


def _parts(
    held: Held, helds: Mapping[str, Held], within: Subset, belief: Mapping[str, Held], believed: Subset | None
) -> Finding:
    name, summary = held.summary.name, held.summary
    rivals = {
        other: Lead(difference=difference(held, rival, within), p=above(gap(held, rival, within), within))
        for other, rival in helds.items()
        if rival.summary.rival
    }
    matched = _belief(belief.get(name), believed)
    p_search = p_value(summary.null_statistic, summary.null_aurocs)
    parts = {"search on permuted labels": p_search, "belief-matched control": matched.p}
    parts |= {f"lead over {other}": rival.p for other, rival in rivals.items()}
    missing = tuple(part for part, p in parts.items() if p is None)
    differences = {other: difference(held, rival, within) for other, rival in _others(helds).items()}
    return Finding(
        found=False,
        p_search=p_search,
        rivals=rivals,
        belief=matched,
        missing=missing,
        p=None if missing else max(p for p in parts.values() if p is not None),
        differences=differences,
        not_ahead=tuple(other for other, lead in differences.items() if lead.above <= 0),
    )


def _belief(held: Held | None, within: Subset | None) -> Belief:
    if held is None or within is None or not len(within.rows):
        return Belief(refused="no resisted row that the probe can be read on")
    if reason := refusal(within, MIN_GROUPS_PER_CLASS):
        return Belief(refused=reason)
    found = estimate(held, within)
    p = above(found, within, 0.5)
    return Belief(auroc=auroc_figure(found, within), p=p, refused=None if p is not None else "no comparable pair")


def above(found: AurocEstimate, within: Subset, least: float = 0.0) -> float | None:
    """One-sided p-value that an AUROC, or a difference of two, is no more than ``least``."""
    from scipy.stats import norm

    if not np.isfinite(found.value):
        return None
    error = float(np.sqrt(found.variance(within.group_codes)))
    if error < 1e-12:  # the same scores, or all pairs won
        return 1.0 if found.value <= least else 0.0
    return float(norm.sf((found.value - least) / error))


def _others(helds: Mapping[str, Held]) -> dict[str, Held]:
    """Baselines, and controls that are no variant of a probe."""
    return {
        name: held
        for name, held in helds.items()
        if held.summary.family in ("baseline", "control") and not held.summary.variant_of
    }
