"""What captured activations are of: an entry of the store under every rollout and position that it stands for."""

from collections.abc import Mapping
from typing import Any

from activations.entries import Entry
from activations.errors import HintprobeError
from experiments.records import Label, Rollout
from experiments.records.accounts import CaptureAccount
from experiments.records.run_records import RunRecords
from experiments.records.summary import ModelSummary
from experiments.report.runs import Run


def model_of(run: Run, part: str, name: str | None) -> ModelSummary:
    """The model of a run whose activations a part of a store holds.

    Args:
        name: the model's name; by default the one that was captured into the part.

    Raises:
        HintprobeError: no model of the run was captured into the part, or not this one.
    """
    parts = {m.model: a.store for m in run.summary.models if (a := m.account(CaptureAccount)) is not None}
    for model in run.summary.models:
        if parts.get(model.model) == part and name in (None, model.model):
            return model
    known = "; ".join(f"{model} in {own}" for model, own in parts.items()) or "none"
    raise HintprobeError(
        f"The run {run.folder} captured nothing of {name or 'any model'} in the part {part}. It captured: {known}."
    )


def captured_names(records: RunRecords) -> list[tuple[Entry, Mapping[str, Any]]]:
    """A line per captured rollout and position, with ids, names and labels.

    Behaviour and what follows it are of the hinted rollout of the same item and index; ``verbalized`` is what the first
    judge says of it.
    """
    said = next(iter(records.verdicts.values()), {})
    lines = list[tuple[Entry, Mapping[str, Any]]]()
    for name, row in records.positions.items():
        rollout = records.rollouts[name]
        hinted = records.sibling(name, "hinted")
        label = records.labels.get(hinted.id) if hinted else None
        verdict = said.get(hinted.id) if hinted else None
        about = {**_about(records, rollout, label), "verbalized": verdict.verbalized if verdict else None}
        entries = {position: (bytes.fromhex(row.row_hash), token) for position, token in row.tokens.items()}
        lines += [(entry, {"rollout_id": name, "position": position, **about}) for position, entry in entries.items()]
    return lines


def _about(records: RunRecords, rollout: Rollout, label: Label | None) -> dict[str, Any]:
    item = records.items[rollout.item_id]
    reliance = records.reliance.get(item.id)
    return {
        "item_id": item.id,
        "question_id": item.question.id,
        "group": item.question.group,
        "condition": rollout.condition,
        "index": rollout.index,
        "kind": item.kind,
        "direction": item.direction,
        "target": item.target,
        "answer": rollout.answer,
        "behaviour": label.behaviour if label else None,
        "reliance": reliance.probability if reliance else None,
    }
