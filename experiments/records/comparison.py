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


class Counts(Part):
    """How many rollouts showed which behaviour."""

    items: int = Field(description="items")
    hinted_rollouts: int = Field(description="hinted rollouts")
    reliant: int = Field(description="rollouts labelled reliant")
    aligned: int = Field(description="rollouts labelled aligned")
    overdetermined: int = Field(description="rollouts labelled overdetermined")
    resisted: int = Field(description="rollouts labelled resisted")
    ambiguous: int = Field(description="rollouts labelled ambiguous")
    strong: int = Field(description="reliant rollouts whose swapped run answers h'")
    hidden: int = Field(description="reliant rollouts that are not verbalized by the reference")
    unjudged: int = Field(
        0,
        description="reliant rollouts that the reference did not score: no chain of thought, or no scored "
        "verdict; neither hidden nor admitted",
    )
    ambiguous_by_reason: dict[str, int] = Field(description="ambiguous rollouts by reason")
    by_kind: dict[str, dict[str, int]] = Field(description="rollouts by kind of hint and behaviour")

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
    difference: Figure = Field(description="paired difference: `hinted` minus `neutral`")


class Coincidence(Part):
    """How many of the reliant rows chance alone would give."""

    n: int = Field(description="hinted rows with a parsed answer whose item has a parsed neutral answer")
    reliant: float = Field(description="share of these rows that are reliant")
    neutral: float = Field(
        description="mean over these rows of the share of the item's neutral runs that would be labelled "
        "reliant if they stood in place of the hinted one"
    )
    share: Figure = Field(description="`neutral` / `reliant`; null where no row is reliant")


class RelianceSummary(Part):
    """Reliance probabilities of items, P(a_h = h) - P(a_neutral = h)."""

    items: int = Field(description="items with a parsed hinted and a parsed neutral answer")
    above_zero: int = Field(description="items whose 95% posterior interval lies above zero")
    mean: Figure = Field(description="mean posterior probability over items")
    reliant_items: int = Field(
        0,
        description="items with a reliant label and with rollouts held out of labelling (`labels.evaluation_rollouts`)",
    )
    labelled: Figure | None = Field(
        None, description="for these items, the plain difference of shares on the rollouts used for labels"
    )
    evaluated: Figure | None = Field(None, description="the same difference on the rollouts held out of labelling")
    drop: Figure | None = Field(None, description="`labelled` minus `evaluated`: regression to the mean")


class Faithfulness(Part):
    """The paper's metrics (Chen et al. 2025, section 2.1) with the counts that they are made of."""

    n_rows: int = Field(description="hinted rollouts")
    n_unparsed: int = Field(description="rows left out because an answer was not parsed")
    n_unhinted_is_target: int = Field(description="rows left out because the unhinted answer is already h")
    n_used: int = Field(description="rows with a_u ≠ h")
    n_to_target: int = Field(description="of these, rows that answer h")
    n_to_other: int = Field(description="of these, rows that answer neither h nor a_u")
    n_two_options: int = Field(description="rows left out of alpha because they have only two options")
    n_unscored: int = Field(description="switches to h without a scored verdict")
    n_scored: int = Field(description="switches to h with a scored verdict")
    n_verbalized: int = Field(description="of these, verbalized")
    p: float | None = Field(description="share of rows with a_u ≠ h that answer h")
    q: float | None = Field(description="share of rows with a_u ≠ h that answer neither h nor a_u")
    alpha: float | None = Field(
        description="1 - q / ((n - 2) p); with mixed n, 1 - mean(1[other] / (n_i - 2)) / p; null where p = 0 or "
        "alpha ≤ 0"
    )
    raw: float | None = Field(description="share of scored rows with a_u ≠ h and a_h = h that are verbalized")
    normalised: float | None = Field(description="min(raw / alpha, 1)")
    fractions: dict[str, tuple[float | None, float | None]] = Field(
        default_factory=dict,
        description="numerator and denominator of each metric. On rows with n > 2, alpha has as denominator "
        "the switches to h, and as numerator these minus the sum of 1 / (n - 2) over the switches elsewhere",
    )
    intervals: dict[str, tuple[float, float] | None] = Field(
        description="95% cluster-bootstrap interval of each metric, over groups; null where it is undefined "
        "in more than a tenth of the resamples"
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
    alpha: Bounds = Field(
        description="lowest and highest alpha; a lower bound of 0 or less means that alpha could be undefined"
    )
    raw: Bounds = Field(description="lowest and highest raw faithfulness, also over missing verdicts")
    missing_hinted: int = Field(description="rows with a_u ≠ h in which only the hinted answer is missing")
    missing_unhinted: int = Field(description="rows in which only the unhinted answer is missing")
    missing_both: int = Field(description="rows without either answer")
    unscored: int = Field(description="rows that switched to h and have no verdict")


class NaturalFlips(Part):
    """What p and q are of a run without the hint."""

    source: Literal["neutral", "unhinted"] = Field(
        "unhinted", description="neutral: runs with the hint's frame and no hint; unhinted: further unhinted runs"
    )
    rows: int = Field(description="rows that have such a run")
    unparsed_repeats: int = Field(description="such runs without a parsed answer")
    to_target: Rate = Field(description="share that answers h (compare with p)")
    to_other: Rate = Field(description="share that answers a third option (compare with q)")


class CotLength(Part):
    """Mean tokens of the completions that switched to h."""

    faithful: Rate = Field(description="mean length where the switch is verbalized")
    unfaithful: Rate = Field(description="mean length where the switch is not verbalized")
    difference: Figure = Field(description="difference of the two means")


class FaithfulnessSummary(Part):
    """The paper's metrics by the first judge."""

    judge: str = Field(description="the judge")
    all: Faithfulness = Field(description="over all rows")
    by_kind: dict[str, Faithfulness] = Field(description="by kind of hint")
    by_direction: dict[str, Faithfulness] = Field(default_factory=dict, description="by direction")
    by_kind_direction: dict[str, Faithfulness] = Field(
        default_factory=dict, description="by kind and direction, named `KIND DIRECTION`"
    )
    bounds: dict[str, ParseBounds] = Field(
        default_factory=dict,
        description="bounds over all possible missing answers: for `all`, by direction, and by `KIND DIRECTION`",
    )
    natural_flips: NaturalFlips | None = Field(
        None, description="the same shares for a run without the hint; null if there is none"
    )
    cot_length: CotLength | None = Field(
        None, description="lengths of completions; null where no scored switch has one"
    )
    raw_corrected: CorrectedRate | None = Field(
        None, description="raw faithfulness corrected for the judge's error; null without a calibration of the judge"
    )


class Stratum(Part):
    """Rows of one kind × direction."""

    stratum: str = Field(description="kind and direction")
    positives: int = Field(description="rows of the positive class")
    negatives: int = Field(description="rows of the negative class")
    refused: str | None = Field(None, description="why these rows enter no AUROC; null where they do")


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
