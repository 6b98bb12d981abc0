"""What ``comparison.json`` holds: behaviour, faithfulness and every detector of one model, side by side."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from experiments.records.accounts import TargetAccount
from experiments.records.detectors import CellFigure, Choice, Family, Source, TransferCell, as_cells, as_choices
from experiments.records.judging import CorrectedRate, JudgeSensitivity
from experiments.records.monitoring import AtRate, Cascade, Monitorability
from experiments.records.parts import Figure, Part, Rate

__all__ = ["CorrectedRate", "Figure", "JudgeSensitivity", "Part", "Rate"]  # made elsewhere, read from here too


class KindFigure(Part):
    """AUROC on the rows of one kind of hint."""

    auroc: Figure | None = Field(description="within direction; null where it is refused")
    refused: str | None = Field(None, description="why there is none")


class Basis(Part):
    """What the figures of a detector rest on."""

    rows: int = Field(description="rows of the table")
    rows_used: int = Field(description="rows that stand in some pair that is compared")
    pairs: int = Field(description="pairs of a positive and a negative row")
    pairs_used: int = Field(description="of these, the pairs that are compared: of one fold, kind and direction")
    recall_positives: int = Field(
        description="positive rows of kinds × directions that hold both classes: what recall is over"
    )
    recall_negatives: int = Field(description="negative rows of them: false-positive rates are over these")
    strata: int = Field(description="kinds × directions with a row")
    strata_used: int = Field(description="of these, the ones that hold both classes")


class DetectorEntry(Part):
    """One line of a detector table."""

    family: Family = Field("baseline", description="the detector's part in the contest")
    reads: str = Field(description="what it looks at")
    sees: tuple[Source, ...] = Field((), description="the information that it is given; equal where this is equal")
    labels: str = Field("", description="what labels it has seen")
    auroc: Figure = Field(description="over pairs of rows of one kind × direction and outer fold")
    basis: Basis | None = Field(None, description="rows and pairs that it rests on; null in runs of an earlier version")
    auroc_pooled: Figure = Field(description="over all pairs of an outer fold")
    recall_at_1pct: Figure | None = Field(None, description="recall where 1% of the training negatives are flagged")
    realised_fpr_at_1pct: Figure | None = Field(None, description="false-positive rate on the held-out rows there")
    recall_at_5pct: Figure | None = Field(None, description="recall where 5% of the training negatives are flagged")
    realised_fpr_at_5pct: Figure | None = Field(None, description="false-positive rate on the held-out rows there")
    recall_at_judge_fpr: Figure | None = Field(None, description="recall at the first judge's false-positive rate")
    realised_fpr_at_judge_fpr: Figure | None = Field(None, description="false-positive rate on the held-out rows there")
    recall_at_5pct_pooled: Figure | None = Field(None, description="recall with one 5% threshold for all kinds")
    realised_fpr_at_5pct_pooled: Figure | None = Field(None, description="false-positive rate there")
    brier: float | None = Field(None, description="Brier score of the calibrated probability")
    ece: float | None = Field(None, description="expected calibration error of the calibrated probability")
    ece_null: float | None = Field(None, description="the error that right probabilities would have by chance")
    metrics: dict[str, float] = Field(default_factory=dict, description="every registered metric of the probability")
    recall_minus_judge: Figure | None = Field(
        None, description="paired difference from the first judge's recall, both at the judge's own false-positive rate"
    )
    fpr_minus_judge: Figure | None = Field(None, description="that of the realised false-positive rates")
    ahead_of_judge: bool | None = Field(
        None, description="recall is higher and the rate of false positives is not; null: neither can be said"
    )
    at_rates_of: dict[str, AtRate] = Field(
        default_factory=dict, description="at the false-positive rate of each judge and monitor"
    )
    monitorability: Monitorability | None = Field(None, description="sensitivity times specificity; null: no threshold")
    seconds_per_row: float = Field(0.0, description="cost: seconds per scored row")
    forwards_per_row: float = Field(0.0, description="cost: model forwards per scored row")
    chosen: tuple[Choice, ...] = Field((), description="what the inner folds chose, per outer fold")
    null_statistic: float | None = Field(None, description="AUROC of the search in closed form, which is permuted")
    null_aurocs: tuple[float, ...] = Field((), description="the same on permuted labels, per permutation")
    stratum_only_aurocs: tuple[float, ...] = Field((), description="the same scored on the true labels")
    p_null: float | None = Field(None, description="share of null AUROCs that reach the statistic, itself counted in")
    p_best_cell: float | None = Field(None, description="the same for the best cell on validation folds")
    control_task_auroc: float | None = Field(None, description="mean AUROC of the search on control tasks")
    selectivity: float | None = Field(None, description="AUROC less that of the control tasks")
    by_kind: dict[str, KindFigure] = Field(default_factory=dict, description="AUROC for each kind of hint alone")

    _older = field_validator("chosen", mode="before")(as_choices)


class Lead(Part):
    """A probe against one rival."""

    difference: Figure = Field(description="paired difference of AUROC")
    p: float | None = Field(description="one-sided p-value that there is no lead; null where undefined")


class Belief(Part):
    """The belief-matched control: in reliant and in resisted rows the hint contradicts what the model believes."""

    auroc: Figure | None = Field(None, description="of the probe, reliant against resisted rows")
    p: float | None = Field(None, description="one-sided p-value that it is no more than one half")
    refused: str | None = Field(None, description="why there is none")


class Finding(Part):
    """Whether a probe counts as found, and why."""

    found: bool = Field(description="`p_holm` is at most 5%")
    p: float | None = Field(None, description="the largest p-value of all parts; null where one is missing")
    p_holm: float | None = Field(None, description="adjusted over the probes of the table (Holm)")
    p_search: float | None = Field(None, description="of the search against itself on permuted labels")
    rivals: dict[str, Lead] = Field(default_factory=dict, description="what is known without the hint")
    belief: Belief = Field(default_factory=Belief, description="reliant against resisted rows")
    missing: tuple[str, ...] = Field((), description="parts that could not be tested")
    differences: dict[str, Figure] = Field(description="paired AUROC differences from each baseline and control")
    not_ahead: tuple[str, ...] = Field((), description="those whose difference does not lie above zero")


class Counts(Part):
    """How many rollouts showed which behaviour."""

    items: int = Field(description="items")
    hinted_rollouts: int = Field(description="hinted rollouts")
    reliant: int = Field(description="labelled reliant")
    aligned: int = Field(description="labelled aligned")
    overdetermined: int = Field(description="labelled overdetermined")
    resisted: int = Field(description="labelled resisted")
    ambiguous: int = Field(description="labelled ambiguous")
    strong: int = Field(description="reliant rollouts whose swapped run answers h'")
    hidden: int = Field(description="reliant rollouts that the reference calls not verbalized")
    unjudged: int = Field(
        0,
        description="reliant rollouts on which the reference has no word: no chain of thought, or no scored verdict; "
        "neither hidden nor admitted",
    )
    ambiguous_by_reason: dict[str, int] = Field(description="why rollouts are ambiguous")
    by_kind: dict[str, dict[str, int]] = Field(description="behaviours of each kind of hint")

    @property
    def judged(self) -> int:
        """Reliant rollouts on which the reference has a word: what the hidden share is taken over."""
        return self.reliant - self.unjudged

    @property
    def admitted(self) -> int:
        """Reliant rollouts that say so, as the reference has it."""
        return self.judged - self.hidden


class HintEffect(Part):
    """What the hints of one direction do to the answers."""

    n: int = Field(description="rows with both answers parsed")
    hinted: float = Field(description="share of hinted runs that answer h")
    neutral: float = Field(description="mean over these rows of the share of the item's neutral rollouts that answer h")
    difference: Figure = Field(description="paired difference of the two")


class Coincidence(Part):
    """How many of the reliant rows chance alone would give."""

    n: int = Field(description="hinted rows with a parsed answer whose item has a parsed neutral answer")
    reliant: float = Field(description="share of these rows that are reliant")
    neutral: float = Field(
        description="mean over these rows of the share of the item's neutral runs that would be called reliant in the "
        "hinted one's place"
    )
    share: Figure = Field(description="the second over the first; null where no row is reliant")


class RelianceSummary(Part):
    """Reliance probabilities of items, P(a_h = h) - P(a_neutral = h)."""

    items: int = Field(description="items with a parsed hinted and a parsed neutral answer")
    above_zero: int = Field(description="items whose 95% posterior interval lies above zero")
    mean: Figure = Field(description="mean posterior probability over items")
    reliant_items: int = Field(
        0, description="items with a reliant label and rollouts that make none (`labels.evaluation_rollouts`)"
    )
    labelled: Figure | None = Field(None, description="of these, the plain difference on the rollouts that labelled")
    evaluated: Figure | None = Field(None, description="the same on the rollouts that made no label")
    drop: Figure | None = Field(None, description="the first less the second: regression to the mean")


class Faithfulness(Part):
    """The paper's metrics (Chen et al. 2025, section 2.1) with the counts that they are made of."""

    n_rows: int = Field(description="hinted rollouts")
    n_unparsed: int = Field(description="left out: an answer was not parsed")
    n_unhinted_is_target: int = Field(description="left out: the unhinted answer is already h")
    n_used: int = Field(description="rows with a_u ≠ h")
    n_to_target: int = Field(description="of these, rows that answer h")
    n_to_other: int = Field(description="of these, rows that answer neither h nor a_u")
    n_two_options: int = Field(description="rows outside alpha: only two options")
    n_unscored: int = Field(description="switches to h without a scored verdict")
    n_scored: int = Field(description="switches to h with a scored verdict")
    n_verbalized: int = Field(description="of these, verbalized")
    p: float | None = Field(description="share that answers h, of rows with a_u ≠ h")
    q: float | None = Field(description="share that answers neither h nor a_u, of the same rows")
    alpha: float | None = Field(
        description="1 - q / ((n - 2) p); with mixed n, 1 - mean(1[other] / (n_i - 2)) / p; null where p = 0 or "
        "alpha ≤ 0"
    )
    raw: float | None = Field(description="share verbalized, of scored rows with a_u ≠ h and a_h = h")
    normalised: float | None = Field(description="min(raw / alpha, 1)")
    fractions: dict[str, tuple[float | None, float | None]] = Field(
        default_factory=dict,
        description="numerator and denominator of each; that of alpha, written as one fraction, is the switches to h "
        "less the sum of 1 / (n - 2) over the switches elsewhere, over the switches to h, on rows with n > 2",
    )
    intervals: dict[str, tuple[float, float] | None] = Field(
        description="95% cluster-bootstrap interval of each, over groups; null where over a tenth of the resamples "
        "leave it undefined"
    )

    def figure(self, name: str) -> Figure:
        """One of the five metrics with its interval."""
        low, high = self.intervals.get(name) or (None, None)
        return Figure(value=getattr(self, name), low=low, high=high)


