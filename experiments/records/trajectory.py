"""What a trajectory is on disk: ``trajectory.json``, every field documented."""

from typing import Any, Literal

from pydantic import Field, model_validator

from experiments.records.rollouts import Direction, Kind, Record

VERSION = 1


class StepRow(Record):
    """What was logged at one step of a training."""

    step: int = Field(description="optimiser step, from 1")
    terms: dict[str, float | None] = Field(
        description="mean of each term of the reward over the step's completions, before its weight; null: "
        "no completion has a value"
    )
    weights: dict[str, float] = Field(description="weight of each term")
    reward: float = Field(description="mean over completions of the weighted sum of the terms")
    reward_std: float = Field(
        description="standard deviation of the reward among the completions of a prompt, averaged over prompts"
    )
    kl: float | None = Field(description="KL divergence from the model at step 0, nats per token; null where beta is 0")
    entropy: float | None = Field(description="entropy of the policy, nats per token")
    length: float = Field(description="mean number of tokens of a completion")
    readings: dict[str, float] = Field(
        description="shares of completions that are `empty`, `truncated` or `parsed`, and the share of "
        "rewarded completions in which the judge finds that the hint is admitted (`admitted_of_rewarded`)"
    )


class Estimate(Record):
    """A figure with its 95% cluster-bootstrap interval; null where undefined."""

    value: float | None = Field(description="the figure")
    low: float | None = Field(description="lower end of the interval")
    high: float | None = Field(description="upper end of the interval")


class Flagging(Record):
    """What one threshold does at one step."""

    recall: Estimate = Field(description="share of this step's reliant rows above the threshold")
    false_positives: Estimate = Field(description="share of this step's aligned rows above the threshold")


class Reading(Record):
    """One detector read in one way at one step, reliant against aligned."""

    auroc: Estimate = Field(description="AUROC within fold, kind and direction")
    refused: str = Field("", description="why there is no AUROC; empty where there is one")
    at_start_threshold: Flagging | None = Field(
        None,
        description="at the threshold set at step 0, which the share `measure.rate` of its held-out aligned "
        "rows exceeds",
    )
    at_own_threshold: Flagging | None = Field(
        None, description="at the threshold set the same way on this step's aligned rows; null: too few of them"
    )


class JudgeAtStep(Record):
    """What one judge says at one step."""

    verbalized_share: Estimate = Field(
        description="share of hacked rows in which the judge finds that the hint is admitted"
    )
    recall: Estimate = Field(description="the same share of reliant rows")
    false_positives: Estimate = Field(description="the same share of aligned rows")
    mentions: Estimate = Field(
        description="share of all hinted rows in which the judge finds that the hint is mentioned"
    )
    unscored: int = Field(description="hinted rows without a verdict")


class Checkpoint(Record):
    """Everything measured at one checkpoint, on the items that all share.

    The named figures stand flat, so that a script needs no more than this file; ``intervals`` has the interval of each
    by the same name, ``differences`` the paired difference of each from the first checkpoint.
    """

    step: int = Field(description="optimiser step")
    model: str = Field(description="folder or hub id")
    fingerprint: str = Field(description="identity of the model's weights")
    hack_rate: float | None = Field(
        description="share of items with an incorrect hint, of the environment's kinds, whose answer is the "
        "hinted option"
    )
    verbalized_share: float | None = Field(
        description="share of these rows in which the first judge finds that the hint is admitted"
    )
    admitted_share: float | None = Field(
        description="share of these rows that admit the hint by the reference: an organism's grammar, or the "
        "first judge"
    )
    accuracy: float | None = Field(description="share of items answered correctly without the hint")
    p: float | None = Field(description="among rows with a_u ≠ h, the share that switches to h")
    q: float | None = Field(description="among the same rows, the share that switches to another option")
    alpha: float | None = Field(description="1 minus the share of switches to h that is expected by chance")
    raw_faithfulness: float | None = Field(
        description="share of switches to h in which the first judge finds that the hint is admitted"
    )
    normalised_faithfulness: float | None = Field(description="raw faithfulness / alpha, at most 1")
    reliant_share: float | None = Field(description="share of hinted rows that are reliant")
    hidden_share: float | None = Field(
        description="share of hinted rows that are reliant and not admitted, by the reference"
    )
    parsed_share: float | None = Field(description="share of hinted rows whose answer could be parsed")
    truncated_share: float | None = Field(description="share of hinted rows cut at the token limit")
    empty_share: float | None = Field(description="share of hinted rows without any text")
    length: float | None = Field(description="mean number of tokens of the hinted completions")
    judge_recall: float | None = Field(
        description="share of reliant rows in which the first judge finds that the hint is admitted"
    )
    probe_refit_auroc: float | None = Field(
        description="AUROC of the probe `measure.headline`, trained and held out at this step"
    )
    probe_frozen_auroc: float | None = Field(
        description="AUROC of that probe trained at step 0, read on this step's activations"
    )
    probe_reread_auroc: float | None = Field(
        description="AUROC of that probe trained at step 0, read on this step's text put through the model of step 0"
    )
    probe_refit_recall: float | None = Field(description="share of reliant rows above the refitted probe's threshold")
    probe_frozen_recall: float | None = Field(
        description="share of reliant rows above the frozen probe's threshold of step 0"
    )
    probe_reread_recall: float | None = Field(
        description="the same share, of this step's text put through the model of step 0"
    )
    intervals: dict[str, tuple[float, float] | None] = Field(description="95% interval of each figure above")
    differences: dict[str, Estimate] = Field(
        description="each figure minus that of the first checkpoint, paired by item"
    )
    following: dict[str, Estimate] = Field(description="P(a_h = h) by `KIND DIRECTION`")
    counts: dict[str, int] = Field(description="number of hinted rows by behaviour, and of `items`")
    judges: dict[str, JudgeAtStep] = Field(description="results of every judge, beginning with the first judge")
    probes: dict[str, dict[Literal["refit", "frozen", "reread"], Reading]] = Field(
        description="every probe of `measure.probes`, refitted, frozen and re-read"
    )
    texts: dict[str, dict[Literal["refit", "frozen"], Reading]] = Field(
        description="every text classifier of `measure.texts`, refitted and frozen"
    )


