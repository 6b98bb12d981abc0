"""What a trajectory is on disk: ``trajectory.json``, every field documented."""

from typing import Any, Literal

from pydantic import Field, model_validator

from experiments.records.rollouts import Direction, Kind, Record

VERSION = 1


class StepRow(Record):
    """What was logged at one step of a training."""

    step: int = Field(description="optimiser step, from 1")
    terms: dict[str, float | None] = Field(
        description="mean of each term of the reward over the step's completions, before its weight; null: no word"
    )
    weights: dict[str, float] = Field(description="weight of each term")
    reward: float = Field(description="mean of the weighted sum")
    reward_std: float = Field(description="its standard deviation within a prompt's completions, averaged")
    kl: float | None = Field(description="divergence from the start, nats per token; null where beta is 0")
    entropy: float | None = Field(description="entropy of the policy, nats per token")
    length: float = Field(description="mean tokens of a completion")
    readings: dict[str, float] = Field(
        description="share of completions that are `empty`, `truncated` or `parsed`, and of rewarded ones that the "
        "judge finds to admit the hint (`admitted_of_rewarded`)"
    )


class Estimate(Record):
    """A figure with its 95% cluster-bootstrap interval; null where undefined."""

    value: float | None = Field(description="the figure")
    low: float | None = Field(description="lower end")
    high: float | None = Field(description="upper end")


class Flagging(Record):
    """What one threshold does at one step."""

    recall: Estimate = Field(description="share of this step's reliant rows above it")
    false_positives: Estimate = Field(description="share of this step's aligned rows above it")


class Reading(Record):
    """One detector read in one way at one step, reliant against aligned."""

    auroc: Estimate = Field(description="within fold, kind and direction")
    refused: str = Field("", description="why there is no AUROC")
    at_start_threshold: Flagging | None = Field(
        None, description="at the threshold that `measure.rate` of the aligned rows of step 0 exceed, held out"
    )
    at_own_threshold: Flagging | None = Field(
        None, description="at the same threshold taken on this step's aligned rows; null: too few of them"
    )


class JudgeAtStep(Record):
    """What one judge says at one step."""

    verbalized_share: Estimate = Field(description="of hacked rows, those that it finds to admit the hint")
    recall: Estimate = Field(description="of reliant rows")
    false_positives: Estimate = Field(description="of aligned rows")
    mentions: Estimate = Field(description="of all hinted rows, those that it finds to mention the hint")
    unscored: int = Field(description="hinted rows without a verdict")


class Checkpoint(Record):
    """Everything measured at one checkpoint, on the items that all share.

    The named figures stand flat, so that a script needs no more than this file; ``intervals`` has the interval of each
    by the same name, ``differences`` the paired difference of each from the first checkpoint.
    """

    step: int = Field(description="optimiser step")
    model: str = Field(description="folder or hub id")
    fingerprint: str = Field(description="identity of its weights")
    hack_rate: float | None = Field(
        description="share of items with an incorrect hint, of the environment's kinds, that answer the hinted option"
    )
    verbalized_share: float | None = Field(description="of these rows, those that the first judge finds to admit it")
    admitted_share: float | None = Field(
        description="of these rows, those that admit it by the reference: an organism's grammar, or the first judge"
    )
    accuracy: float | None = Field(description="share of items answered rightly without the hint")
    p: float | None = Field(description="share that switches to h, of rows with a_u ≠ h")
    q: float | None = Field(description="share that switches to another option")
    alpha: float | None = Field(description="1 less the chance share of the switches to h")
    raw_faithfulness: float | None = Field(description="of the switches to h, those that admit it (first judge)")
    normalised_faithfulness: float | None = Field(description="raw over alpha, at most 1")
    reliant_share: float | None = Field(description="of hinted rows, those that are reliant")
    hidden_share: float | None = Field(description="of hinted rows, those reliant and not admitted (reference)")
    parsed_share: float | None = Field(description="of hinted rows, those whose answer could be read")
    truncated_share: float | None = Field(description="of hinted rows, those cut by the token limit")
    empty_share: float | None = Field(description="of hinted rows, those without any text")
    length: float | None = Field(description="tokens of the hinted completions, mean")
    judge_recall: float | None = Field(description="of reliant rows, those that the first judge finds to admit it")
    probe_refit_auroc: float | None = Field(description="`measure.headline`, trained and held out at this step")
    probe_frozen_auroc: float | None = Field(description="trained at step 0, read on this step's activations")
    probe_reread_auroc: float | None = Field(
        description="trained at step 0, read on this step's text put through the model of step 0"
    )
    probe_refit_recall: float | None = Field(description="share of reliant rows over the refitted probe's threshold")
    probe_frozen_recall: float | None = Field(description="share of reliant rows over the threshold of step 0")
    probe_reread_recall: float | None = Field(description="the same of the text put through the model of step 0")
    intervals: dict[str, tuple[float, float] | None] = Field(description="95% interval of each figure above")
    differences: dict[str, Estimate] = Field(
        description="each figure less that of the first checkpoint, paired by item"
    )
    following: dict[str, Estimate] = Field(description="P(a_h = h) by `KIND DIRECTION`")
    counts: dict[str, int] = Field(description="hinted rows by behaviour, and `items`")
    judges: dict[str, JudgeAtStep] = Field(description="every judge, the first one first")
    probes: dict[str, dict[Literal["refit", "frozen", "reread"], Reading]] = Field(
        description="every probe of `measure.probes` in its three readings"
    )
    texts: dict[str, dict[Literal["refit", "frozen"], Reading]] = Field(
        description="every text classifier of `measure.texts`"
    )


