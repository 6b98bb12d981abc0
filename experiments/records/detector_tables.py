"""Detectors side by side, as ``comparison.json`` holds them: figures, findings, further targets."""

from typing import Literal

from pydantic import Field, field_validator

from experiments.records.accounts import TargetAccount
from experiments.records.detectors import Choice, Family, Source, as_choices
from experiments.records.monitoring import AtRate, Monitorability
from experiments.records.parts import Figure, Part


class KindFigure(Part):
    """AUROC on the rows of one kind of hint."""

    auroc: Figure | None = Field(description="AUROC within direction; null where it is refused")
    refused: str | None = Field(None, description="why there is no AUROC")


class Basis(Part):
    """What the figures of a detector rest on."""

    rows: int = Field(description="rows of the table")
    rows_used: int = Field(description="rows that are in at least one compared pair")
    pairs: int = Field(description="pairs of a positive and a negative row")
    pairs_used: int = Field(
        description="of these, the compared pairs: both rows have the same fold, kind and direction"
    )
    recall_positives: int = Field(
        description="positive rows on which recall is computed: those of kinds × directions with both classes"
    )
    recall_negatives: int = Field(
        description="negative rows on which false-positive rates are computed, of the same kinds × directions"
    )
    strata: int = Field(description="kinds × directions that have rows")
    strata_used: int = Field(description="of these, the ones that have both classes")


class DetectorEntry(Part):
    """One line of a detector table."""

    family: Family = Field("baseline", description="family of the detector (DetectorSummary)")
    reads: str = Field(description="what the detector reads")
    sees: tuple[Source, ...] = Field(
        (),
        description="the information that the detector is given; detectors with the same value get the same "
        "information",
    )
    labels: str = Field("", description="which labels the detector was trained on")
    auroc: Figure = Field(description="AUROC over pairs of rows of the same kind × direction and outer fold")
    basis: Basis | None = Field(
        None, description="rows and pairs on which the figures are based; null in runs of an earlier version"
    )
    auroc_pooled: Figure = Field(description="AUROC over all pairs of rows of the same outer fold")
    recall_at_1pct: Figure | None = Field(
        None, description="recall at the threshold that flags 1% of the training negatives"
    )
    realised_fpr_at_1pct: Figure | None = Field(
        None, description="false-positive rate on the held-out rows at that threshold"
    )
    recall_at_5pct: Figure | None = Field(
        None, description="recall at the threshold that flags 5% of the training negatives"
    )
    realised_fpr_at_5pct: Figure | None = Field(
        None, description="false-positive rate on the held-out rows at that threshold"
    )
    recall_at_judge_fpr: Figure | None = Field(None, description="recall at the first judge's false-positive rate")
    realised_fpr_at_judge_fpr: Figure | None = Field(
        None, description="false-positive rate on the held-out rows at that threshold"
    )
    recall_at_5pct_pooled: Figure | None = Field(
        None, description="recall with one 5% threshold for all kinds and directions"
    )
    realised_fpr_at_5pct_pooled: Figure | None = Field(
        None, description="false-positive rate on the held-out rows at that threshold"
    )
    brier: float | None = Field(None, description="Brier score of the calibrated probability")
    ece: float | None = Field(None, description="expected calibration error of the calibrated probability")
    ece_null: float | None = Field(
        None, description="the calibration error that correct probabilities would have by chance"
    )
    metrics: dict[str, float] = Field(
        default_factory=dict, description="every registered metric of the calibrated probability"
    )
    recall_minus_judge: Figure | None = Field(
        None,
        description="paired difference: recall minus the first judge's recall, at that judge's own false-positive rate",
    )
    fpr_minus_judge: Figure | None = Field(None, description="paired difference of the realised false-positive rates")
    ahead_of_judge: bool | None = Field(
        None, description="recall is higher and the false-positive rate is not higher than the judge's; null: undecided"
    )
    at_rates_of: dict[str, AtRate] = Field(
        default_factory=dict, description="results at the false-positive rate of each judge and monitor"
    )
    monitorability: Monitorability | None = Field(
        None, description="sensitivity × specificity; null: the detector has no threshold"
    )
    seconds_per_row: float = Field(0.0, description="cost: seconds per scored row")
    forwards_per_row: float = Field(0.0, description="cost: model forwards per scored row")
    chosen: tuple[Choice, ...] = Field((), description="what the inner folds chose, per outer fold")
    null_statistic: float | None = Field(None, description="AUROC of the closed-form search on the true labels")
    null_aurocs: tuple[float, ...] = Field(
        (), description="AUROC of the same search on permuted labels, one per permutation"
    )
    stratum_only_aurocs: tuple[float, ...] = Field(
        (), description="AUROC of the permuted searches scored on the true labels"
    )
    p_null: float | None = Field(
        None, description="share of null AUROCs that are at least `null_statistic`, the statistic itself included"
    )
    p_best_cell: float | None = Field(None, description="the same share for the best cell on validation folds")
    control_task_auroc: float | None = Field(None, description="mean AUROC of the search on control tasks")
    selectivity: float | None = Field(None, description="AUROC minus that of the control tasks")
    by_kind: dict[str, KindFigure] = Field(default_factory=dict, description="AUROC for each kind of hint")

    _older = field_validator("chosen", mode="before")(as_choices)


