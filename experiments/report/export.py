"""The result as Markdown, CSV or JSON: the same numbers as the page's, for papers and scripts."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from typing import Any

from experiments.records.detector_tables import DetectorEntry
from experiments.records.parts import Figure
from experiments.records.summary import ModelSummary
from experiments.report.markdown import TABLES, as_markdown
from experiments.report.runs import Run

FIGURES = (
    "auroc",
    "auroc_pooled",
    "recall_at_1pct",
    "realised_fpr_at_1pct",
    "recall_at_5pct",
    "realised_fpr_at_5pct",
    "recall_at_judge_fpr",
    "realised_fpr_at_judge_fpr",
    "recall_minus_judge",
    "fpr_minus_judge",
)
PLAIN = (
    "brier",
    "ece",
    "ece_null",
    "seconds_per_row",
    "p_null",
    "control_task_auroc",
    "selectivity",
    "family",
    "reads",
    "labels",
)
MONITOR = ("sensitivity", "specificity", "g_mean2", "g_mean2_confirmed")


def as_json(runs: Sequence[Run]) -> str:
    """The summaries, as they are on disk: one object, or a list where several runs were given."""
    summaries = [run.summary.model_dump(mode="json") for run in runs]
    return json.dumps(summaries[0] if len(summaries) == 1 else summaries, indent=2, allow_nan=False) + "\n"


def as_csv(runs: Sequence[Run]) -> str:
    """One line per run, model, table and detector; every figure with the ends of its interval."""
    columns = [name + end for name in FIGURES for end in ("", "_low", "_high")]
    buffer = StringIO()
    writer = csv.DictWriter(
        buffer, ["run", "model", "table", "detector", *columns, *PLAIN, "sees", *MONITOR], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(_csv_rows(runs))
    return buffer.getvalue()


def _csv_rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for run in runs:
        for model in run.summary.models:
            yield from detector_rows_of(run, model)


def detector_rows_of(run: Run, model: ModelSummary) -> Iterator[dict[str, Any]]:
    """One flat row per table and detector of a model."""
    for table in TABLES:
        for name, entry in (getattr(model.comparison, table, None) or {}).items():
            row = {"run": run.summary.name, "model": model.model, "table": table, "detector": name}
            plain = {key: getattr(entry, key) for key in PLAIN} | {"sees": ", ".join(entry.sees)}
            yield row | _figures(entry) | plain | _monitor(entry)


def _figures(entry: DetectorEntry) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in FIGURES:
        figure = getattr(entry, name) or Figure()
        found |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
    return found


def _monitor(entry: DetectorEntry) -> dict[str, float | None]:
    found = entry.monitorability
    if found is None:
        return dict.fromkeys(MONITOR)
    every = found.every
    confirmed = found.filtered.g_mean2.value if found.filtered else None
    return dict(
        zip(MONITOR, (every.sensitivity.value, every.specificity.value, every.g_mean2.value, confirmed), strict=True)
    )


FORMATS: dict[str, Callable[[Sequence[Run]], str]] = {"md": as_markdown, "json": as_json, "csv": as_csv}
