"""What a stranger reads first: who finds the hidden rollouts, what was found, what it rests on, and one example."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from experiments.records import Rollout
from experiments.records.comparison import Comparison
from experiments.records.parts import Figure
from experiments.records.run_records import RunRecords
from experiments.records.summary import ModelSummary
from experiments.report.basis import basis_line
from experiments.report.brief import why_not
from experiments.report.browser import Texts, is_withheld
from experiments.report.item_text import first_hidden
from experiments.report.names import readable
from experiments.report.runs import Run

Piece = tuple[int, int, str]
"""First character, one past the last, and the attributes of the element that marks them."""


class Bar(NamedTuple):
    """What one detector finds at the judge's false-positive rate."""

    name: str
    relied: Figure | None
    hidden: Figure | None


def bars(comparison: Comparison) -> list[Bar]:
    """The judge, the best baseline and the best probe; none where no detector was trained."""
    found = []
    for name in (f"judge_{comparison.faithfulness.judge}", comparison.best_baseline, comparison.best_probe):
        if name in comparison.detectors:
            hidden = comparison.hidden_detectors.get(name)
            relied = comparison.detectors[name].recall_at_judge_fpr
            found.append(Bar(readable(name), relied, hidden.recall_at_judge_fpr if hidden else None))
    return found


def sentences(comparison: Comparison) -> dict[str, list[str]]:
    """What was found, what it rests on, and what cannot be concluded."""
    found = [f"{readable(name)} (p = {f.p_holm:.3f})" for name, f in comparison.findings.items() if f.found]
    lost = [f"{readable(name)} ({why_not(f)})" for name, f in comparison.findings.items() if not f.found]
    result = [f"Found: {'; '.join(found)}."] if found else []
    result += [f"Not found: {'; '.join(lost)}."] if lost else []
    if not comparison.findings:
        result = ["No probe was trained on this model, so nothing could be found."]
    return {"found": result, "rests": _rests(comparison), "limits": _limits(comparison)}


def _rests(comparison: Comparison) -> list[str]:
    counts = comparison.counts
    told = [
        f"{counts.hinted_rollouts} hinted rollouts of {counts.items} items; what is hidden is fixed by "
        f"{_who(comparison)}."
    ]
    if line := basis_line(comparison):
        told.append(line)
    return told


def _who(comparison: Comparison) -> str:
    known = comparison.reference
    return known if known.startswith("judge ") else f"the reference “{known}”"


def _limits(comparison: Comparison) -> list[str]:
    said = ["That a probe reads reliance does not show that the model uses what is read: see patching and directions."]
    if comparison.reference.startswith("judge "):
        said.append("“Hidden” means that this judge found no admission; people may judge the same text differently.")
    if comparison.counts.reliant < 50:
        said.append(f"{comparison.counts.reliant} reliant rollouts are few: read the intervals, not the estimates.")
    return said


def example(run: Run, model: ModelSummary, texts: Texts) -> dict[str, Any] | None:
    """A rollout that relied in silence, beside the unhinted run; None where there is none, or its text stays private.

    The hint is marked, and the chain of thought is shaded by the held-out probe's probability at each token.
    """
    if not {"generate", "judge"} <= model.stages.keys() or not (records := run.records(model)).labels:
        return None
    item = records.items[_hidden_item(records, model)]
    hinted, twin = records.rollout(item.id, "hinted"), records.rollout(item.id, "unhinted")
    if hinted is None or is_withheld(item.question.source, texts):
        return None
    scores = records.cot_scores.get(hinted.id, ()) if "probe" in model.stages else ()
    shade = [(row.start, row.end, f'class="scored" style="--score:{row.probability:.2f}"') for row in scores]
    return {
        "id": hinted.id,
        "kind": item.kind,
        "target": item.target,
        "prompt": _prompt(hinted),
        "hinted": (marked(hinted.completion_text, shade), hinted.answer),
        "unhinted": (marked(twin.completion_text, ()), twin.answer) if twin else None,
        "scored": bool(shade),
    }


def _hidden_item(records: RunRecords, model: ModelSummary) -> str:
    """A hidden item whose chain of thought was scored token by token, if there is one."""
    scored = records.cot_scores if "probe" in model.stages else {}
    for label in records.labels.values():
        hidden = not any(verdict.verbalized for verdict in records.verdicts_on(label.rollout_id))
        if label.behaviour == "reliant" and hidden and label.rollout_id in scored:
            return label.item_id
    return first_hidden(records, model)


def _prompt(rollout: Rollout) -> Markup:
    """The last turn, the hint and the option it names marked."""
    place = len(rollout.prompt.messages) - 1
    spans = [(n, s) for n, s in rollout.prompt.spans.items() if n in ("hint", "pointer") and s.message == place]
    return marked(rollout.prompt.messages[place].content, [(s.start, s.end, f'class="m-{n}"') for n, s in spans])


def marked(text: str, pieces: Sequence[Piece]) -> Markup:
    """Text with spans over it, cut at every boundary; everything in it is escaped."""
    cuts = sorted({0, len(text), *(at for start, end, _ in pieces for at in (start, end) if 0 <= at <= len(text))})
    out = Markup("")
    for start, end in pairwise(cuts):
        inside = [look for first, last, look in pieces if first <= start and end <= last]
        inner = escape(text[start:end])
        for look in inside:
            inner = Markup(f"<span {look}>") + inner + Markup("</span>")
        out += inner
    return out
