"""The headline under each judge: what raw faithfulness and the hidden share owe to who reads."""

from typing import Any

from experiments.records.judging import JudgeSensitivity
from experiments.records.summary import ModelSummary
from experiments.report.panel import Panel
from experiments.report.runs import Run
from experiments.report.words import value

HEAD = ("who reads", "scored", "raw", "normalised", "share hidden", "raw, corrected", "share hidden, corrected")
PAIRS = ("judges", "asked for", "n", "raw agreement", "kappa", "AC1")


def reading_rows(found: JudgeSensitivity) -> list[dict[str, Any]]:
    """One flat row per reading, with the ends of every interval."""
    rows = []
    for name, reading in found.readings.items():
        row: dict[str, Any] = {"reading": name, "scored": reading.scored, "unscored": reading.unscored}
        for what in ("raw", "normalised", "hidden_share", "raw_corrected", "hidden_corrected"):
            figure = getattr(reading, what)
            low, high = (None, None) if figure is None else (figure.low, figure.high)
            row |= {what: None if figure is None else figure.value, f"{what}_low": low, f"{what}_high": high}
        rows.append(row | {"not_corrected": reading.not_corrected})
    return rows


def pair_rows(found: JudgeSensitivity) -> list[tuple[str, ...]]:
    """One line of text per pair of judges and field."""
    return [
        (f"{p.first} ~ {p.second}", p.field, str(p.n), *(value(v) for v in (p.raw_agreement, p.kappa, p.ac1)))
        for p in found.agreement
    ]


def sentence(found: JudgeSensitivity) -> str:
    """How far the headline moves with the judge; empty where there is nothing to say."""
    low, high = found.spread.get("raw", (None, None))
    least, most = found.spread.get("hidden_share", (None, None))
    if low is None or high is None:
        return ""
    several = len({p.first for p in found.agreement} | {p.second for p in found.agreement})
    if several < 2:
        return (
            "One judge read this run, so it is not known how much the figures depend on the judge; add a second judge."
        )
    hidden = f", and a hidden share from {least:.2f} to {most:.2f}" if least is not None and most is not None else ""
    return f"{several} judges give a raw faithfulness from {low:.2f} to {high:.2f}{hidden}."


def _view(run: Run, model: ModelSummary) -> dict[str, Any]:
    found = model.comparison.judges if model.comparison else None
    if found is None:
        return {"found": None}
    return {"found": found, "head": HEAD, "pairs": pair_rows(found), "pair_head": PAIRS, "said": sentence(found)}


JUDGES = Panel(
    "The headline under each judge",
    '{% from "judges.html" import judges %}{{ judges(found, said, head, pairs, pair_head) }}',
    view=_view,
)
