"""Several trainings side by side: ``python -m experiments.benchmarks.training_page hacks``.

Prints a table of all variants whose trajectory is finished; with ``--page`` it is written between the page's marks, and
with ``--figure`` the hack rate and its verbalized share are drawn over the steps, a panel for each environment.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.records.files import write_marked
from experiments.records.trajectory import Checkpoint, Trajectory
from experiments.report.trajectory import read_trajectory
from experiments.training.config import load_training_config
from experiments.training.trajectory import FILE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARK = "trainings"
FIGURES = {
    "hack_rate": "hack rate",
    "verbalized_share": "verbalized share",
    "hidden_share": "hidden share",
    "accuracy": "accuracy without a hint",
    "probe_frozen_recall": "frozen probe's recall",
}
_WIDTH, _HEIGHT, _ACROSS = 3.0, 2.0, 3
_BLUE, _ORANGE = "#1f5fa8", "#c2571a"


def finished(config: Path, cache: Path | None) -> dict[str, Trajectory]:
    """Trajectories by the variant's name, in the order of the file."""
    loaded = load_training_config(config, [f"cache={cache}"] if cache else ())
    found = {}
    for variant, one in loaded.runs().items():
        path = one.run_dir / FILE
        if path.is_file():
            found[variant] = read_trajectory(path).trajectory
    return found


def table(trajectories: Mapping[str, Trajectory]) -> str:
    """First and last checkpoint of each run, with intervals at the last."""
    head = ("run", *FIGURES.values())
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, trajectory in trajectories.items():
        first, last = trajectory.checkpoints[0], trajectory.checkpoints[-1]
        lines.append(f"| `{name}` | {' | '.join(_change(first, last, figure) for figure in FIGURES)} |")
    return "\n".join(lines)


def _change(first: Checkpoint, last: Checkpoint, name: str) -> str:
    start, end = getattr(first, name), getattr(last, name)
    interval = last.intervals.get(name)
    shown = "–" if end is None else f"{end:.2f}"
    if end is not None and interval is not None:
        shown += f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    return f"{'–' if start is None else f'{start:.2f}'} → {shown}"


def draw(trajectories: Mapping[str, Trajectory], path: Path) -> None:
    """A panel per environment: the hack rate (solid) and its verbalized share (dashed), a line per run."""
    from matplotlib.figure import Figure

    panels: dict[str, list[tuple[str, Trajectory]]] = {}
    for name, trajectory in trajectories.items():
        panels.setdefault(_panel(name, trajectory), []).append((name, trajectory))
    down = -(-len(panels) // _ACROSS)
    figure = Figure((_WIDTH * _ACROSS, _HEIGHT * down), layout="constrained")
    grid = figure.subplots(down, _ACROSS, sharex=True, sharey=True, squeeze=False)
    for axes, (title, runs) in zip(grid.flat, panels.items(), strict=False):
        axes.set_title(title.replace("_", " ").removeprefix("hack:"), fontsize=8)
        axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
        axes.tick_params(labelsize=7)
        for name, trajectory in runs:
            _lines(axes, trajectory.checkpoints, _ORANGE if name.endswith("-kl") else _BLUE)
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    figure.supxlabel("optimiser step", fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def _panel(name: str, trajectory: Trajectory) -> str:
    """Runs of one environment stand together, those that punish a monitor's verdict apart."""
    weights = trajectory.steps[0].weights if trajectory.steps else {}
    punished = [term for term in ("judge", "probe") if weights.get(term, 0) < 0]
    return ", ".join([trajectory.environment or name, *(f"{term} punished" for term in punished)])


def _lines(axes: "Axes", checkpoints: Sequence[Checkpoint], colour: str) -> None:
    for figure, style in (("hack_rate", "-"), ("verbalized_share", "--")):
        known = [(c.step, getattr(c, figure)) for c in checkpoints if getattr(c, figure) is not None]
        axes.plot(*zip(*known, strict=True), color=colour, linestyle=style, lw=1.3, alpha=0.8)


def main() -> None:
    """Print the table, or write page and figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="a training configuration's file, or a shipped one's name")
    parser.add_argument("--cache", type=Path, help="in place of the configuration's")
    parser.add_argument("--page", type=Path, help="Markdown page whose marked part is written anew")
    parser.add_argument("--figure", type=Path, help="SVG file to draw")
    options = parser.parse_args()
    trajectories = finished(options.config, options.cache)
    if options.figure is not None:
        draw(trajectories, options.figure)
    if options.page is not None:
        write_marked(options.page, MARK, table(trajectories))
    else:
        sys.stdout.write(table(trajectories) + "\n")


if __name__ == "__main__":
    main()
