"""Do the numbers mean what they say? Experiments are simulated whose truth is known, and put through the real code.

``python -m experiments.benchmarks.validity [--quick] [--json]`` prints each figure beside what it has to be
(`docs/validity.md`). Simulated are the rule for a find (noise, and two confounds that hold no use of the hint; its
power where use is there), the coverage of the intervals of a trained probe, and what is said of answers: of hints that
do nothing, of verdicts that are lost, and of items whose rollouts are few.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from scipy.stats import norm

from experiments.benchmarks.simulated_answers import again, idle_figures, lost_verdicts_bias, posterior_coverage
from experiments.benchmarks.simulated_hints import Cause, found_in
from experiments.run.console import PlainConsole as Console
from probes import Contrast, Search, nested_cv

RELIABILITIES = (1.0, 0.7, 0.4, 0.0)
"""Share of the unhinted margin's variance that is the model's certainty."""
COVERAGES = (0.5, 0.75, 0.9, 0.98)


@dataclass(frozen=True)
class Figure:
    """One simulated figure.

    Attributes:
        n: simulated experiments, or items.
        least, most: what it has to lie between.
        stated_error: standard error of what is no share.
    """

    value: float
    n: int
    least: float
    most: float
    stated_error: float | None = None

    @property
    def error(self) -> float:
        """Standard error; of a share, from its number of simulations."""
        if self.stated_error is not None:
            return self.stated_error
        return float(np.sqrt(max(self.value * (1 - self.value), 0.25 / self.n) / self.n))

    @property
    def holds(self) -> bool:
        """Whether it lies there, two standard errors of its own simulation allowed."""
        return self.least - 2 * self.error <= self.value <= self.most + 2 * self.error


def share_found(cause: Cause, n_class: int, n: int, seed: int, reliability: float = 0.7, auroc: float = 0.5) -> float:
    """In how many of ``n`` simulated experiments the rule calls the probe found."""
    rng = np.random.default_rng(seed)
    return float(np.mean([found_in(cause, n_class, rng, reliability, auroc) for _ in range(n)]))


def coverage(auroc: float, n: int, seed: int, n_rows: int = 160, d: int = 12, n_cells: int = 3) -> float:
    """Share of 95% intervals of a probe, chosen and trained by nested cross-validation, that hold its true AUROC.

    The truth is that of the procedure at this number of rows: the mean of its held-out AUROC over all simulations.
    """
    rng = np.random.default_rng(seed)
    values, bounds = [], []
    for _ in range(n):
        labels = rng.random(n_rows) < 0.5
        cells = {f"cell{k}": rng.normal(size=(n_rows, d)) for k in range(n_cells)}
        cells["cell0"][:, 0] += np.sqrt(2) * norm.ppf(auroc) * labels
        contrast = Contrast(labels, tuple(map(str, range(n_rows))), tuple(rng.choice(list("abcd"), n_rows)))
        search = Search((0.03,), 5, 3, repeats=2)
        estimate = nested_cv(cells, contrast, search, int(rng.integers(2**31))).estimate(contrast)
        values.append(estimate.value)
        bounds.append(estimate.interval(np.arange(n_rows), labels) or (0.0, 1.0))
    truth = float(np.mean(values))
    return float(np.mean([low <= truth <= high for low, high in bounds]))


def figures(
    n_found: int, n_covered: int, seed: int, say: Callable[[str], None], n_items: int = 4000
) -> dict[str, Figure]:
    """Every figure, by its name; the false finds under difficulty are the worst over the margin's reliabilities."""
    result: dict[str, Figure] = {}

    def add(name: str, value: float, n: int, least: float, most: float, error: float | None = None) -> None:
        result[name] = Figure(value, n, least, most, error)
        say(f"{name} {value:.3f}")

    add("false_found_noise", share_found("noise", 80, n_found, seed), n_found, 0.0, 0.05)
    for reliability in RELIABILITIES:
        name = f"false_found_difficulty_{reliability:g}"
        add(name, share_found("difficulty", 120, n_found, seed + 1, reliability), n_found, 0.0, 0.05)
    worst = max((result[f"false_found_difficulty_{r:g}"] for r in RELIABILITIES), key=lambda figure: figure.value)
    result["false_found_difficulty"] = worst
    add("false_found_conflict", share_found("conflict", 120, n_found, seed + 2), n_found, 0.0, 0.05)
    add("power_077_250", share_found("use", 250, n_found, seed + 3, auroc=0.77), n_found, 0.8, 1.0)
    add("power_090_80", share_found("use", 80, n_found, seed + 4, auroc=0.9), n_found, 0.8, 1.0)
    for auroc in COVERAGES:
        name = f"coverage_{round(100 * auroc):03d}"
        add(name, coverage(auroc, n_covered, seed + 5), n_covered, 0.92, 0.98)
    for k in (1, 3, 8):
        idle = idle_figures(n_items, k, seed + 6)
        add(f"null_hint_effect_k{k}", idle.effect, n_items, -0.02, 0.02, idle.effect_error)
        add(f"coincidence_share_idle_k{k}", idle.coincidence, n_items, 0.9, 1.1, idle.coincidence_error)
    for lost in (10, 20, 30):
        bias, error = lost_verdicts_bias(n_items, lost / 100, seed + 7)
        add(f"hidden_share_bias_unscored{lost}", bias, n_items, -0.02, 0.02, error)
    found = again(n_items // 2, seed + 8)
    add("regression_to_mean", found.labelled - found.true, n_items // 2, 0.0, 1.0, found.error)
    add("reliance_bias_fresh", found.evaluated - found.true, n_items // 2, -0.02, 0.02, found.error)
    for k in (1, 4, 8):
        most = (
            1.0 if k == 1 else 0.98
        )  # of one rollout a side, four outcomes leave the interval no choice but to be wide
        add(f"reliance_coverage_k{k}", posterior_coverage(n_items // 4, k, seed + 9), n_items // 4, 0.92, most)
    return result


def as_table(found: dict[str, Figure]) -> Table:
    """The figures beside what they have to be."""
    table = Table(title="Simulated experiments whose truth is known", title_justify="left", header_style="bold")
    for column in ("figure", "value", "± s.e.", "simulations", "has to be", "holds"):
        table.add_column(column)
    for name, figure in found.items():
        wanted = f"{figure.least:g} to {figure.most:g}"
        table.add_row(
            name, f"{figure.value:.3f}", f"{figure.error:.3f}", str(figure.n), wanted, "yes" if figure.holds else "no"
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate and print; 1 where a figure is not what it has to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few simulations: under three minutes")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    n_found, n_covered, n_items = (16, 40, 2000) if options.quick else (200, 500, 4000)
    console = Console(stderr=True)
    found = figures(n_found, n_covered, options.seed, lambda text: console.print(text, style="dim"), n_items)
    if options.json:
        values: dict[str, float] = {name: figure.value for name, figure in found.items()}
        sys.stdout.write(json.dumps({**values, "seconds": round(time.perf_counter() - start, 1)}, indent=2) + "\n")
    else:
        Console().print(as_table(found))
    return 0 if all(figure.holds for figure in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
