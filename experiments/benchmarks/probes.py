"""The batched logistic solver against scikit-learn's LogisticRegression in a loop, at equal results.

Run: ``python -m experiments.benchmarks.probes [--quick] [--json]``. A grid of (layer, position) cells with the spectrum
of a residual stream, each cell with every C, every fold and the refit. Ours solves every cell, streamed one at a time;
scikit-learn (lbfgs, a loop) is timed on some cells drawn at random, in turn with ours, and scaled to the grid. Both
sides: float32, one thread, processor time, the same data in memory, the same stopping rule (largest entry of the
gradient of the mean loss) at the same tolerance. Coefficients and held-out AUROCs are compared fit by fit on those
cells; and with a float64 reference at a tight tolerance on every cell of two smaller grids: random, and the shipped
organism's activations.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from experiments.benchmarks.grids import FOLDS, Cell, organism_grid, random_grid
from probes import LogisticSolution, StratifiedPairs, cluster_bootstrap, mean_differences, solve_logistic

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FITS = len(PENALTIES) * (FOLDS + 1)
TOLERANCE, DEFAULT_TOLERANCE, TIGHT = 1e-5, 1e-4, 1e-7
Coefficients = Float[np.ndarray, "penalty mask feature"]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Shape:
    """How large the timed grid is."""

    layers: int
    positions: int
    n: int
    d: int
    timed: int

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.layers * self.positions


FULL, QUICK = Shape(32, 4, 2000, 2048, 6), Shape(4, 2, 800, 1024, 6)


@dataclass(frozen=True)
class Agreement:
    """How two sets of fits of one cell agree, at worst."""

    cosine: float
    auroc: float

    @classmethod
    def between(cls, first: Coefficients, second: Coefficients, cell: Cell) -> "Agreement":
        """Coefficients fit by fit; AUROC on each fold's held-out rows, and on all rows for the refit."""
        lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
        gaps = []
        for m, mask in enumerate(cell.masks.T):
            rows = ~mask if not mask.all() else mask
            for a, b in zip(first[:, m], second[:, m], strict=True):
                x, y = cell.x[rows], cell.labels[rows]
                gaps.append(abs(roc_auc_score(y, x @ a) - roc_auc_score(y, x @ b)))
        return cls(float(((first * second).sum(-1) / lengths).min()), float(max(gaps)))


def worst(agreements: Iterable[Agreement]) -> dict[str, float]:
    """The worst over cells."""
    found = list(agreements)
    return {
        "cells": len(found),
        "min_coefficient_cosine": min(a.cosine for a in found),
        "max_auroc_difference": max(a.auroc for a in found),
    }


def timed(run: Callable[[], Result]) -> tuple[Result, float]:
    """A result and its processor seconds: on one thread they are the wall's, and do not count other programs."""
    start = time.process_time()
    result = run()
    return result, time.process_time() - start


def tensors(cell: Cell) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, labels and masks as the solver takes them, without a copy."""
    return torch.from_numpy(cell.x), torch.from_numpy(cell.labels)[:, None], torch.from_numpy(cell.masks)


def batched(cell: Cell, tolerance: float) -> LogisticSolution:
    """Every fit of a cell in one solve."""
    return solve_logistic(*tensors(cell), PENALTIES, tolerance)


def coefficients(solution: LogisticSolution) -> Coefficients:
    """Of the one label vector."""
    coef: Coefficients = solution.coef[:, :, 0].double().numpy()
    return coef


def loop(cell: Cell, tolerance: float, dtype: type = np.float32) -> Coefficients:
    """One scikit-learn fit after the other."""
    x: NDArray[np.floating] = cell.x.astype(dtype, copy=False)

    def fit(penalty: float, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        model = LogisticRegression(C=penalty, tol=tolerance, max_iter=20_000)
        coef: NDArray[np.float64] = model.fit(x[mask], cell.labels[mask]).coef_[0]
        return coef

    return np.array([[fit(penalty, mask) for mask in cell.masks.T] for penalty in PENALTIES], dtype=float)


def peak_gb() -> float:
    """Largest resident size of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def product_rate(n: int, d: int) -> float:
    """Multiply-adds a second, times two, of the solver's product at full width; median of ten."""
    x, thin = torch.randn(n, d), torch.randn(d, FITS)
    seconds = [timed(lambda: x @ thin)[1] for _ in range(10)]
    return 2 * n * d * FITS / statistics.median(seconds)


