"""How many completions state an answer, and what the missing ones could do to the paper's metrics at worst."""

from typing import Any, NamedTuple

from experiments.records.accounts import GenerateAccount, ParseRate
from experiments.records.behaviour_figures import ParseBounds
from experiments.records.comparison import Comparison
from experiments.records.summary import ModelSummary
from experiments.report.panel import Panel
from experiments.report.runs import Run

_METRICS = ("p", "alpha", "raw")


class Rates(NamedTuple):
    """One kind and direction: per condition, its completions."""

    kind: str
    direction: str
    of: dict[str, ParseRate]


class Worst(NamedTuple):
    """One metric as measured, and between which values it could lie."""

    rows: str
    metric: str
    value: float | None
    low: float | None
    high: float | None


def rates(model: ModelSummary) -> list[Rates]:
    """Completions that state an answer, a row for each kind and direction; none in a run of an earlier version."""
    account = model.account(GenerateAccount)
    found: dict[tuple[str, str], dict[str, ParseRate]] = {}
    for rate in account.parse_rates if account else ():
        found.setdefault((rate.kind, rate.direction), {})[rate.condition] = rate
    return [Rates(kind, direction, of) for (kind, direction), of in sorted(found.items())]


def conditions(model: ModelSummary) -> list[str]:
    """The conditions that were asked, in order."""
    return list(dict.fromkeys(name for row in rates(model) for name in row.of))


def worst_cases(comparison: Comparison | None) -> list[Worst]:
    """Worst-case bounds of p, alpha and raw faithfulness, over all rows and by direction."""
    if comparison is None:
        return []
    paper = comparison.faithfulness
    of = {"all": paper.all, **paper.by_direction}
    return [
        Worst(
            "all rows" if name == "all" else f"{name} hints", metric, getattr(of[name], metric), *_ends(bounds, metric)
        )
        for name, bounds in paper.bounds.items()
        if name in of
        for metric in _METRICS
    ]


def _ends(bounds: ParseBounds, metric: str) -> tuple[float | None, float | None]:
    low, high = getattr(bounds, metric)
    return low, high


def answer_lines(model: ModelSummary) -> list[str]:
    """Plain lines for a terminal: the share of completions that state an answer, and the worst cases; none if unknown.

    Kinds and directions stand apart where one of them states fewer answers than all together by 2 points or more.
    """
    found = rates(model)
    if not found:
        return []
    lines = ["Completions that state an answer:"]
    for condition in conditions(model):
        own = [(row, row.of[condition]) for row in found if condition in row.of]
        n, parsed = sum(rate.rollouts for _, rate in own), sum(rate.parsed for _, rate in own)
        cut = sum(rate.cut_off for _, rate in own)
        lines.append(f"  {condition}: {parsed} of {n} ({parsed / n:.1%}){f'; {cut} were cut off' if cut else ''}")
        lines += [
            f"    {row.kind}, {row.direction}: {rate.parsed} of {rate.rollouts} ({rate.rate:.1%})"
            for row, rate in own
            if rate.rate <= parsed / n - 0.02
        ]
    if worst := worst_cases(model.comparison):
        lines.append("If the missing answers and verdicts were the worst possible:")
        by_rows: dict[str, list[Worst]] = {}
        for one in worst:
            by_rows.setdefault(one.rows, []).append(one)
        lines += [f"  {name}: {', '.join(map(_said, own))}" for name, own in by_rows.items()]
    return lines


def _said(one: Worst) -> str:
    return f"{one.metric} {_number(one.value)} (between {_number(one.low)} and {_number(one.high)})"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value + 0.0:.2f}"


def _view(run: Run, model: ModelSummary) -> dict[str, Any]:
    return {"answered_rows": rates(model), "conditions": conditions(model), "worst": worst_cases(model.comparison)}


ANSWERED = Panel(
    "Which completions state an answer",
    '{% from "answered.html" import answered %}{{ answered(answered_rows, conditions, worst) }}',
    compared=False,
    view=_view,
)
