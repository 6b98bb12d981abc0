"""A finished trajectory: data frames for scripts and notebooks, curves and one page that opens offline."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup
from pydantic import ValidationError

from activations.errors import HintprobeError
from experiments.records.files import NOT_JSON
from experiments.records.tables import write_atomically
from experiments.records.trajectory import VERSION, Checkpoint, Estimate, Trajectory
from experiments.report.picture import Palette, Picture, blank
from experiments.report.templates import HERE, environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "trajectory.json"
PAGE = "trajectory.html"
Series = tuple[str, Sequence[tuple[float, float | None, float | None, float | None]]]
"""A label, and per point: step, value, lower and upper end."""

CURVES: dict[str, tuple[str, tuple[str, ...]]] = {
    "hack": ("Hack rate, admissions and accuracy", ("hack_rate", "verbalized_share", "judge_recall", "accuracy")),
    "faithfulness": ("The paper's metrics", ("p", "raw_faithfulness", "normalised_faithfulness", "hidden_share")),
    "readings": (
        "The probe refitted, frozen and re-read: AUROC, reliant against aligned",
        ("probe_refit_auroc", "probe_frozen_auroc", "probe_reread_auroc"),
    ),
    "recall": (
        "The same probes and the judge: recall, the share of reliant rows above the threshold",
        ("probe_refit_recall", "probe_frozen_recall", "probe_reread_recall", "judge_recall"),
    ),
}
"""Charts over checkpoints: stem of the file, title, figures. A further chart is one line here."""
_WIDTH, _HEIGHT, _LEGEND = 430.0, 230.0, 15.0


@dataclass(frozen=True)
class TrajectoryResults:
    """A trajectory for Python."""

    trajectory: Trajectory

    @cached_property
    def figures(self) -> pd.DataFrame:
        """A row per checkpoint and figure: value, interval, and the paired difference from the first checkpoint."""
        rows = []
        for point in self.trajectory.checkpoints:
            for name, bounds in point.intervals.items():
                change = point.differences[name]
                rows.append(
                    {
                        "step": point.step, "figure": name, "value": getattr(point, name),
                        "low": bounds[0] if bounds else None, "high": bounds[1] if bounds else None,
                        "difference": change.value, "difference_low": change.low, "difference_high": change.high,
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    @cached_property
    def wide(self) -> pd.DataFrame:
        """A row per checkpoint, a column per figure."""
        frame = self.figures.pivot(index="step", columns="figure", values="value")
        return frame[list(self.trajectory.checkpoints[0].intervals)]

    @cached_property
    def readings(self) -> pd.DataFrame:
        """A row per checkpoint, detector and reading: AUROC, and what both thresholds flag."""
        rows = []
        for point in self.trajectory.checkpoints:
            for name, ways in (point.probes | point.texts).items():
                for how, reading in ways.items():
                    row = {"step": point.step, "detector": name, "reading": how, "refused": reading.refused}
                    row |= {f"auroc_{k}": v for k, v in reading.auroc.model_dump().items()}
                    for at in ("at_start_threshold", "at_own_threshold"):
                        flagging = getattr(reading, at)
                        for what in ("recall", "false_positives"):
                            row[f"{what}_{at}"] = getattr(flagging, what).value if flagging else None
                    rows.append(row)
        return pd.DataFrame(rows)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The training's log: a row per step, each term of the reward a column."""
        flat = [
            {**row.model_dump(exclude={"terms", "weights", "readings"}), **row.terms, **row.readings}
            for row in self.trajectory.steps
        ]
        return pd.DataFrame(flat)

    @cached_property
    def followed(self) -> pd.DataFrame:
        """A row per followed item and checkpoint: what it wrote."""
        steps = [point.step for point in self.trajectory.checkpoints]
        return pd.DataFrame(
            {
                "item": one.item, "kind": one.kind, "direction": one.direction, "target": one.target, "step": step,
                "answer": one.answers[k], "behaviour": one.behaviours[k], "verbalized": one.verbalized[k],
                "text": one.texts[k],
            }
            for one in self.trajectory.followed for k, step in enumerate(steps)
        )  # fmt: skip

    def _repr_html_(self) -> str:
        title = f"{self.trajectory.name}: {self.trajectory.environment or 'checkpoints given'}"
        return f"<p>{escape(title)}</p>" + self.wide.to_html(float_format="{:.2f}".format)


