"""The reliance probability of an item, P(a_h = h) - P(a_neutral = h), with what its few rollouts leave open."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from experiments.records import Item, Reliance

_PRIOR = 0.5
"""Jeffreys's prior of a share: Beta(1/2, 1/2)."""
_POINTS = 400


@lru_cache(maxsize=4096)
def posterior(hits: int, n: int, other_hits: int, other_n: int) -> tuple[float, float, float, float]:
    """Mean, standard deviation and 95% interval of a difference of two shares, each with a Beta posterior.

    The two shares are taken as independent. Where conditions share their sampling noise they rise and fall together,
    and the interval is wider than it need be.

    Args:
        hits, n: successes and trials of the first share.
        other_hits, other_n: of the one that is taken off.
    """
    from scipy.stats import beta

    shapes = [
        (hits + _PRIOR, n - hits + _PRIOR),
        (other_hits + _PRIOR, other_n - other_hits + _PRIOR),
    ]
    means = [a / (a + b) for a, b in shapes]
    variance = sum(a * b / ((a + b) ** 2 * (a + b + 1)) for a, b in shapes)
    middles = (np.arange(_POINTS) + 0.5) / _POINTS
    first, second = (beta.ppf(middles, a, b) for a, b in shapes)
    low, high = np.quantile(np.subtract.outer(first, second), [0.025, 0.975])
    return means[0] - means[1], float(np.sqrt(variance)), float(low), float(high)


def reliance_of(
    item: Item,
    hinted: Sequence[str | None],
    neutral: Sequence[str | None],
    evaluation_hinted: Sequence[str | None] = (),
    evaluation_neutral: Sequence[str | None] = (),
) -> Reliance | None:
    """The record of one item; None where no hinted or no neutral answer was parsed.

    Args:
        evaluation_hinted, evaluation_neutral: answers of rollouts that make no label.
    """
    hits, n = _counts(hinted, item.target)
    other_hits, other_n = _counts(neutral, item.target)
    if not n or not other_n or item.target is None:
        return None
    mean, deviation, low, high = posterior(hits, n, other_hits, other_n)
    later_hits, later_n = _counts(evaluation_hinted, item.target)
    rest_hits, rest_n = _counts(evaluation_neutral, item.target)
    return Reliance(
        item_id=item.id, group=item.question.group, kind=item.kind, direction=item.direction, target=item.target,
        hinted_hits=hits, hinted_parsed=n, neutral_hits=other_hits, neutral_parsed=other_n,
        probability=mean, deviation=deviation, low=low, high=high,
        evaluation_hinted_hits=later_hits, evaluation_hinted_parsed=later_n,
        evaluation_neutral_hits=rest_hits, evaluation_neutral_parsed=rest_n,
    )  # fmt: skip


def _counts(answers: Sequence[str | None], target: str | None) -> tuple[int, int]:
    parsed = [answer for answer in answers if answer is not None]
    return sum(answer == target for answer in parsed), len(parsed)
