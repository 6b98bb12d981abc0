"""Does a figure level off? One line against two connected ones over the steps, refitted on every resample of items."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from experiments.records.trajectory import Estimate, Level
from probes import interval

Array = NDArray[np.float64]
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


def level_of(steps: list[int], values: list[float | None], samples: Float[np.ndarray, "step draw"]) -> Level:
    """The verdict on one figure.

    Args:
        values: at each step; None where undefined, which leaves the step out.
        samples: the same on resamples of the items, shared by the steps.
    """
    known = [k for k, value in enumerate(values) if value is not None and np.isfinite(samples[k]).mean() > 0.9]
    if len(known) < FEWEST:
        return Level(verdict="too few checkpoints")
    x = np.array([steps[k] for k in known], dtype=float)
    whole = samples[known][:, np.isfinite(samples[known]).all(0)]
    points = np.array([[values[k]] for k in known], dtype=float)
    own, drawn = fits(x, points), fits(x, whole)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, ratios = own["after"] / own["before"], drawn["after"] / drawn["before"]
    found = {
        "breakpoint": estimate(own["at"][0], drawn["at"]),
        "slope_before": estimate(own["before"][0], drawn["before"]),
        "slope_after": estimate(own["after"][0], drawn["after"]),
        "ratio": estimate(ratio[0], ratios),
        "slope_of_line": estimate(own["line"][0], drawn["line"]),
    }
    two = float(drawn["two_wins"].mean())
    ends = estimate(float(points[-1, 0] - points[0, 0]), whole[-1] - whole[0])
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


def estimate(point: float | None, samples: Float[np.ndarray, "draw"]) -> Estimate:
    """A value with its percentile interval; None where undefined."""
    if point is None or not np.isfinite(point):
        return Estimate(value=None, low=None, high=None)
    bounds = interval(samples)
    return Estimate(value=float(point), low=bounds[0] if bounds else None, high=bounds[1] if bounds else None)