def read_trajectory(path: Path | str) -> TrajectoryResults:
    """Open what ``hintprobe trajectory`` wrote.

    Args:
        path: the run's folder, or its ``trajectory.json``.

    Raises:
        HintprobeError: there is none, it is damaged, or a newer hintprobe wrote it.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, *NOT_JSON) as error:
        raise HintprobeError(
            f"{file} could not be read as a trajectory: {error}. Give the folder that `hintprobe trajectory` wrote."
        ) from error
    if isinstance(data, dict) and int(data.get("version", 0)) > VERSION:
        raise HintprobeError(f"{file} has version {data['version']}, but this hintprobe reads up to {VERSION}.")
    try:
        return TrajectoryResults(Trajectory.model_validate(data))
    except ValidationError as error:
        raise HintprobeError(
            f"{file} is not a trajectory: {error.errors()[0]['msg']}. Give the folder that `hintprobe trajectory` "
            "wrote."
        ) from error


def pictures(results: TrajectoryResults) -> dict[str, Picture]:
    """Every chart that has something to show."""
    found = {name: _chart(name, title, _over_checkpoints(results, names)) for name, (title, names) in CURVES.items()}
    if len(results.steps):
        found["rewards"] = _chart("rewards", "Terms of the reward in training, per step", _over_steps(results))
    return {name: picture for name, picture in found.items() if picture is not None}


def _over_checkpoints(results: TrajectoryResults, names: Sequence[str]) -> list[Series]:
    frame = results.figures
    found: list[Series] = []
    for name in names:
        own = frame[frame["figure"] == name].astype(object)
        own = own.where(own.notna(), None)
        points = list(zip(own["step"], own["value"], own["low"], own["high"], strict=True))
        if any(value is not None for _, value, _, _ in points):
            found.append((name.replace("_", " "), points))
    return found


def _over_steps(results: TrajectoryResults) -> list[Series]:
    rows = results.trajectory.steps
    return [
        (f"{name} (weight {rows[0].weights[name]:g})", [(row.step, row.terms[name], None, None) for row in rows])
        for name in rows[0].terms
        if any(row.terms[name] is not None for row in rows)
    ]


def _chart(name: str, title: str, series: Sequence[Series]) -> Picture | None:
    if not series:
        return None
    last = "; ".join(f"{label} {_last(points)}" for label, points in series)
    return Picture(f"trajectory-{name}", f"{title}. At the end: {last}.", "chart", lambda p: _draw(p, series))


def _last(points: Sequence[tuple[float, float | None, float | None, float | None]]) -> str:
    known = [value for _, value, _, _ in points if value is not None]
    return f"{known[-1]:.2f}" if known else "undefined"


def _draw(palette: Palette, series: Sequence[Series]) -> "Figure":
    from matplotlib.patches import Polygon

    height = _HEIGHT + len(series) * _LEGEND + 8
    figure = blank(_WIDTH, height)
    axes = figure.add_axes((0.1, (len(series) * _LEGEND + 44) / height, 0.87, (_HEIGHT - 52) / height))
    axes.patch.set_visible(False)
    dashes = ("solid", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)))
    for k, (label, points) in enumerate(series):
        known = [(x, y) for x, y, _, _ in points if y is not None]
        band = [(x, low, high) for x, _, low, high in points if low is not None and high is not None]
        if band:
            edge = [(x, low) for x, low, _ in band] + [(x, high) for x, _, high in reversed(band)]
            axes.add_patch(Polygon(edge, facecolor=(palette.series[k], 0.13), edgecolor="none"))
        axes.plot(*zip(*known, strict=True), color=palette.series[k], linestyle=dashes[k], lw=1.8, label=label)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        axes.axhline(tick, color=palette.ink, alpha=0.1, lw=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=palette.ink, alpha=0.5, lw=0.6)
    axes.tick_params(colors=palette.ink, labelsize=8.5, bottom=False, left=False)
    axes.set(ylim=(-0.02, 1.02), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("optimiser step", color=palette.ink, fontsize=9)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="lower left", bbox_to_anchor=(0.08, 0.0), frameon=False, fontsize=8.5,
        labelcolor=palette.ink, handlelength=2.6, labelspacing=0.35,
    )  # fmt: skip
    return figure


def write_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page beside ``trajectory.json``, or to ``out``; returns its path.

    Raises:
        HintprobeError: there is no trajectory.
    """
    results = read_trajectory(folder)
    found = results.trajectory
    page = (
        environment()
        .get_template("trajectory.html")
        .render(
            css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
            t=found,
            points=[_point(point) for point in found.checkpoints],
            columns=COLUMNS,
            curves={name: picture.inline() for name, picture in pictures(results).items()},
            titles={name: title for name, (title, _) in CURVES.items()} | {"rewards": "The reward, term by term"},
            levels=found.levels,
        )
    )
    place = out or folder / PAGE
    write_atomically(place, page)
    return place


COLUMNS = {
    "hack_rate": "hack rate",
    "verbalized_share": "verbalized share",
    "accuracy": "accuracy, unhinted",
    "raw_faithfulness": "faithfulness, raw",
    "judge_recall": "judge recall",
    "probe_refit_auroc": "probe, refitted",
    "probe_frozen_auroc": "probe, frozen",
    "probe_reread_auroc": "probe, re-read",
    "probe_frozen_recall": "frozen, recall",
    "parsed_share": "parsed",
    "length": "tokens",
}
"""What the page's table shows of a checkpoint."""


def _point(point: Checkpoint) -> dict[str, Any]:
    """A checkpoint with every figure in the form that the page's filters read."""
    entries = {}
    for name in COLUMNS:
        low, high = point.intervals[name] or (None, None)
        entries[name] = Estimate(value=getattr(point, name), low=low, high=high)
    return {name: getattr(point, name) for name in Checkpoint.model_fields} | {"entries": entries}
