"""Records of the probe stage: what detectors are trained on, how they were trained, and what they say."""

from typing import Any, Literal

from pydantic import Field, field_validator

from experiments.records.rollouts import Direction, Kind, Record

Family = Literal["probe", "control", "baseline", "reference", "judge", "instrument"]


Source = Literal["prompt", "cot", "answer", "item", "unhinted run", "activations", "forwards"]
"""What a detector is given: texts of the hinted run; what the experimenter knows of the item (kind, direction, target);
the run without the hint; states of the model; or further forwards of it."""


class Choice(Record):
    """What the inner folds of one outer fold chose."""

    site: str | None = Field(description="site whose activations are read; null: no activations are read")
    position: str = Field(description="position read, or the name of the features")
    estimator: str = Field("logistic", description="what was fitted")
    strength: float = Field(description="C, or the estimator's counterpart of C; 1 where the estimator has none")


class CellFigure(Record):
    """How one cell did on validation folds."""

    site: str | None = Field(description="site whose activations are read; null: no activations are read")
    position: str = Field(description="position read, or the name of the features")
    auroc: float | None = Field(description="AUROC on validation folds; never the reported figure")


def as_choices(value: Any) -> Any:
    """Choices; runs before November 2026 hold them as text, ``resid_post.3@prompt_end C=0.1``."""
    return tuple(
        {**_cell_of(one.rpartition(" C=")[0]), "strength": float(one.rpartition(" C=")[2])}
        if isinstance(one, str)
        else one
        for one in value
    )


def as_cells(value: Any) -> Any:
    """Cells on validation folds; older runs hold a mapping from such text to the AUROC."""
    if isinstance(value, dict):
        return tuple({**_cell_of(name), "auroc": auroc} for name, auroc in value.items())
    return value


def _cell_of(name: str) -> dict[str, str | None]:
    site, at, position = name.partition("@")
    return {"site": site, "position": position} if at else {"site": None, "position": name}


class Certainty(Record):
    """How sure the model is of an item's answer before any hint and any text."""

    key_fields = ("item_id",)
    item_id: str = Field(description="the item")
    forced_entropy: float = Field(
        description="entropy over the options when the answer is forced at the end of the unhinted prompt, nats"
    )


class TargetRow(Record):
    """One row of a target: what every detector of it is scored on."""

    key_fields = ("target", "rollout_id")
    target: str = Field(description="what is predicted: reliant (against aligned), will_follow, …")
    rollout_id: str = Field(description="the rollout that is scored")
    group: str = Field(description="group of the item's question")
    kind: Kind = Field(description="kind of hint")
    direction: Direction = Field(description="direction of the hint")
    positive: bool = Field(description="the row is of the positive class")
    fold: int = Field(description="outer fold in which the row is held out")
    more_folds: tuple[int, ...] = Field((), description="outer fold of the row in each further drawing of the folds")

    @property
    def stratum(self) -> str:
        """Rows are compared within kind × direction."""
        return f"{self.kind} {self.direction}"


class ScoreRow(Record):
    """What one detector says of one rollout that it was not trained on; a row without a score is left out."""

    key_fields = ("target", "detector", "rollout_id")
    target: str = Field("reliant", description="what the detector predicts")
    detector: str = Field(description="name of the detector")
    rollout_id: str = Field(description="the rollout")
    fold: int = Field(description="outer fold in which the row was held out")
    score: float = Field(description="higher means more likely positive; comparable within a fold only")
    offset: float = Field(
        0.0,
        description="mean out-of-fold score of the training negatives of the row's kind and direction (of "
        "all training negatives where there are none of these); thresholds within kind × direction apply to "
        "score - offset",
    )
    spread: float = Field(
        1.0,
        description="standard deviation of these scores; score - offset is divided by it before a threshold is applied",
    )
    probability: float = Field(description="the score calibrated on training folds")
    more: tuple[float, ...] = Field((), description="held-out score under each further drawing of the folds")


