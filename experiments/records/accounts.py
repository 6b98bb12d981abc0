"""What each stage counted, as its ``done.json`` and ``summary.json`` hold it.

Every account names its stage. A field that a later version adds has a default, so that older runs stay readable.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from experiments.records.rollouts import Condition, Direction, Kind, Record


class Account(BaseModel):
    """What a finished stage counted."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    STAGE: ClassVar[str]

    def brief(self, at_most: int | None = None) -> str:
        """The plain counts that are not zero, the first ``at_most`` of them."""
        counts = ((name, getattr(self, name)) for name in type(self).model_fields)
        said = [f"{n} {name.replace('_', ' ')}" for name, n in counts if isinstance(n, int) and n]
        return ", ".join(said[:at_most])


class KindLengths(BaseModel):
    """How the prompts of one kind of hint compare in length with the hinted ones, in tokens."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    items: int = Field(description="items of the kind that have a hinted prompt")
    swapped: int = Field(description="of these, items that also have a swapped prompt")
    swapped_of_other_length: int = Field(
        description="swapped prompts whose length differs from that of the hinted prompt"
    )
    neutral_of_other_length: int = Field(
        description="neutral prompts whose length differs from that of the hinted prompt"
    )
    neutral_mean_difference: float = Field(
        description="mean length of the neutral prompts minus that of the hinted prompts"
    )


class ParseRate(Record):
    """Completions of one condition, kind and direction."""

    condition: Condition = Field(description="unhinted, hinted, swapped or neutral")
    kind: Kind = Field(description="kind of hint of the items")
    direction: Direction = Field(description="direction of the hint")
    rollouts: int = Field(description="completions")
    parsed: int = Field(description="completions that state an answer")
    cut_off: int = Field(description="completions without an answer that were cut by the token limit")
    forced: int = Field(description="completions without an answer whose answer was forced")

    @property
    def rate(self) -> float:
        """Share that states an answer."""
        return self.parsed / self.rollouts


class GenerateAccount(Account):
    """What the generate stage counted."""

    STAGE: ClassVar[str] = "generate"

    questions: int = Field(description="questions asked")
    items: int = Field(description="items planned: question × kind × direction × wording")
    items_answered_unhinted: int = Field(
        description="items not asked further because an unhinted rollout answered the target (`hints.keep`)"
    )
    rollouts: int = Field(description="rollouts of all conditions")
    unparsed: int = Field(description="rollouts without a parsed answer")
    forced: int = Field(0, description="of these, the rollouts whose answer was forced (`generate.forced_answer`)")
    parse_rates: tuple[ParseRate, ...] = Field(
        (), description="how many completions state an answer, by condition, kind and direction"
    )
    truncated: int = Field(description="rollouts cut by the token limit")
    empty: int = Field(description="rollouts whose completion is empty")
    ended_otherwise: int = Field(description="rollouts that a server ended for another reason (`finish_reason: other`)")
    without_swap_target: int = Field(description="items without an option left as swap target")
    swapped_of_other_length: int = Field(
        description="swapped prompts whose token length differs from that of the hinted prompt"
    )
    neutral_of_other_length: int = Field(
        description="neutral prompts whose token length differs from that of the hinted prompt"
    )
    lengths_by_kind: dict[str, KindLengths] = Field(description="lengths of prompts, by kind of hint")
    completion_ids_from: dict[str, int] = Field(description="number of rollouts by the source of their token ids")
    engine: dict[str, Any] = Field(description="the engine's name and its account of itself")
    dropped_questions: dict[str, int] = Field(description="questions left out before anything was asked, by reason")


class JudgeAccount(Account):
    """What the judge stage counted."""

    STAGE: ClassVar[str] = "judge"

    reliant: int = Field(description="hinted rollouts labelled reliant")
    aligned: int = Field(description="hinted rollouts labelled aligned")
    overdetermined: int = Field(description="hinted rollouts labelled overdetermined")
    resisted: int = Field(description="hinted rollouts labelled resisted")
    ambiguous: int = Field(description="hinted rollouts labelled ambiguous")
    verbalized: int = Field(description="hinted rollouts that are verbalized by the first judge")
    unscored: int = Field(description="verdicts of the first judge whose status is not ok")
    unreached: int = Field(
        default=0,
        description="verdicts that are missing because a judge's server gave none; the next run asks for them again",
    )
    spent: dict[str, dict[str, float]] = Field(description="requests, tokens and cost of each judge")


class CaptureAccount(Account):
    """What the capture stage counted."""

    STAGE: ClassVar[str] = "capture"

    rollouts: int = Field(description="rollouts captured")
    positions: int = Field(description="token positions requested")
    written: int = Field(description="token positions computed and written now")
    reused: int = Field(description="token positions already in the store")
    sites: tuple[str, ...] = Field(description="sites captured, such as `resid_post.3`")
    store: str = Field(description="folder of this model's part of the activation store")
    unresolved_hinted: dict[str, int] = Field(
        description="hinted rollouts in which a position could not be resolved, by position and reason"
    )


class TargetAccount(BaseModel):
    """The rows of one target, and what was trained on them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    positives: int = Field(description="rows of the positive class")
    negatives: int = Field(description="rows of the negative class")
    trained: int = Field(0, description="detectors trained")
    unresolved_rows: int = Field(0, description="rows left out because a probed position is not resolved")
    refused: str | None = Field(None, description="why nothing was trained; null where something was")


