"""What ``comparison.json`` holds: behaviour, faithfulness and every detector of one model, side by side."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from experiments.records.behaviour_figures import (
    Coincidence,
    Counts,
    FaithfulnessSummary,
    HintEffect,
    RelianceSummary,
)
from experiments.records.detector_tables import (
    DetectorEntry,
    Finding,
    GradedTable,
    KindTransferCell,
    TargetEntry,
)
from experiments.records.detectors import CellFigure, TransferCell, as_cells
from experiments.records.judging import JudgeSensitivity
from experiments.records.monitoring import Cascade
from experiments.records.parts import Figure, Part


class Stratum(Part):
    """Rows of one kind × direction."""

    stratum: str = Field(description="kind and direction")
    positives: int = Field(description="rows of the positive class")
    negatives: int = Field(description="rows of the negative class")
    refused: str | None = Field(None, description="why these rows enter no AUROC; null where they do")


class Frozen(Part):
    """Detectors frozen on the run's first model, tried on this one."""

    trained_on: str = Field(description="the first model")
    rows: int = Field(description="rows of this model with a_h = h")
    share_over_threshold: dict[str, Figure] = Field(description="share of these rows above the detector's 5% threshold")
    auroc: dict[str, Figure] = Field(default_factory=dict, description="AUROC against this model's own labels")
    refused: str | None = Field(None, description="why there is no AUROC")


class Comparison(Part):
    """Everything that the compare stage found of one model."""

    model: str = Field(description="the model")
    reference: str = Field(description="what decides which reliant rows are hidden")
    counts: Counts = Field(description="how many rollouts showed which behaviour")
    hidden_share: Figure | None = Field(None, description="hidden / judged reliant rollouts; null if none was judged")
    hint_effect: dict[str, HintEffect] = Field(description="effect of the hint, by direction")
    coincidence: dict[str, Coincidence] = Field(
        default_factory=dict, description="share of reliant rows expected by chance alone: over `all`, and by direction"
    )
    reliance: RelianceSummary | None = Field(None, description="reliance probabilities; null without any")
    faithfulness: FaithfulnessSummary = Field(description="the paper's metrics")
    judges: JudgeSensitivity | None = Field(None, description="the headline under each judge")
    frozen: Frozen | None = Field(
        None, description="results of detectors frozen on the first model; null for the first model itself"
    )
    detectors: dict[str, DetectorEntry] = Field(description="the detector table on all rows of the main target")
    hidden_detectors: dict[str, DetectorEntry] = Field(description="the detector table on the hidden subset")
    rows: dict[str, int] = Field(default_factory=dict, description="rows of each class in `detectors`")
    hidden_rows: dict[str, int] = Field(default_factory=dict, description="rows of each class in `hidden_detectors`")
    strata: tuple[Stratum, ...] = Field((), description="rows of each kind × direction")
    validation: dict[str, tuple[CellFigure, ...]] = Field(
        default_factory=dict, description="per detector, every cell on validation folds; never the reported figure"
    )
    position_transfer: tuple[TransferCell, ...] = Field((), description="probes of one position read at another")
    kind_transfer: tuple[KindTransferCell, ...] = Field((), description="probes of one kind read on another")
    cascades: tuple[Cascade, ...] = Field((), description="cascades of the selected probe with each judge and monitor")
    best_probe: str | None = Field(None, description="name of the best probe")
    best_baseline: str | None = Field(None, description="name of the best text baseline")
    probe_minus_baseline: Figure | None = Field(
        None, description="paired difference of AUROC: best probe minus best text baseline"
    )
    findings: dict[str, Finding] = Field(default_factory=dict, description="per probe, whether it counts as found")
    graded: GradedTable | None = Field(
        None, description="results for the reliance probability as a target; null: not requested"
    )
    targets: dict[str, TargetEntry] = Field(default_factory=dict, description="results for the further targets")

    @field_validator("validation", mode="before")
    @classmethod
    def _older_cells(cls, value: Any) -> Any:
        return {name: as_cells(cells) for name, cells in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, data: Any) -> Any:
        """Until November 2026 ``frozen`` was an empty object for the first model, and held a refusal among figures.

        The second table's negatives were called silent, though rows that mention the hint are among them.
        """
        if isinstance(data, dict) and "aligned_and_silent" in (rows := data.get("hidden_rows") or {}):
            kept = {name: n for name, n in rows.items() if name != "aligned_and_silent"}
            data = {**data, "hidden_rows": {**kept, "aligned_not_admitting": rows["aligned_and_silent"]}}
        if not isinstance(data, dict) or not isinstance(data.get("frozen"), dict):
            return data
        frozen = dict(data["frozen"])
        refused = frozen.get("auroc", {}).get("refused") if isinstance(frozen.get("auroc"), dict) else None
        if isinstance(refused, dict) and "reason" in refused:
            frozen |= {"auroc": {}, "refused": refused["reason"]}
        return {**data, "frozen": frozen or None}