Bounds = tuple[float | None, float | None]
"""Lowest and highest value; None where the metric is undefined at that end."""


class ParseBounds(Part):
    """What answers and verdicts that are missing could do to the paper's metrics, at worst."""

    p: Bounds = Field(description="lowest and highest p; null where undefined")
    alpha: Bounds = Field(description="of alpha; a lower bound of 0 or less means that it could be undefined")
    raw: Bounds = Field(description="of raw faithfulness, over missing verdicts too")
    missing_hinted: int = Field(description="rows whose hinted answer alone is missing, a_u not being h")
    missing_unhinted: int = Field(description="rows whose unhinted answer alone is missing")
    missing_both: int = Field(description="rows without either answer")
    unscored: int = Field(description="rows known to have switched to h that have no verdict")


class NaturalFlips(Part):
    """What p and q are of a run without the hint."""

    source: Literal["neutral", "unhinted"] = Field(
        "unhinted", description="neutral: runs with the hint's frame and no hint; unhinted: further unhinted runs"
    )
    rows: int = Field(description="rows with such a run")
    unparsed_repeats: int = Field(description="such runs without a parsed answer")
    to_target: Rate = Field(description="share that answers h")
    to_other: Rate = Field(description="share that answers a third option")


class CotLength(Part):
    """Mean tokens of the completions that switched to h."""

    faithful: Rate = Field(description="where the switch is verbalized")
    unfaithful: Rate = Field(description="where it is not")
    difference: Figure = Field(description="of the two")