class DetectorSummary(Record):
    """How a detector was trained, and what its thresholds are made from."""

    key_fields = ("target", "name")
    target: str = Field("reliant", description="what the detector predicts")
    name: str = Field(description="name of the detector")
    family: Family = Field(
        "baseline",
        description="probe: reads activations; control: what a probe must beat to mean something; baseline: "
        "reads no activations; reference: reads what a probe reads, without any training; judge: a verdict; "
        "instrument: an intervention",
    )
    reads: str = Field(description="what the detector reads")
    sees: tuple[Source, ...] = Field(
        (),
        description="the information that the detector is given: texts of the hinted run (prompt, cot, "
        "answer), properties of the item (kind, direction, target), the unhinted run, states of the model, "
        "further forwards of the model",
    )
    labels: str = Field(
        "", description="which labels the detector was trained on: none, rows of the target, examples, a fine-tune"
    )
    seconds_per_row: float = Field(description="cost: wall-clock seconds per scored row, training included")
    forwards_per_row: float = Field(
        0.0, description="cost: model forwards per scored row beyond the one that generated or captured it"
    )
    trained: bool = Field(True, description="the detector was trained on rows of the target")
    variant_of: str = Field("", description="the probe from whose scores these are derived")
    rival: bool = Field(
        False,
        description="the detector reads what a probe could know without the hint, so a probe counts as found "
        "only if it is ahead of it",
    )
    chosen: tuple[Choice, ...] = Field(description="what the inner folds chose, per outer fold")
    validation: tuple[CellFigure, ...] = Field(description="every cell on validation folds")
    constant_cells: tuple[str, ...] = Field((), description="cells left out because all their values are constant")
    null_statistic: float | None = Field(
        None,
        description="AUROC of the closed-form search (ridge regression) on the true labels, to which the "
        "permuted searches are compared",
    )
    null_best_statistic: float | None = Field(
        None, description="highest validation AUROC over all cells in this search"
    )
    null_aurocs: tuple[float, ...] = Field(
        description="AUROC of each repeat of this search with labels of whole groups permuted within kind × direction"
    )
    stratum_only_aurocs: tuple[float, ...] = Field(
        (),
        description="the same repeats scored on the true labels: what can be learnt from the base rates of "
        "kinds and directions alone; not a null distribution",
    )
    null_best_validation: tuple[float, ...] = Field(
        (), description="per repeat, the highest validation AUROC over all cells: the null of the best cell"
    )
    control_task_aurocs: tuple[float, ...] = Field(
        (), description="AUROC of the same search on random labels per wording and target letter"
    )
    training_negatives: tuple[tuple[float, ...], ...] = Field(
        description="per outer fold, out-of-fold scores of the training rows of the negative class"
    )
    training_residuals: tuple[tuple[float, ...], ...] = Field(
        (),
        description="these scores minus the mean of the other training negatives of their kind and "
        "direction, divided by the standard deviation of those",
    )

    _older_choices = field_validator("chosen", mode="before")(as_choices)
    _older_cells = field_validator("validation", mode="before")(as_cells)


class GradedScore(Record):
    """What a detector predicts of an item's reliance probability, held out."""

    key_fields = ("detector", "item_id")
    detector: str = Field(description="the detector")
    item_id: str = Field(description="the item")
    fold: int = Field(description="outer fold in which the item was held out")
    score: float = Field(description="the prediction; comparable within a fold")


class GradedSummary(Record):
    """How a detector of the reliance probability came about."""

    key_fields = ("name",)
    name: str = Field(description="the detector")
    reads: str = Field(description="what the detector reads")
    chosen: tuple[Choice, ...] = Field(description="what the inner folds chose, per outer fold")
    p_null: float | None = Field(
        description="share of searches on probabilities permuted by group within kind × direction whose "
        "concordance is at least that of the detector, the detector itself included; null: not permuted"
    )
    null_concordances: tuple[float, ...] = Field((), description="concordance of each of these searches")


class TransferCell(Record):
    """A probe trained at one position and read at another, of one site."""

    site: str = Field(
        description="site of both, in each outer fold the one with the best validation figure over the positions"
    )
    trained_at: str = Field(description="position whose states the probe was trained on")
    read_at: str = Field(description="position whose states it reads")
    auroc: float | None = Field(description="AUROC on held-out rows, pairs within kind × direction; null: undefined")


class KindScores(Record):
    """Held-out scores of one row by probes that were trained on one kind of hint alone."""

    key_fields = ("detector", "rollout_id")
    detector: str = Field(description="the probe whose cell and C, chosen per outer fold on all kinds, are used")
    rollout_id: str = Field(description="the rollout")
    trained_on: dict[str, float] = Field(
        description="score by the kind trained on; comparable within a fold only; absent: too few rows to train on"
    )


class CotScore(Record):
    """The score of a held-out probe at one token of a chain of thought."""

    key_fields = ("detector", "rollout_id", "token")
    rollout_id: str = Field(description="the rollout")
    detector: str = Field(
        description="the probe; its model is that of the outer fold in which the rollout was held out"
    )
    cell: str = Field(description="site and position at which this model was trained")
    token: int = Field(description="index of the token in prompt and completion together")
    start: int = Field(description="first character of the token in completion_text")
    end: int = Field(description="one past the last character")
    ends_sentence: bool = Field(description="the token ends a sentence")
    score: float = Field(description="log-odds of reliance")
    probability: float = Field(description="the score calibrated on the training folds at the probe's own position")