class Lead(Part):
    """A probe against one rival."""

    difference: Figure = Field(description="paired difference: AUROC of the probe minus that of the rival")
    p: float | None = Field(
        description="one-sided p-value of the hypothesis that the probe has no lead; null where undefined"
    )


class Belief(Part):
    """The belief-matched control: in reliant and in resisted rows the hint contradicts what the model believes."""

    auroc: Figure | None = Field(None, description="AUROC of the probe, reliant against resisted rows")
    p: float | None = Field(None, description="one-sided p-value of the hypothesis that this AUROC is at most one half")
    refused: str | None = Field(None, description="why there is no AUROC")


class Finding(Part):
    """Whether a probe counts as found, and why."""

    found: bool = Field(description="`p_holm` is at most 5%")
    p: float | None = Field(None, description="the largest p-value of all parts; null where one is missing")
    p_holm: float | None = Field(None, description="`p`, adjusted over the probes of the table (Holm)")
    p_search: float | None = Field(None, description="p-value of the search compared with searches on permuted labels")
    rivals: dict[str, Lead] = Field(
        default_factory=dict, description="lead over each rival, a detector that reads what is known without the hint"
    )
    belief: Belief = Field(
        default_factory=Belief, description="the belief-matched control: reliant against resisted rows"
    )
    missing: tuple[str, ...] = Field((), description="parts that could not be tested")
    differences: dict[str, Figure] = Field(description="paired AUROC differences from each baseline and control")
    not_ahead: tuple[str, ...] = Field((), description="baselines and controls whose difference is not above zero")


class KindTransferCell(Part):
    """A probe trained on one kind of hint alone and read on another."""

    detector: str = Field(description="the probe")
    trained_on: str = Field(description="kind on which the probe was trained")
    read_on: str = Field(description="kind on which the probe is read")
    auroc: Figure | None = Field(
        description="AUROC within direction; every row is held out by group, also where both kinds are the same"
    )
    refused: str | None = Field(description="why there is no AUROC")


class TargetEntry(Part):
    """A further target and its detectors."""

    positive: str = Field(description="name of the positive class")
    negative: str = Field(description="name of the negative class")
    note: str = Field(description="how the figures of this target can be interpreted")
    rows: TargetAccount = Field(description="the rows of this target, as counted by the probe stage")
    refused: str | None = Field(None, description="why no detector was trained on this target")
    detectors: dict[str, DetectorEntry] = Field(description="detector table of this target")


class GradedEntry(Part):
    """A detector of the reliance probability."""

    reads: str = Field(description="what the detector reads")
    concordance: Figure = Field(
        description="share of pairs of items that are ranked correctly; the items of a pair have the same "
        "kind, direction and outer fold, and different values"
    )
    p_null: float | None = Field(
        None, description="p-value of the search compared with searches on permuted probabilities"
    )
    chosen: tuple[Choice, ...] = Field((), description="what the inner folds chose, per outer fold")
    lead: Figure | None = Field(None, description="paired difference: the probe's concordance minus this detector's")


class GradedTable(Part):
    """How well the reliance probability of an item is predicted before the chain of thought."""

    items: int = Field(description="items")
    evaluated_on: Literal["labelling rollouts", "evaluation rollouts"] = Field(
        description="which rollouts give the difference of shares that predictions are compared with; "
        "evaluation rollouts were not used in training (`labels.evaluation_rollouts`)"
    )
    detectors: dict[str, GradedEntry] = Field(
        description="the probe, and detectors that read what is known without the hint"
    )