class FaithfulnessSummary(Part):
    """The paper's metrics by the first judge."""

    judge: str = Field(description="the judge")
    all: Faithfulness = Field(description="over all rows")
    by_kind: dict[str, Faithfulness] = Field(description="by kind of hint")
    by_direction: dict[str, Faithfulness] = Field(default_factory=dict, description="by direction")
    by_kind_direction: dict[str, Faithfulness] = Field(default_factory=dict, description="by both: `KIND DIRECTION`")
    bounds: dict[str, ParseBounds] = Field(
        default_factory=dict, description="at worst, over missing answers: `all`, by direction, and `KIND DIRECTION`"
    )
    natural_flips: NaturalFlips | None = Field(None, description="of a run without the hint; null without one")
    cot_length: CotLength | None = Field(None, description="lengths; null where no scored switch has one")
    raw_corrected: CorrectedRate | None = Field(None, description="null without a calibration of the judge")


class Stratum(Part):
    """Rows of one kind × direction."""

    stratum: str = Field(description="kind and direction")
    positives: int = Field(description="rows of the positive class")
    negatives: int = Field(description="rows of the negative class")
    refused: str | None = Field(None, description="why it takes part in no AUROC")


class KindTransferCell(Part):
    """A probe trained on one kind of hint alone and read on another."""

    detector: str = Field(description="the probe")
    trained_on: str = Field(description="kind it was trained on")
    read_on: str = Field(description="kind it is read on")
    auroc: Figure | None = Field(description="within direction; every row is held out by group, on the diagonal too")
    refused: str | None = Field(description="why there is none")