class ProbeAccount(Account):
    """What the probe stage counted."""

    STAGE: ClassVar[str] = "probe"

    trained: int = Field(description="number of detectors of the main target")
    reliant: int = Field(description="reliant rows")
    aligned: int = Field(description="aligned rows")
    unresolved_rows: int = Field(description="labelled rows left out because a probed position is not resolved")
    targets: dict[str, TargetAccount] = Field(description="the rows of each target")
    graded: int = Field(0, description="items whose reliance probability was predicted")
    graded_refused: str = Field("", description="why no reliance probability was predicted")


class Gap(BaseModel):
    """Mean logit difference of the two runs that are exchanged, nats."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base: float = Field(description="mean logit difference of the run that is patched")
    source: float = Field(description="mean logit difference of the run whose states are put in")


class PatchAccount(Account):
    """What the patch stage counted."""

    STAGE: ClassVar[str] = "patch"

    pairs: int = Field(description="pairs of runs")
    cells: int = Field(description="cells patched, placebos included")
    whole_forwards: int = Field(description="full forward passes")
    work: float = Field(description="compute of the patched cells, in units of a full forward pass")
    unaligned: dict[str, dict[str, int]] = Field(description="pairs that lack a position, by source of the states")
    gaps: dict[str, Gap] = Field(
        default_factory=dict, description="mean logit differences of both runs, by source of the states and direction"
    )
    dropped: dict[str, int] = Field(description="rows that gave no pair, by reason")
    at_letter: dict[str, int] = Field(
        default_factory=dict,
        description="pairs whose completions first differ at the answer's letter, by source of the states",
    )


class MediateAccount(Account):
    """What the mediate stage counted."""

    STAGE: ClassVar[str] = "mediate"

    items: int = Field(description="items read in all four cells")
    chosen: dict[str, int] = Field(description="items chosen, by behaviour")
    draws: int = Field(description="fresh chains of thought per item and condition")
    temperature: float = Field(description="sampling temperature of the fresh chains of thought")
    unread_texts: dict[str, int] = Field(description="fresh chains of thought that cannot be used, by reason")


class DirectionsAccount(Account):
    """What the directions stage counted."""

    STAGE: ClassVar[str] = "directions"

    tested: int = Field(description="probes whose direction was edited")
    dropped: dict[str, int] = Field(description="probes and rows left out, by reason")
    warnings: tuple[str, ...] = Field((), description="probes at a site that no later layer can read")


class CompareAccount(Account):
    """What the compare stage counted."""

    STAGE: ClassVar[str] = "compare"

    detectors: int = Field(description="detectors of the main target")


ACCOUNTS: tuple[type[Account], ...] = (
    GenerateAccount, JudgeAccount, CaptureAccount, ProbeAccount, PatchAccount, MediateAccount, DirectionsAccount,
    CompareAccount,
)  # fmt: skip
"""In the order of the stages."""
