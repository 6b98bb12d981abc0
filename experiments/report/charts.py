"""Line charts of detectors: ROC and reliability."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.report.curves import Curves
from experiments.report.picture import Palette, Picture, blank
from experiments.report.words import typeset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DASHES = ("solid", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)))
_SIZE = 300.0
_LEGEND = 15.0


def roc_chart(curves: Sequence[Curves], areas: dict[str, str]) -> Picture:
    """True- against false-positive rate at the thresholds of the table; the point that the table has is marked.

    Args:
        areas: AUROC of each detector as it is printed.
    """
    labels = [f"{curve.name}  {typeset(areas[curve.name])}" for curve in curves]
    title = "ROC curves of held-out rows at thresholds set on training negatives. AUROC: " + "; ".join(labels)

    def draw(palette: Palette) -> "Figure":
        from matplotlib.patches import Circle

        figure, axes = _frame(palette, "false-positive rate", "true-positive rate", len(curves))
        for k, curve in enumerate(curves):
            look = {"color": palette.series[k], "clip_on": False}
            axes.plot(curve.fpr, curve.tpr, linestyle=_DASHES[k], lw=1.8, label=labels[k], **look)
            if curve.marked is not None:
                axes.add_patch(Circle(curve.marked, 0.016, **look))
        _legend(figure, axes, palette)
        return figure

    return Picture("roc", title, "chart", draw)


def reliability_chart(curves: Sequence[Curves]) -> Picture:
    """Observed share of reliant rows against calibrated probability."""
    shown = [curve for curve in curves if len(curve.predicted)]

    def draw(palette: Palette) -> "Figure":
        from matplotlib.patches import Circle

        figure, axes = _frame(palette, "calibrated probability", "share reliant", len(shown))
        for k, curve in enumerate(shown):
            look = {"color": palette.series[k], "clip_on": False}
            axes.plot(curve.predicted, curve.observed, linestyle=_DASHES[k], lw=1.2, label=curve.name, **look)
            for centre in zip(curve.predicted, curve.observed, strict=True):
                axes.add_patch(Circle(centre, 0.013, **look))
        _legend(figure, axes, palette)
        return figure

    return Picture("reliability", "Reliability of calibrated probabilities on held-out rows.", "chart", draw)


def _frame(palette: Palette, x: str, y: str, n_lines: int) -> tuple["Figure", Any]:
    height = _SIZE + n_lines * _LEGEND + 8
    figure = blank(_SIZE, height)
    axes = figure.add_axes((0.16, (n_lines * _LEGEND + 42) / height, 0.8, (_SIZE * 0.8) / height))
    axes.patch.set_visible(False)
    axes.plot([0, 1], [0, 1], color=palette.ink, alpha=0.35, lw=0.8, clip_on=False)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):  # lines, for tick marks would be symbols that refer to a definition
        axes.plot([tick, tick], [0, 1], [0, 1], [tick, tick], color=palette.ink, alpha=0.1, lw=0.6, clip_on=False)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=palette.ink, alpha=0.5, lw=0.6)
    axes.tick_params(colors=palette.ink, labelsize=8.5, bottom=False, left=False)
    axes.set(xticks=[0, 0.25, 0.5, 0.75, 1], yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel(x, color=palette.ink, fontsize=9)
    axes.set_ylabel(y, color=palette.ink, fontsize=9)
    return figure, axes


def _legend(figure: "Figure", axes: Any, palette: Palette) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0.12, 0.0), frameon=False, fontsize=8.5,
        labelcolor=palette.ink, handlelength=2.6, labelspacing=0.35,
    )  # fmt: skip