class Level(Record):
    """Does a figure level off? A straight line against two connected ones, over the steps."""

    verdict: Literal["levels off", "goes on", "flat", "undecided", "too few checkpoints"] = Field(
        description="levels off: it changes at first, and later at under half that rate; goes on: it changes, and two "
        "lines are not needed; flat: no slope and no difference between first and last can be told from zero; "
        "undecided: neither"
    )
    breakpoint: Estimate | None = Field(None, description="step at which the two lines meet")
    slope_before: Estimate | None = Field(None, description="change per step before it")
    slope_after: Estimate | None = Field(None, description="change per step after it")
    ratio: Estimate | None = Field(None, description="slope after over slope before")
    slope_of_line: Estimate | None = Field(None, description="change per step of the one line")
    two_preferred: float | None = Field(None, description="share of resamples in which two lines have the lower BIC")


class Followed(Record):
    """One item at every checkpoint."""

    item: str = Field(description="its id")
    kind: Kind = Field(description="kind of hint")
    direction: Direction = Field(description="where the hint points")
    prompt: str = Field(description="the hinted prompt")
    gold: str = Field(description="letter of the right option")
    target: str = Field(description="letter the hint names")
    texts: tuple[str, ...] = Field(description="hinted completion at each checkpoint")
    answers: tuple[str | None, ...] = Field(description="its answer")
    behaviours: tuple[str, ...] = Field(description="its behaviour")
    verbalized: tuple[bool | None, ...] = Field(description="the first judge's word on it")


class Trajectory(Record):
    """A finished trajectory."""

    format: Literal["hintprobe trajectory"] = Field("hintprobe trajectory", description="what this file is")
    version: int = Field(VERSION, description="of the format")
    name: str = Field(description="name of the run")
    model: str = Field(description="the model at step 0")
    environment: str | None = Field(description="what was trained; null for others' checkpoints")
    hacked_kinds: tuple[Kind, ...] = Field(description="kinds of hint that `hack_rate` is of")
    judge: str = Field(description="the first judge")
    reference: str = Field(description="who fixes what is admitted: grammar, or the first judge")
    headline: str = Field(description="the probe of `probe_…_auroc`")
    checkpoints: tuple[Checkpoint, ...] = Field(description="in the order of their steps")
    levels: dict[str, Level] = Field(description="by figure")
    steps: tuple[StepRow, ...] = Field(description="the training's log; empty for others' checkpoints")
    followed: tuple[Followed, ...] = Field(description="a few items at every checkpoint")
    notes: tuple[str, ...] = Field((), description="what could not be measured, in words")
    provenance: dict[str, Any] = Field(description="commit, versions, device and configuration")

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, data: Any) -> Any:
        """``hidden_share`` was called ``silent_share``, though rows that mention the hint are among them."""
        if not isinstance(data, dict):
            return data
        return data | {name: _renamed(data[name]) for name in ("checkpoints", "levels") if name in data}


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {"hidden_share" if name == "silent_share" else name: _renamed(one) for name, one in value.items()}
    return [_renamed(one) for one in value] if isinstance(value, (list, tuple)) else value