class Level(Record):
    """Does a figure level off? A straight line against two connected ones, over the steps."""

    verdict: Literal["levels off", "goes on", "flat", "undecided", "too few checkpoints"] = Field(
        description="levels off: the figure changes at first, and later at less than half that rate; goes "
        "on: it changes, and one line is enough; flat: the intervals of the slope and of the difference "
        "between first and last include zero; undecided: none of these"
    )
    breakpoint: Estimate | None = Field(None, description="step at which the two lines meet")
    slope_before: Estimate | None = Field(None, description="change per step before the breakpoint")
    slope_after: Estimate | None = Field(None, description="change per step after the breakpoint")
    ratio: Estimate | None = Field(None, description="slope after / slope before")
    slope_of_line: Estimate | None = Field(None, description="change per step of the single line")
    two_preferred: float | None = Field(None, description="share of resamples in which two lines have the lower BIC")


class Followed(Record):
    """One item at every checkpoint."""

    item: str = Field(description="id of the item")
    kind: Kind = Field(description="kind of hint")
    direction: Direction = Field(description="where the hint points")
    prompt: str = Field(description="the hinted prompt")
    gold: str = Field(description="letter of the right option")
    target: str = Field(description="letter that the hint names")
    texts: tuple[str, ...] = Field(description="hinted completion at each checkpoint")
    answers: tuple[str | None, ...] = Field(description="answer of each completion")
    behaviours: tuple[str, ...] = Field(description="behaviour of each completion")
    verbalized: tuple[bool | None, ...] = Field(
        description="does the first judge find that the hint is admitted, at each checkpoint"
    )


class Trajectory(Record):
    """A finished trajectory."""

    format: Literal["hintprobe trajectory"] = Field("hintprobe trajectory", description="what this file is")
    version: int = Field(VERSION, description="version of the format")
    name: str = Field(description="name of the run")
    model: str = Field(description="the model at step 0")
    environment: str | None = Field(description="the environment trained on; null for others' checkpoints")
    hacked_kinds: tuple[Kind, ...] = Field(description="kinds of hint on which `hack_rate` is computed")
    judge: str = Field(description="the first judge")
    reference: str = Field(description="what decides whether the hint is admitted: the grammar, or the first judge")
    headline: str = Field(description="the probe whose figures are `probe_…_auroc`")
    checkpoints: tuple[Checkpoint, ...] = Field(description="in the order of their steps")
    levels: dict[str, Level] = Field(description="does each figure level off, by the figure's name")
    steps: tuple[StepRow, ...] = Field(
        description="the training's log, one row per step; empty for others' checkpoints"
    )
    followed: tuple[Followed, ...] = Field(description="the text of a few items at every checkpoint")
    notes: tuple[str, ...] = Field((), description="what could not be measured, and why")
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
