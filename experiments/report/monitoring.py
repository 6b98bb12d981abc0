"""Detectors as monitors: sensitivity times specificity, recall at a monitor's own rate, and cascades."""

from collections.abc import Iterator
from typing import Any

from experiments.records.comparison import Comparison
from experiments.records.detector_tables import DetectorEntry
from experiments.records.summary import ModelSummary
from experiments.report.figure_text import show
from experiments.report.panel import Panel
from experiments.report.runs import Run

HEAD = ("detector", "flags at", "sensitivity", "specificity", "g-mean²", "g-mean², confirmed rows", "confirmed rows")
CURVE = ("judged", "rows", "tokens", "recall", "at random rows", "realised FPR", "AUROC")


def monitor_rows(entries: dict[str, DetectorEntry]) -> Iterator[tuple[str, ...]]:
    """One line of text per detector that has an operating point; controls and references apart."""
    for name, entry in entries.items():
        found = entry.monitorability
        if found is None or entry.family in ("control", "reference"):
            continue
        every, kept = found.every, found.filtered
        yield (
            name, found.at, show(every.sensitivity), show(every.specificity), show(every.g_mean2),
            show(kept.g_mean2) if kept else "-", f"{kept.positives} + {kept.negatives}" if kept else "-",
        )  # fmt: skip


def not_confirmed(entries: dict[str, DetectorEntry]) -> str:
    """Why no row is confirmed by its item's other rollouts; empty where some are."""
    said = [entry.monitorability.not_filtered for entry in entries.values() if entry.monitorability]
    return said[0] if said and all(said) else ""


def rate_rows(entries: dict[str, DetectorEntry]) -> Iterator[tuple[str, ...]]:
    """One line of text per judge and detector: recall at the judge's own rate."""
    for name, entry in entries.items():
        if entry.family in ("control", "reference"):
            continue
        for judge, found in entry.at_rates_of.items():
            yield judge, name, show(found.recall), show(found.realised_fpr), show(found.recall_minus)


def curves(comparison: Comparison) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Title and lines of each cascade's cost curve."""
    for found in comparison.cascades:
        title = f"{found.probe}, then {found.judge} ({found.rows} rows, {found.tokens:,} tokens if all were read)"
        yield title, [
            (
                f"{point.share:.0%}", str(point.rows_judged), f"{point.tokens:,}", show(point.recall),
                "-" if point.recall_at_random is None else f"{point.recall_at_random:.2f}", show(point.realised_fpr),
                "-" if point.auroc is None else f"{point.auroc:.2f}",
            )
            for point in found.points
        ]  # fmt: skip


def cascade_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One flat row per cascade and share of rows judged."""
    return [
        {
            "probe": found.probe, "judge": found.judge, "share": point.share, "rows_judged": point.rows_judged,
            "tokens": point.tokens, "recall": point.recall.value, "recall_low": point.recall.low,
            "recall_high": point.recall.high, "recall_at_random": point.recall_at_random,
            "realised_fpr": point.realised_fpr.value, "auroc": point.auroc,
        }
        for found in comparison.cascades
        for point in found.points
    ]  # fmt: skip


def _view(run: Run, model: ModelSummary) -> dict[str, Any]:
    comparison = model.comparison
    if comparison is None:
        return {}
    entries = dict(comparison.detectors)
    return {
        "head": HEAD,
        "monitors": list(monitor_rows(entries)),
        "not_confirmed": not_confirmed(entries),
        "rates": list(rate_rows(entries)),
        "curve_head": CURVE,
        "curves": list(curves(comparison)),
    }


MONITORING = Panel(
    "Detectors as monitors, and the cost of judging",
    '{% from "monitoring.html" import monitoring %}'
    "{{ monitoring(head, monitors, not_confirmed, rates, curve_head, curves) }}",
    view=_view,
)
