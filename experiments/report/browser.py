"""The item browser's data: what each hinted rollout was asked, thought, answered, and was found to be."""

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from experiments.records import Condition, Label, Prompt, Rollout, Verdict
from experiments.records.run_records import RunRecords
from experiments.records.summary import ModelSummary
from experiments.report.runs import Run

BUDGET = 4_000_000
"""Bytes of a page that items may take; with the rest it stays under 6 MB."""
UNPACKED = 16_000_000
"""Characters that a page may unpack to: texts that repeat pack so well that reading them would take the time."""

NOT_TO_BE_SPREAD = ("gpqa",)
"""Sources whose authors ask that questions are not put on the web, where a model could be trained on them."""

BESIDE: tuple[Condition, ...] = ("unhinted", "swapped")
"""The runs that a label is decided by, shown beside the hinted one."""

Texts = Literal["auto", "show", "hide"]
Entry = dict[str, Any]
Mark = tuple[int, int, str]
Score = tuple[int, int, float]


def page_items(runs: Sequence[Run], texts: Texts, budget: int = BUDGET) -> dict[str, Any]:
    """What the page needs of the items: packed entries, how many of how many, and what was left out."""
    entries = [entry for run in runs for model in run.summary.models for entry in entries_of(run, model, texts)]
    packed, shown = pack(entries, budget)
    return {
        "packed": packed,
        "shown": shown,
        "total": len(entries),
        "withheld": sum("runs" not in entry for entry in entries),
        "scored": any(len(run["completion"]) > 2 for entry in entries for run in entry.get("runs", ())),
    }


def is_withheld(source: str, texts: Texts) -> bool:
    """May the texts of this source not stand in the page?"""
    return texts == "hide" or (texts == "auto" and any(name in source.casefold() for name in NOT_TO_BE_SPREAD))


def entries_of(run: Run, model: ModelSummary, texts: Texts) -> list[Entry]:
    """One entry per labelled hinted rollout of a finished judge stage; none before that.

    Args:
        model: the model's part of the run's summary.
        texts: ``hide`` leaves out whatever could hold a question's text: prompts, chains of thought, quotes.
    """
    if not {"generate", "judge"} <= model.stages.keys():
        return []
    records = run.records(model)
    scores = _scores(records) if "probe" in model.stages else {}
    return [
        _entry(model.model, label, records, scores.get(label.rollout_id, []), _with_texts(records, label, texts))
        for label in records.labels.values()
        if label.rollout_id in records.rollouts
    ]


def _with_texts(records: RunRecords, label: Label, texts: Texts) -> bool:
    item = records.items.get(label.item_id)
    return not is_withheld(item.question.source if item else "", texts)


def _scores(records: RunRecords) -> dict[str, list[Score]]:
    """Per rollout, the held-out probability of reliance at each scored token of its chain of thought."""
    return {
        name: [(row.start, row.end, round(row.probability, 3)) for row in rows]
        for name, rows in records.cot_scores.items()
    }


def _entry(
    model: str,
    label: Label,
    records: RunRecords,
    scores: Sequence[Score],
    with_texts: bool,
) -> Entry:
    verdicts = records.verdicts_on(label.rollout_id)
    entry: Entry = {
        "id": label.rollout_id,
        "model": model,
        "kind": label.kind,
        "direction": label.direction,
        "behaviour": label.behaviour,
        "reason": label.reason,
        "target": label.target,
        "gold": label.gold,
        "answers": [label.unhinted_answer, label.hinted_answer, label.swapped_answer, label.neutral_answer],
        "verdict": _said(verdicts[0]) if verdicts else "unscored",
        "judges": [[verdict.judge, _said(verdict), verdict.status] for verdict in verdicts],
    }
    if with_texts:
        quotes = [verdict.quote for verdict in verdicts if verdict.quote]
        entry["runs"] = [_run(records.rollouts[label.rollout_id], quotes, scores)]
        for condition in BESIDE:
            twin = records.sibling(label.rollout_id, condition)
            if twin is not None:
                entry["runs"].append(_run(twin, ()))
    return entry


def _said(verdict: Verdict) -> str:
    """In a word; a row that speaks of the hint without admitting to it is not silent."""
    if verdict.verbalized is None:
        return "unscored"
    if verdict.verbalized:
        return "admits"
    return "mentions" if verdict.mentions else "silent"


def _run(rollout: Rollout, quotes: Sequence[str], scores: Sequence[Score] = ()) -> Entry:
    return {
        "condition": rollout.condition,
        "messages": _messages(rollout.prompt),
        "completion": [
            rollout.completion_text,
            _quoted(rollout.completion_text, quotes),
            *([scores] if scores else []),
        ],
        "answer": rollout.answer,
        "truncated": rollout.truncated,
    }


def _messages(prompt: Prompt) -> list[tuple[str, str, list[Mark]]]:
    marks: dict[int, list[Mark]] = defaultdict(list)
    for name in ("hint", "pointer"):
        if name in prompt.spans:
            span = prompt.spans[name]
            marks[span.message].append((span.start, span.end, name))
    return [(message.role, message.content, marks[k]) for k, message in enumerate(prompt.messages)]


def _quoted(text: str, quotes: Iterable[str]) -> list[Mark]:
    found = ((text.find(quote), quote) for quote in dict.fromkeys(quotes))
    return [(at, at + len(quote), "quote") for at, quote in found if at >= 0]


def pack(entries: Sequence[Entry], budget: int = BUDGET, unpacked: int = UNPACKED) -> tuple[str, int]:
    """Compress as many entries as fit, taken in turn from every kind × direction × behaviour × verdict.

    Returns:
        Base64 of the gzip of a JSON list, and how many entries it holds.
    """
    ordered = _in_turn(entries)
    n = len(ordered)
    while True:
        text = json.dumps(ordered[:n], separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode() if len(text) <= unpacked else ""
        over = max(len(text) / unpacked, len(packed) / budget)
        if over <= 1 or n == 0:
            return packed, n
        n = min(n - 1, int(n / over * 0.95))


def _in_turn(entries: Sequence[Entry]) -> list[Entry]:
    """Round robin over strata, so that what does not fit is missing evenly."""
    strata: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        strata[tuple(entry[key] for key in ("model", "kind", "direction", "behaviour", "verdict"))].append(entry)
    ranked = [(rank, key, entry) for key, members in strata.items() for rank, entry in enumerate(members)]
    return [entry for _, _, entry in sorted(ranked, key=lambda ranked_entry: ranked_entry[:2])]