def time_grid(shape: Shape) -> dict[str, Any]:
    """Ours on every cell, scikit-learn on some of them."""
    rng = np.random.default_rng(0)
    chosen = set(rng.choice(shape.cells, shape.timed, replace=False).tolist())
    batched(next(random_grid(1, 200, 64)), TOLERANCE)  # warm-up
    before = peak_gb()
    ours, flops, held = [], [], []
    for k, cell in enumerate(random_grid(shape.cells, shape.n, shape.d)):
        solution, seconds = timed(lambda cell=cell: batched(cell, TOLERANCE))  # type: ignore[misc]
        ours.append(seconds)
        flops.append(4 * shape.n * shape.d * int(solution.steps.sum()))
        if k in chosen:
            held.append((cell, coefficients(solution)))
    peak = peak_gb()
    bound = sum(flops) / product_rate(shape.n, shape.d)
    versus = [_versus(cell, coef, tight=k == 0) for k, (cell, coef) in enumerate(held)]
    scaled = statistics.mean(v["sklearn_seconds"] for v in versus) * shape.cells
    return {
        "shape": asdict(shape),
        "fits_per_cell": FITS,
        "tolerance": TOLERANCE,
        "seconds": sum(ours),
        "sklearn_seconds_scaled": scaled,
        "speedup_sklearn": statistics.median(v["ratio"] for v in versus),
        "speedup_sklearn_range": [min(v["ratio"] for v in versus), max(v["ratio"] for v in versus)],
        "speedup_sklearn_whole_grid": scaled / sum(ours),
        "speedup_sklearn_default_tolerance": statistics.median(v["ratio_default"] for v in versus),
        "speedup_closed_form": statistics.median(v["ratio_means"] for v in versus),
        "arithmetic_bound_seconds": bound,
        "share_of_bound": bound / sum(ours),
        "peak_memory_gb": peak,
        "memory_above_start_gb": peak - before,
        "against_tight_reference": versus[0]["tight"],
        "timed_cells": worst(v["agreement"] for v in versus),
    }


def _versus(cell: Cell, ours: Coefficients, tight: bool) -> dict[str, Any]:
    """Both sides on one cell, in turn."""
    _, again = timed(lambda: batched(cell, TOLERANCE))
    theirs, seconds = timed(lambda: loop(cell, TOLERANCE))
    _, loose = timed(lambda: batched(cell, DEFAULT_TOLERANCE))
    default, default_seconds = timed(lambda: loop(cell, DEFAULT_TOLERANCE))
    means = statistics.median(timed(lambda: mean_differences(*tensors(cell)))[1] for _ in range(5))
    result = {
        "ratio": seconds / again,
        "ratio_default": default_seconds / loose,
        "ratio_means": default_seconds / means,
        "sklearn_seconds": seconds,
        "agreement": Agreement.between(ours, theirs, cell),
    }
    if tight:
        reference = loop(cell, TIGHT, np.float64)
        sides = {"ours": ours, "sklearn": theirs, "sklearn_default_tolerance": default}
        result["tight"] = {name: asdict(Agreement.between(coef, reference, cell)) for name, coef in sides.items()}
    return result


def compare_every_cell(cells: Iterable[Cell]) -> dict[str, float]:
    """Agreement with scikit-learn at the tight tolerance on every cell of a grid."""
    return worst(
        Agreement.between(coefficients(batched(cell, TOLERANCE)), loop(cell, TIGHT, np.float64), cell) for cell in cells
    )


def time_bootstrap(n: int = 2000, n_cells: int = 100, n_resamples: int = 2000) -> dict[str, float]:
    """Seconds of the AUROCs of many cells on many resamples of 700 groups: pooled, and within 60 strata."""
    rng = np.random.default_rng(0)
    labels, scores = rng.random(n) < 0.5, rng.normal(size=(n_cells, n))
    groups = [str(g) for g in rng.integers(0, 700, n)]
    result = {}
    for name, n_strata in (("pooled", 1), ("60_strata", 60)):
        comparison = StratifiedPairs.of(labels, [str(s) for s in rng.integers(0, n_strata, n)])

        def auroc(pairs: StratifiedPairs = comparison) -> object:
            return pairs.auroc(scores, cluster_bootstrap(groups, n_resamples, rng).weights)

        result[name] = timed(auroc)[1]
    return result


def measure(quick: bool) -> dict[str, Any]:
    """Everything, on one thread."""
    result = time_grid(QUICK if quick else FULL)
    result["random_grid"] = compare_every_cell(random_grid(8 if quick else 32, 1000, 256, seed=1))
    result["organism_grid"] = compare_every_cell(organism_grid(1000))
    result["bootstrap_seconds"] = time_bootstrap()
    grids = [result[name] for name in ("timed_cells", "random_grid", "organism_grid")]
    result["min_coefficient_cosine"] = min(grid["min_coefficient_cosine"] for grid in grids)
    result["max_auroc_difference"] = max(grid["max_auroc_difference"] for grid in grids)
    return result


def main() -> None:
    """Print one JSON object, or a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small grid, under a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        result = measure(options.quick)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    for name, value in result.items():
        sys.stdout.write(f"{name}: {value:.5g}\n" if isinstance(value, float) else f"{name}: {value}\n")


if __name__ == "__main__":
    main()
