"""Does a figure level off? One line against two connected ones over the steps, refitted on every resample of items."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from experiments.records.trajectory import Estimate, Level
from probes import DIFFERENCE, MIN_GROUPS, SHARE, Limits, bounds_of, interval

Array = NDArray[np.float64]


class Resampled(NamedTuple):
    """A figure, None where undefined, with its resamples.

    Attributes:
        groups: how many lie behind it; under ``probes.MIN_GROUPS`` it has no interval.
        limits: what bounds one row's value.
    """

    value: float | None
    samples: Array
    groups: int = 0
    limits: Limits | None = None

    def estimate(self) -> Estimate:
        """The value with its interval."""
        if self.value is None or not np.isfinite(self.value):
            return Estimate(value=None, low=None, high=None)
        low, high = bounds_of(self.samples, self.groups, self.limits) or (None, None)
        return Estimate(value=float(self.value), low=low, high=high)

    def minus(self, other: "Resampled") -> "Resampled":
        """The difference on the same resamples."""
        value = None if self.value is None or other.value is None else self.value - other.value
        limits = DIFFERENCE if SHARE == self.limits == other.limits else None
        return Resampled(value, self.samples - other.samples, min(self.groups, other.groups), limits)


Verdict = Literal["levels off", "goes on", "flat", "undecided"]
FEWEST = 5
"""Checkpoints: two lines have four free numbers."""


def fits(steps: Float[np.ndarray, "step"], values: Float[np.ndarray, "step draw"]) -> dict[str, Array]:
    """Least squares of one line and of two connected ones, for many series at once.

    The breakpoint is any inner step with two steps at least on either side of it, itself counted; the one of least
    error is taken (Hinkley 1971's two-phase regression, its join on the grid of steps).

    Returns:
        ``line`` (slope), ``before``, ``after``, ``at`` (breakpoint), ``two_wins`` (lower BIC), each ``[draw]``.
    """
    n = len(steps)
    ones = np.ones(n)
    line, line_error = _solve(np.stack([ones, steps], 1), values)
    best = np.full(values.shape[1], np.inf)
    at, before, after = (np.zeros(values.shape[1]) for _ in range(3))
    for knot in steps[1:-1]:
        hinge = np.maximum(steps - knot, 0.0)
        solved, error = _solve(np.stack([ones, steps, hinge], 1), values)
        better = error < best - 1e-15
        best = np.where(better, error, best)
        at = np.where(better, knot, at)
        before = np.where(better, solved[1], before)
        after = np.where(better, solved[1] + solved[2], after)
    tiny = 1e-12
    bic_line = n * np.log(line_error / n + tiny) + 2 * np.log(n)
    bic_two = n * np.log(best / n + tiny) + 4 * np.log(n)
    return {"line": line[1], "before": before, "after": after, "at": at, "two_wins": (bic_two < bic_line).astype(float)}


def _solve(design: Float[np.ndarray, "step term"], values: Float[np.ndarray, "step draw"]) -> tuple[Array, Array]:
    solved, *_ = np.linalg.lstsq(design, values, rcond=None)
    error: Array = ((values - design @ solved) ** 2).sum(0)
    return solved, error


def level_of(steps: list[int], figures: Sequence[Resampled]) -> Level:
    """The verdict on one figure.

    Args:
        figures: at each step, on the same resamples of the items; a step where it is undefined, or has too few groups
            for an interval, is left out.
    """
    values, samples = [own.value for own in figures], np.stack([own.samples for own in figures])
    known = [
        k
        for k, own in enumerate(figures)
        if own.value is not None and own.groups >= MIN_GROUPS and np.isfinite(own.samples).mean() > 0.9
    ]
    if len(known) < FEWEST:
        return Level(verdict="too few checkpoints")
    x = np.array([steps[k] for k in known], dtype=float)
    whole = samples[known][:, np.isfinite(samples[known]).all(0)]
    points = np.array([[values[k]] for k in known], dtype=float)
    own, drawn = fits(x, points), fits(x, whole)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, ratios = own["after"] / own["before"], drawn["after"] / drawn["before"]
    found = {
        "breakpoint": _estimate(own["at"][0], drawn["at"]),
        "slope_before": _estimate(own["before"][0], drawn["before"]),
        "slope_after": _estimate(own["after"][0], drawn["after"]),
        "ratio": _estimate(ratio[0], ratios),
        "slope_of_line": _estimate(own["line"][0], drawn["line"]),
    }
    two = float(drawn["two_wins"].mean())
    ends = _estimate(float(points[-1, 0] - points[0, 0]), whole[-1] - whole[0])
    return Level(verdict=_verdict(found, ends, two), two_preferred=two, **found)


def _verdict(found: dict[str, Estimate], ends: Estimate, two: float) -> Verdict:
    before, after, line, ratio = (found[key] for key in ("slope_before", "slope_after", "slope_of_line", "ratio"))
    slow = ratio.low is not None and ratio.high is not None and ratio.low > -0.5 and ratio.high < 0.5
    if two >= 0.95 and _clear(before) and slow:
        return "levels off"
    if _clear(line) and _clear(ends) and two < 0.95:
        return "goes on"
    if not _clear(line) and not _clear(ends) and not (two >= 0.95 and (_clear(before) or _clear(after))):
        return "flat"
    return "undecided"


def _clear(entry: Estimate) -> bool:
    """The interval excludes zero."""
    return entry.low is not None and entry.high is not None and (entry.low > 0 or entry.high < 0)


def _estimate(point: float, samples: Float[np.ndarray, "draw"]) -> Estimate:
    """A number of the fit with its percentile interval; the steps that it is fitted to have groups enough."""
    if not np.isfinite(point):
        return Estimate(value=None, low=None, high=None)
    low, high = interval(samples) or (None, None)
    return Estimate(value=float(point), low=low, high=high)
