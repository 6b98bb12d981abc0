"""What a model did with its hints, as ``comparison.json`` holds it: behaviours, effects, faithfulness."""

from typing import Literal

from pydantic import Field

from experiments.records.judging import CorrectedRate
from experiments.records.parts import Figure, Part, Rate


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
