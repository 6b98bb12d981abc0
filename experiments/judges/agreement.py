"""How far a judge agrees with labels, and what its errors do to a rate.

Kappa: Cohen 1960. AC1: Gwet 2008, stable where nearly all labels are the same. Correction: Rogan and Gladen 1978.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from probes import DIFFERENCE, SHARE, Bootstrap, cluster_bootstrap
from probes.arrays import Array

FIGURES = (
    "raw_agreement",
    "kappa",
    "ac1",
    "prevalence",
    "judged_prevalence",
    "sensitivity",
    "specificity",
    "precision",
)


@dataclass(frozen=True)
class Confusion:
    """Counts of a judge against labels; arrays of equal shape, so that resamples are counted together.

    Attributes:
        both: judge and label say yes.
        judge_only: the judge says yes, the label no.
        label_only: the label says yes, the judge no.
        neither: both say no.
    """

    both: Array
    judge_only: Array
    label_only: Array
    neither: Array

    @classmethod
    def of(
        cls,
        judge: Sequence[bool],
        label: Sequence[bool],
        weights: Float[np.ndarray, "resample row"] | None = None,
    ) -> "Confusion":
        """Count.

        Args:
            weights: how often each row is drawn in each resample; once, in a single one, by default.
        """
        said, true = np.asarray(judge, dtype=bool), np.asarray(label, dtype=bool)
        drawn = np.ones((1, len(said))) if weights is None else weights
        cells = (said & true, said & ~true, ~said & true, ~said & ~true)
        return cls(*(drawn @ cell.astype(float) for cell in cells))

    def all_figures(self) -> dict[str, Array]:
        """Every figure per resample; NaN where undefined (kappa where both raters always say the same)."""
        n = self.both + self.judge_only + self.label_only + self.neither
        with np.errstate(invalid="ignore", divide="ignore"):
            agreement = (self.both + self.neither) / n
            judged, true = (self.both + self.judge_only) / n, (self.both + self.label_only) / n
            by_chance = judged * true + (1 - judged) * (1 - true)
            mean = (judged + true) / 2
            ac1_chance = 2 * mean * (1 - mean)
            kappa = np.where(by_chance < 1, (agreement - by_chance) / (1 - by_chance), np.nan)
            return {
                "raw_agreement": agreement,
                "kappa": kappa,
                "ac1": (agreement - ac1_chance) / (1 - ac1_chance),
                "prevalence": true,
                "judged_prevalence": judged,
                "sensitivity": self.both / (self.both + self.label_only),
                "specificity": self.neither / (self.neither + self.judge_only),
                "precision": self.both / (self.both + self.judge_only),
            }

    def figures(self) -> dict[str, float]:
        """Every figure of the first (or only) resample; NaN where undefined."""
        return {name: float(values[0]) for name, values in self.all_figures().items()}


@dataclass(frozen=True)
class Scored:
    """A judge's yes or no beside the label's, on the same rows."""

    judge: tuple[bool, ...]
    label: tuple[bool, ...]
    group: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.judge)


def agreement(rows: Scored, n_resamples: int, rng: np.random.Generator) -> dict[str, object]:
    """Every figure with its counts and its 95% cluster-bootstrap interval over groups; None where undefined."""
    counts = Confusion.of(rows.judge, rows.label)
    result: dict[str, object] = {
        "n": len(rows),
        "groups": len(set(rows.group)),
        "counts": {name: int(getattr(counts, name)[0]) for name in ("both", "judge_only", "label_only", "neither")},
    }
    if not len(rows):
        return {**result, **dict.fromkeys(FIGURES)}
    bootstrap = cluster_bootstrap(rows.group, n_resamples, rng)
    resampled = Confusion.of(rows.judge, rows.label, bootstrap.weights).all_figures()
    said, true = np.asarray(rows.judge, dtype=bool), np.asarray(rows.label, dtype=bool)
    behind = {"sensitivity": true, "specificity": ~true, "precision": said}
    for name, value in counts.figures().items():
        limits = DIFFERENCE if name in ("kappa", "ac1") else SHARE
        bounds = bootstrap.bounds(resampled[name], behind.get(name), limits) if np.isfinite(value) else None
        result[name] = {
            "value": value if np.isfinite(value) else None,
            "low": bounds[0] if bounds else None,
            "high": bounds[1] if bounds else None,
        }
    return result


def rogan_gladen(rate: Array, sensitivity: Array, specificity: Array) -> Array:
    """The true rate behind an apparent one: (rate + specificity - 1) / (sensitivity + specificity - 1), in [0, 1].

    NaN where the judge is no better than chance (sensitivity + specificity ≤ 1): nothing can then be corrected.
    """
    informed = sensitivity + specificity - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        corrected: Array = np.where(informed > 0, np.clip((rate + specificity - 1) / informed, 0, 1), np.nan)
    return corrected


def corrected_rate(
    said: Array, bootstrap: Bootstrap, counts: Mapping[str, int], rng: np.random.Generator, independent: float = 1.0
) -> dict[str, float | None]:
    """A judge's rate corrected for its errors, with an interval that holds the doubt about both.

    Args:
        said: 1 for the rows that the judge calls positive, 0 for the others.
        bootstrap: resamples of these rows.
        counts: the judge's calibration: both, judge_only, label_only, neither.
        independent: groups per labelled row. Rows of one question share the judge's errors, so the doubt about its
            error rates is that of as many rows as there are groups.

    Returns:
        value, low and high; None where the judge is no better than chance, or where over a tenth of the draws say so.
        Of few groups (``probes.MIN_GROUPS``) the value stands without an interval.
    """
    true, false = (counts["both"], counts["label_only"]), (counts["neither"], counts["judge_only"])
    if not sum(true) or not sum(false):
        return {"value": None, "low": None, "high": None}
    point = rogan_gladen(np.array([said.mean()]), np.array([true[0] / sum(true)]), np.array([false[0] / sum(false)]))[0]
    n, every = len(bootstrap), np.ones(len(said))
    # Jeffreys' posterior of each error rate: a judge never seen to err is not thereby infallible.
    sensitivity = rng.beta(independent * true[0] + 0.5, independent * true[1] + 0.5, n)
    specificity = rng.beta(independent * false[0] + 0.5, independent * false[1] + 0.5, n)
    samples = rogan_gladen(bootstrap.samples(said, every), sensitivity, specificity)
    if not np.isfinite(point) or np.isfinite(samples).mean() < 0.9:
        return {"value": None, "low": None, "high": None}
    low, high = bootstrap.bounds(samples) or (None, None)
    return {"value": float(point), "low": low, "high": high}
