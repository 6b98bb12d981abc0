"""A model's finished stages as typed records: every table is read once per process, and looked up by what is meant.

A rollout is found by its item, condition and index, never by taking its id apart: ids may hold any character.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from activations.errors import HintprobeError
from experiments.records import stages
from experiments.records.causal import PatchCell
from experiments.records.detectors import (
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
    Condition,
    Item,
    Label,
    PositionRow,
    Record,
    Reliance,
    Rollout,
    Verdict,
)
from experiments.records.tables import RecordTable

R = TypeVar("R", bound=Record)
Identity = tuple[int, int, int]

KEPT_TABLES = 32
"""Tables kept in memory at a time; the one that was asked for least recently goes first."""

_kept: "OrderedDict[Path, tuple[Identity | None, tuple[Any, ...]]]" = OrderedDict()


def read_once(table: RecordTable[R]) -> tuple[R, ...]:
    """All records of a table; read again only after the file has changed.

    Raises:
        HintprobeError: a line is not a record.
    """
    path = table.path.absolute()
    identity = _identity(path)
    found = _kept.get(path)
    if found is None or found[0] != identity:
        found = identity, tuple(table.read())
        _kept[path] = found
    _kept.move_to_end(path)
    while len(_kept) > KEPT_TABLES:
        _kept.popitem(last=False)
    return found[1]


def _identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class RunRecords:
    """The records of one model of a run.

    Attributes:
        folder_of: folder of a finished stage, by the stage's name.
    """

    folder_of: Callable[[str], Path]

    @classmethod
    def of_folders(cls, folders: Mapping[str, Path]) -> "RunRecords":
        """Records of the stages whose folders are given; asking for another stage's is an error."""

        def folder_of(stage: str) -> Path:
            if stage not in folders:
                raise HintprobeError(
                    f"The stage {stage!r} has not run on this model, so it has no records to read. Run `hintprobe "
                    f"{stage} CONFIG` first."
                )
            return folders[stage]

        return cls(folder_of)

    def read(self, stage: str, table_of: Callable[[Path], RecordTable[R]]) -> tuple[R, ...]:
        """All records of one table of a stage."""
        return read_once(table_of(self.folder_of(stage)))

    @cached_property
    def items(self) -> dict[str, Item]:
        """Items by id."""
        return {item.id: item for item in self.read("generate", stages.items_table)}

    @cached_property
    def rollouts(self) -> dict[str, Rollout]:
        """Rollouts by id."""
        return {rollout.id: rollout for rollout in self.read("generate", stages.rollouts_table)}

    @cached_property
    def _placed(self) -> dict[tuple[str, Condition, int], Rollout]:
        return {(r.item_id, r.condition, r.index): r for r in self.rollouts.values()}

    @cached_property
    def _counted(self) -> dict[tuple[str, Condition], list[Rollout]]:
        found: dict[tuple[str, Condition], list[Rollout]] = defaultdict(list)
        for rollout in sorted(self.rollouts.values(), key=lambda r: r.index):
            found[rollout.item_id, rollout.condition].append(rollout)
        return dict(found)

    def rollout(self, item_id: str, condition: Condition, index: int = 0) -> Rollout | None:
        """One rollout of an item; None where it was not drawn."""
        return self._placed.get((item_id, condition, index))

    def rollouts_of(self, item_id: str, condition: Condition) -> tuple[Rollout, ...]:
        """All rollouts of one condition of an item, by index."""
        return tuple(self._counted.get((item_id, condition), ()))

    def sibling(self, rollout_id: str, condition: Condition) -> Rollout | None:
        """The rollout of the same item and index in another condition."""
        own = self.rollouts[rollout_id]
        return self.rollout(own.item_id, condition, own.index)

    def partner(self, rollout_id: str, condition: Condition) -> Rollout:
        """The same, where there has to be one.

        Raises:
            HintprobeError: it is not among the records.
        """
        found = self.sibling(rollout_id, condition)
        if found is None:
            raise HintprobeError(
                f"The records hold no {condition} rollout for {rollout_id!r}: the table of rollouts in "
                f"{self.folder_of('generate')} is not complete. Run `hintprobe generate CONFIG` again."
            )
        return found

    @cached_property
    def labels(self) -> dict[str, Label]:
        """Labels by the id of the hinted rollout."""
        return {label.rollout_id: label for label in self.read("judge", stages.labels_table)}

    @cached_property
    def reliance(self) -> dict[str, Reliance]:
        """Reliance probabilities by item id; none in a run of an earlier version."""
        return {row.item_id: row for row in self.read("judge", stages.reliance_table)}

    @cached_property
    def verdicts(self) -> dict[str, dict[str, Verdict]]:
        """Verdicts by judge, then by rollout id."""
        found: dict[str, dict[str, Verdict]] = defaultdict(dict)
        for verdict in self.read("judge", stages.verdicts_table):
            found[verdict.judge][verdict.rollout_id] = verdict
        return dict(found)

    def verdicts_on(self, rollout_id: str) -> tuple[Verdict, ...]:
        """What every judge said of a rollout."""
        return tuple(said[rollout_id] for said in self.verdicts.values() if rollout_id in said)

    @cached_property
    def positions(self) -> dict[str, PositionRow]:
        """Where the named positions are, by rollout id."""
        return {row.rollout_id: row for row in self.read("capture", stages.positions_table)}

    def targets(self, target: str) -> tuple[TargetRow, ...]:
        """The rows that detectors of a target are scored on."""
        return tuple(row for row in self.read("probe", stages.targets_table) if row.target == target)

    def detectors(self, main: bool = True) -> tuple[DetectorSummary, ...]:
        """How the detectors of the main target, or of the others, were trained."""
        return self.read("probe", stages.detectors_table if main else stages.other_detectors_table)

    def scores(self, main: bool = True) -> tuple[ScoreRow, ...]:
        """Held-out scores of the main target, or of the others."""
        return self.read("probe", stages.scores_table if main else stages.other_scores_table)

    @cached_property
    def scores_by_detector(self) -> dict[str, dict[str, ScoreRow]]:
        """Held-out scores of the main target by detector, then by rollout id."""
        found: dict[str, dict[str, ScoreRow]] = defaultdict(dict)
        for row in self.scores():
            found[row.detector][row.rollout_id] = row
        return dict(found)

    @property
    def graded_scores(self) -> tuple[GradedScore, ...]:
        """Held-out predictions of the reliance probability; none in a run of an earlier version."""
        return self.read("probe", stages.graded_scores_table)

    @property
    def graded_detectors(self) -> tuple[GradedSummary, ...]:
        """How the detectors of the reliance probability were trained."""
        return self.read("probe", stages.graded_detectors_table)

    @property
    def position_transfer(self) -> tuple[TransferCell, ...]:
        """Probes of one position read at another."""
        return self.read("probe", stages.transfer_table)

    @property
    def kind_scores(self) -> tuple[KindScores, ...]:
        """Scores by probes trained on one kind of hint alone."""
        return self.read("probe", stages.kind_scores_table)

    @cached_property
    def cot_scores(self) -> dict[str, tuple[CotScore, ...]]:
        """Scores along chains of thought, by rollout id."""
        found: dict[str, list[CotScore]] = defaultdict(list)
        for row in self.read("probe", stages.cot_scores_table):
            found[row.rollout_id].append(row)
        return {name: tuple(rows) for name, rows in found.items()}

    @property
    def patched_cells(self) -> tuple[PatchCell, ...]:
        """The cells of the patch stage."""
        return self.read("patch", stages.cells_table)
