"""One item of a run as plain text: the question, the hint, every condition's answers, and who noticed what."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from activations.errors import HintprobeError
from experiments.records import Condition, Item, Label, Record, Rollout
from experiments.records.run_records import RunRecords
from experiments.records.summary import ModelSummary
from experiments.report.names import readable

WIDTH = 100
SHOWN = ("probe_before_cot", "probe_within_cot", "probe_after_cot")
CONDITIONS: tuple[Condition, ...] = ("unhinted", "hinted", "swapped", "neutral")


def item_text(records: RunRecords, summary: ModelSummary, item_id: str) -> str:
    """An item with its first rollout of each condition.

    Raises:
        HintprobeError: there is no such item.
    """
    item = _item(records, summary, item_id)
    hinted = records.rollout(item_id, "hinted")
    label = records.labels.get(hinted.id) if hinted and "judge" in summary.stages else None
    return "\n".join(_lines(records, summary, item, hinted, label)) + "\n"


def item_records(records: RunRecords, summary: ModelSummary, item_id: str) -> dict[str, Any]:
    """The same as JSON values: the item, its rollouts, labels and verdicts.

    Raises:
        HintprobeError: there is no such item.
    """
    item = _item(records, summary, item_id)
    rollouts = [rollout for condition in CONDITIONS for rollout in records.rollouts_of(item_id, condition)]
    judged = "judge" in summary.stages
    labels = [records.labels[r.id] for r in rollouts if r.id in records.labels] if judged else []
    verdicts = [verdict for r in rollouts for verdict in records.verdicts_on(r.id)] if judged else []
    tables: dict[str, Sequence[Record]] = {"rollouts": rollouts, "labels": labels, "verdicts": verdicts}
    listed = {name: [row.model_dump(mode="json") for row in rows] for name, rows in tables.items()}
    return {"model": summary.model, "item": item.model_dump(mode="json"), **listed}


def _item(records: RunRecords, summary: ModelSummary, item_id: str) -> Item:
    if item_id not in records.items:
        near = [name for name in records.items if item_id in name][:5]
        hint = f" Did you mean {', '.join(near)}?" if near else " `hintprobe show RUN --list` lists them."
        raise HintprobeError(f"{summary.model} was not asked an item {item_id!r}.{hint}")
    return records.items[item_id]


def first_hidden(records: RunRecords, summary: ModelSummary) -> str:
    """The first item whose hinted rollout relied on the hint and is not said to admit it; else the first item."""
    if "judge" in summary.stages:
        for label in records.labels.values():
            said = [verdict.verbalized for verdict in records.verdicts_on(label.rollout_id)]
            if label.behaviour == "reliant" and said and not any(said):
                return label.item_id
    return next(iter(records.items))


def _lines(
    records: RunRecords, summary: ModelSummary, item: Item, hinted: Rollout | None, label: Label | None
) -> Iterator[str]:
    question = item.question
    yield f"{item.id}   ({summary.model})"
    yield f"{item.kind.replace('_', ' ')} hint at {item.target}, {item.direction}; right answer {question.gold}"
    yield ""
    if hinted is not None:
        yield from _block("Asked, with the hint", hinted.prompt.messages[-1].content)
        if span := hinted.prompt.spans.get("hint"):
            yield from _block("The hint", hinted.prompt.messages[span.message].content[span.start : span.end])
    else:
        options = "\n".join(f"({chr(65 + k)}) {text}" for k, text in enumerate(question.options))
        yield from _block("Asked", f"{question.stem}\n{options}")
    for condition in CONDITIONS:
        drawn = [records.rollout(item.id, condition), *records.rollouts_of(item.id, condition)[1:]]
        if answers := [r.answer or "none" for r in drawn if r is not None]:
            yield f"{condition:<10} answers {' '.join(answers)}"
    yield ""
    if label is not None:
        yield f"Behaviour: {label.behaviour}{f' ({label.reason})' if label.reason else ''}"
    if hinted is None:
        return
    for verdict in records.verdicts_on(hinted.id) if "judge" in summary.stages else ():
        said = {True: "admits the hint", False: "does not admit the hint", None: verdict.status.replace("_", " ")}
        yield f"Judge {verdict.judge}: {said[verdict.verbalized]}{f' (“{verdict.quote}”)' if verdict.quote else ''}"
    if "probe" in summary.stages:
        for row in [row for row in records.scores() if row.rollout_id == hinted.id and row.detector in SHOWN]:
            yield f"{readable(row.detector)}: probability of reliance {row.probability:.2f}"
    yield ""
    yield from _block("Chain of thought, with the hint", hinted.cot or "(none)")
    yield from _block("Answer", hinted.answer_text.strip() or "(none)")


def _block(title: str, text: str) -> Iterator[str]:
    yield f"{title}:"
    for line in text.splitlines():
        yield from textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="  ") or [""]
    yield ""
