"""Every table that a stage writes: its file's name and its record, given the stage's folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.records.causal import (
    CutRedrawn,
    CutRow,
    DirectionEffect,
    DirectionRow,
    KnockoutEffect,
    MediationEffect,
    MediationRow,
    PatchCell,
    PatchRedrawn,
    PatchRow,
    SubspaceEffect,
)
from experiments.records.detectors import (
    Certainty,
    CotScore,
    DetectorSummary,
    GradedScore,
    GradedSummary,
    KindScores,
    ScoreRow,
    TargetRow,
    TransferCell,
)
from experiments.records.rollouts import (
    Item,
    Label,
    PositionRow,
    Reliance,
    Rollout,
    Verdict,
)
from experiments.records.tables import RecordTable


def items_table(folder: Path) -> RecordTable[Item]:
    """The items of a generate stage, targets chosen."""
    return RecordTable(folder / "items.jsonl", Item)


def rollouts_table(folder: Path) -> RecordTable[Rollout]:
    """The rollouts of a generate stage."""
    return RecordTable(folder / "rollouts.jsonl", Rollout)


def positions_table(folder: Path) -> RecordTable[PositionRow]:
    """Where the named positions of each captured rollout are."""
    return RecordTable(folder / "positions.jsonl", PositionRow)


def verdicts_table(folder: Path) -> RecordTable[Verdict]:
    """The verdicts of a judge stage."""
    return RecordTable(folder / "verdicts.jsonl", Verdict)


def labels_table(folder: Path) -> RecordTable[Label]:
    """The behaviour labels of a judge stage."""
    return RecordTable(folder / "labels.jsonl", Label)


def reliance_table(folder: Path) -> RecordTable[Reliance]:
    """The reliance probability of every item."""
    return RecordTable(folder / "reliance.jsonl", Reliance)


def scores_table(folder: Path) -> RecordTable[ScoreRow]:
    """Held-out scores of every detector of the main target."""
    return RecordTable(folder / "scores.jsonl", ScoreRow)


def other_scores_table(folder: Path) -> RecordTable[ScoreRow]:
    """Held-out scores of every detector of the other targets."""
    return RecordTable(folder / "scores-other.jsonl", ScoreRow)


def detectors_table(folder: Path) -> RecordTable[DetectorSummary]:
    """How every detector of the main target was trained."""
    return RecordTable(folder / "detectors.jsonl", DetectorSummary)


def other_detectors_table(folder: Path) -> RecordTable[DetectorSummary]:
    """How every detector of the other targets was trained."""
    return RecordTable(folder / "detectors-other.jsonl", DetectorSummary)


def certainty_table(folder: Path) -> RecordTable[Certainty]:
    """How sure the model is of each item without the hint."""
    return RecordTable(folder / "certainty.jsonl", Certainty)


def targets_table(folder: Path) -> RecordTable[TargetRow]:
    """The rows of every target."""
    return RecordTable(folder / "targets.jsonl", TargetRow)


def graded_scores_table(folder: Path) -> RecordTable[GradedScore]:
    """Held-out predictions of the reliance probability."""
    return RecordTable(folder / "graded-scores.jsonl", GradedScore)


def graded_detectors_table(folder: Path) -> RecordTable[GradedSummary]:
    """How every detector of the reliance probability was trained."""
    return RecordTable(folder / "graded-detectors.jsonl", GradedSummary)


def transfer_table(folder: Path) -> RecordTable[TransferCell]:
    """Probes of one position read at another."""
    return RecordTable(folder / "transfer.jsonl", TransferCell)


def kind_scores_table(folder: Path) -> RecordTable[KindScores]:
    """Held-out scores of probes trained on one kind of hint alone."""
    return RecordTable(folder / "kind_scores.jsonl", KindScores)


def cot_scores_table(folder: Path) -> RecordTable[CotScore]:
    """A held-out probe's score along chains of thought."""
    return RecordTable(folder / "cot_scores.jsonl", CotScore)


def cells_table(folder: Path) -> RecordTable[PatchCell]:
    """The patched cells."""
    return RecordTable(folder / "cells.jsonl", PatchCell)


def redrawn_table(folder: Path) -> RecordTable[PatchRedrawn]:
    """Answers written anew under a patch."""
    return RecordTable(folder / "redrawn.jsonl", PatchRedrawn)


def mediation_table(folder: Path) -> RecordTable[MediationRow]:
    """Items in their four cells."""
    return RecordTable(folder / "mediation.jsonl", MediationRow)


def effects_table(folder: Path) -> RecordTable[MediationEffect]:
    """Effects averaged over items."""
    return RecordTable(folder / "effects.jsonl", MediationEffect)


def fresh_table(folder: Path) -> RecordTable[Rollout]:
    """The completions drawn afresh."""
    return RecordTable(folder / "fresh.jsonl", Rollout)


def knockouts_table(folder: Path) -> RecordTable[KnockoutEffect]:
    """Effects with the text fixed."""
    return RecordTable(folder / "knockouts.jsonl", KnockoutEffect)


def cut_table(folder: Path) -> RecordTable[CutRedrawn]:
    """Answers with the text written again."""
    return RecordTable(folder / "cut.jsonl", CutRedrawn)


def directions_table(folder: Path) -> RecordTable[DirectionEffect]:
    """Answers under each edit."""
    return RecordTable(folder / "directions.jsonl", DirectionEffect)


def subspaces_table(folder: Path) -> RecordTable[SubspaceEffect]:
    """Patching along directions against patching whole states."""
    return RecordTable(folder / "subspaces.jsonl", SubspaceEffect)


def patched_table(folder: Path) -> RecordTable[PatchRow]:
    """Pairs with every cell patched."""
    return RecordTable(folder / "pairs.jsonl", PatchRow)


def cuts_table(folder: Path) -> RecordTable[CutRow]:
    """Completions with attention cut."""
    return RecordTable(folder / "cuts.jsonl", CutRow)


def edited_table(folder: Path) -> RecordTable[DirectionRow]:
    """Items completed again under each edit."""
    return RecordTable(folder / "edited.jsonl", DirectionRow)


TABLES: dict[str, tuple[str, Callable[[Path], RecordTable[Any]]]] = {
    "items": ("generate", items_table),
    "rollouts": ("generate", rollouts_table),
    "positions": ("capture", positions_table),
    "verdicts": ("judge", verdicts_table),
    "labels": ("judge", labels_table),
    "reliance": ("judge", reliance_table),
    "scores": ("probe", scores_table),
    "other_scores": ("probe", other_scores_table),
    "detectors": ("probe", detectors_table),
    "other_detectors": ("probe", other_detectors_table),
    "certainty": ("probe", certainty_table),
    "targets": ("probe", targets_table),
    "transfer": ("probe", transfer_table),
    "kind_scores": ("probe", kind_scores_table),
    "cot_scores": ("probe", cot_scores_table),
    "pairs": ("patch", patched_table),
    "cells": ("patch", cells_table),
    "redrawn": ("patch", redrawn_table),
    "mediation": ("mediate", mediation_table),
    "cuts": ("mediate", cuts_table),
    "effects": ("mediate", effects_table),
    "fresh": ("mediate", fresh_table),
    "knockouts": ("mediate", knockouts_table),
    "cut": ("mediate", cut_table),
    "edited": ("directions", edited_table),
    "directions": ("directions", directions_table),
    "subspaces": ("directions", subspaces_table),
}
"""Every table by name: the stage that writes it, and where it lies in that stage's folder."""
