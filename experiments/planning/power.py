"""Could the rows that a run is likely to give carry its question? Expected counts, and what an AUROC could show."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from scipy.stats import norm

_POWER, _LEVEL = 0.8, 0.05


@dataclass(frozen=True)
class Rates:
    """What is assumed of a model, in place of what the run will measure.

    Attributes:
        accuracy: share of questions answered rightly without a hint.
        following: p, the share that switches to the hint where the unhinted answer was another.
        parsed: share of completions that hold an answer; a row whose runs hold none is neither reliant nor aligned.
    """

    accuracy: float = 0.7
    following: float = 0.25
    parsed: float = 1.0


def expected_rows(n: int, direction: str, on_belief: float | None, n_wrong: float, rates: Rates) -> tuple[float, float]:
    """Expected reliant and aligned rows among ``n`` items of one kind and direction.

    A row is aligned where the unhinted answer is h and stays h with the hint moved elsewhere; reliant where it was
    another and the hint is followed (docs/definitions.md). Runs of one question are taken to be parsed together.

    Args:
        n_wrong: mean number of wrong options; a blindly drawn incorrect hint names the believed one of them by chance.
    """
    right = rates.accuracy / rates.parsed if rates.parsed else 0.0  # of those that answer at all
    believes = right if direction == "correct" else (1 - right) * (on_belief if on_belief is not None else 1 / n_wrong)
    answered = n * rates.parsed
    return answered * (1 - believes) * rates.following, answered * believes * (1 - rates.following)


def auroc_variance(auroc: float, n_positive: float, n_negative: float) -> float:
    """Variance of an AUROC (Hanley & McNeil 1982, equation 1)."""
    q1, q2 = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    square = auroc**2
    return (
        auroc * (1 - auroc) + (n_positive - 1) * (q1 - square) + (n_negative - 1) * (q2 - square)
    ) / (n_positive * n_negative)  # fmt: skip


def stratified_error(auroc: float, strata: Mapping[str, tuple[float, float]]) -> float | None:
    """Standard error of an AUROC taken within strata and averaged by pairs; None where no stratum has both classes."""
    pairs = {key: a * b for key, (a, b) in strata.items() if a >= 1 and b >= 1}
    total = sum(pairs.values())
    if not total:
        return None
    return sqrt(sum((weight / total) ** 2 * auroc_variance(auroc, *strata[key]) for key, weight in pairs.items()))


def smallest_detectable(strata: Mapping[str, tuple[float, float]]) -> float | None:
    """The AUROC that is told from 0.5 in four runs out of five, two-sided at 5%; None where none is."""
    at_chance = stratified_error(0.5, strata)
    if at_chance is None:
        return None
    needed = norm.ppf(1 - _LEVEL / 2) * at_chance
    for step in range(501, 1000):
        auroc = step / 1000
        error = stratified_error(auroc, strata)
        if error is not None and auroc - 0.5 >= needed + norm.ppf(_POWER) * error:
            return auroc
    return None