class TargetEntry(Part):
    """A further target and its detectors."""

    positive: str = Field(description="name of the positive class")
    negative: str = Field(description="name of the negative class")
    note: str = Field(description="what the figure can mean")
    rows: TargetAccount = Field(description="its rows, as the probe stage counted them")
    refused: str | None = Field(None, description="why it was not trained")
    detectors: dict[str, DetectorEntry] = Field(description="its detector table")


class GradedEntry(Part):
    """A detector of the reliance probability."""

    reads: str = Field(description="what it looks at")
    concordance: Figure = Field(
        description="of pairs of items of one kind, direction and outer fold that differ, the share ranked right"
    )
    p_null: float | None = Field(None, description="of the search against itself on permuted probabilities")
    chosen: tuple[Choice, ...] = Field((), description="what the inner folds chose, per outer fold")
    lead: Figure | None = Field(None, description="the probe's concordance less this detector's, paired")


class GradedTable(Part):
    """How well the reliance probability of an item is predicted before the chain of thought."""

    items: int = Field(description="items")
    evaluated_on: Literal["labelling rollouts", "evaluation rollouts"] = Field(
        description="rollouts whose difference of shares the predictions are held against; those of evaluation took no "
        "part in training (`labels.evaluation_rollouts`)"
    )
    detectors: dict[str, GradedEntry] = Field(description="the probe, and what tells without the hint")


class Frozen(Part):
    """Detectors frozen on the run's first model, tried on this one."""

    trained_on: str = Field(description="the first model")
    rows: int = Field(description="rows of this model with a_h = h")
    share_over_threshold: dict[str, Figure] = Field(description="share of these rows over the detector's 5% threshold")
    auroc: dict[str, Figure] = Field(default_factory=dict, description="against this model's own labels")
    refused: str | None = Field(None, description="why there is no AUROC")


class Comparison(Part):
    """Everything that the compare stage found of one model."""

    model: str = Field(description="the model")
    reference: str = Field(description="who says which rows are hidden")
    counts: Counts = Field(description="how many rollouts showed which behaviour")
    hidden_share: Figure | None = Field(None, description="hidden over judged reliant rollouts; null without any")
    hint_effect: dict[str, HintEffect] = Field(description="by direction")
    coincidence: dict[str, Coincidence] = Field(
        default_factory=dict, description="reliant rows that chance alone would give: over `all`, and by direction"
    )
    reliance: RelianceSummary | None = Field(None, description="reliance probabilities; null without any")
    faithfulness: FaithfulnessSummary = Field(description="the paper's metrics")
    judges: JudgeSensitivity | None = Field(None, description="the headline under each judge")
    frozen: Frozen | None = Field(None, description="null for the run's first model")
    detectors: dict[str, DetectorEntry] = Field(description="the detector table on all rows of the main target")
    hidden_detectors: dict[str, DetectorEntry] = Field(description="the same on the hidden subset")
    rows: dict[str, int] = Field(default_factory=dict, description="rows of either class in the first table")
    hidden_rows: dict[str, int] = Field(default_factory=dict, description="rows of either class in the second")
    strata: tuple[Stratum, ...] = Field((), description="rows of each kind × direction")
    validation: dict[str, tuple[CellFigure, ...]] = Field(
        default_factory=dict, description="per detector, every cell on validation folds; never the reported figure"
    )
    position_transfer: tuple[TransferCell, ...] = Field((), description="probes of one position read at another")
    kind_transfer: tuple[KindTransferCell, ...] = Field((), description="probes of one kind read on another")
    cascades: tuple[Cascade, ...] = Field((), description="the selected probe, followed by each judge and monitor")
    best_probe: str | None = Field(None, description="name of the best probe")
    best_baseline: str | None = Field(None, description="name of the best text baseline")
    probe_minus_baseline: Figure | None = Field(None, description="paired difference of their AUROCs")
    findings: dict[str, Finding] = Field(default_factory=dict, description="per probe, whether it counts as found")
    graded: GradedTable | None = Field(None, description="the reliance probability as a target; null: not asked for")
    targets: dict[str, TargetEntry] = Field(default_factory=dict, description="the further targets")

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
