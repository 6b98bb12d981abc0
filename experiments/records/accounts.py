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
    swapped: int = Field(description="of these, items with a swapped prompt")
    swapped_of_other_length: int = Field(description="swapped prompts of another length than the hinted one")
    neutral_of_other_length: int = Field(description="neutral prompts of another length than the hinted one")
    neutral_mean_difference: float = Field(description="mean length of the neutral prompt less the hinted one's")


class ParseRate(Record):
    """Completions of one condition, kind and direction."""

    condition: Condition = Field(description="unhinted, hinted, swapped or neutral")
    kind: Kind = Field(description="kind of hint of the items")
    direction: Direction = Field(description="direction of the hint")
    rollouts: int = Field(description="completions")
    parsed: int = Field(description="completions that state an answer")
    cut_off: int = Field(description="of those without an answer, the ones cut by the token limit")
    forced: int = Field(description="of those without an answer, the ones whose answer was forced")

    @property
    def rate(self) -> float:
        """Share that states an answer."""
        return self.parsed / self.rollouts


class GenerateAccount(Account):
    """What the generate stage counted."""

    STAGE: ClassVar[str] = "generate"

    questions: int = Field(description="questions asked")
    items: int = Field(description="items planned: question × kind × direction × wording")
    items_answered_unhinted: int = Field(description="items that stopped after the unhinted pass (`hints.keep`)")
    rollouts: int = Field(description="rollouts of all conditions")
    unparsed: int = Field(description="rollouts without a parsed answer")
    forced: int = Field(0, description="of these, rollouts whose answer was forced (`generate.forced_answer`)")
    parse_rates: tuple[ParseRate, ...] = Field((), description="answers stated, by condition, kind and direction")
    truncated: int = Field(description="rollouts cut by the token limit")
    empty: int = Field(description="rollouts whose completion is empty")
    ended_otherwise: int = Field(description="rollouts that a server ended for reasons of its own")
    without_swap_target: int = Field(description="items without an option left for the swapped hint")
    swapped_of_other_length: int = Field(description="swapped prompts of another token length than the hinted one")
    neutral_of_other_length: int = Field(description="neutral prompts of another token length than the hinted one")
    lengths_by_kind: dict[str, KindLengths] = Field(description="the same by kind of hint")
    completion_ids_from: dict[str, int] = Field(description="rollouts by where their token ids come from")
    engine: dict[str, Any] = Field(description="what the engine says of itself: its name, and a server's findings")
    dropped_questions: dict[str, int] = Field(description="questions left out before anything was asked, by reason")


class JudgeAccount(Account):
    """What the judge stage counted."""

    STAGE: ClassVar[str] = "judge"

    reliant: int = Field(description="hinted rollouts labelled reliant")
    aligned: int = Field(description="hinted rollouts labelled aligned")
    overdetermined: int = Field(description="hinted rollouts labelled overdetermined")
    resisted: int = Field(description="hinted rollouts labelled resisted")
    ambiguous: int = Field(description="hinted rollouts labelled ambiguous")
    verbalized: int = Field(description="hinted rollouts that the first judge calls verbalized")
    unscored: int = Field(description="verdicts of the first judge without a score")
    unreached: int = Field(
        default=0, description="verdicts that a judge's server did not give; the next run asks for them again"
    )
    spent: dict[str, dict[str, float]] = Field(description="per judge, requests, tokens and cost")


class CaptureAccount(Account):
    """What the capture stage counted."""

    STAGE: ClassVar[str] = "capture"

    rollouts: int = Field(description="rollouts captured")
    positions: int = Field(description="token positions asked for")
    written: int = Field(description="token positions computed and written now")
    reused: int = Field(description="token positions that the store had")
    sites: tuple[str, ...] = Field(description="sites captured, such as `resid_post.3`")
    store: str = Field(description="folder of this model's part of the activation store")
    unresolved_hinted: dict[str, int] = Field(description="hinted rollouts without a position, by position and reason")


class TargetAccount(BaseModel):
    """The rows of one target, and what was trained on them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    positives: int = Field(description="rows of the positive class")
    negatives: int = Field(description="rows of the negative class")
    trained: int = Field(0, description="detectors trained")
    unresolved_rows: int = Field(0, description="rows without one of the probed positions")
    refused: str | None = Field(None, description="why nothing was trained")


class ProbeAccount(Account):
    """What the probe stage counted."""

    STAGE: ClassVar[str] = "probe"

    trained: int = Field(description="detectors of the main target")
    reliant: int = Field(description="reliant rows")
    aligned: int = Field(description="aligned rows")
    unresolved_rows: int = Field(description="labelled rows without one of the probed positions")
    targets: dict[str, TargetAccount] = Field(description="per target, its rows")
    graded: int = Field(0, description="items whose reliance probability was predicted")
    graded_refused: str = Field("", description="why none was")


class Gap(BaseModel):
    """Mean logit difference of the two runs that are exchanged, nats."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base: float = Field(description="of the run that is patched")
    source: float = Field(description="of the run whose states are put in")


class PatchAccount(Account):
    """What the patch stage counted."""

    STAGE: ClassVar[str] = "patch"

    pairs: int = Field(description="pairs of runs")
    cells: int = Field(description="cells patched, placebos included")
    whole_forwards: int = Field(description="whole forwards")
    work: float = Field(description="forwards that the patched cells took, in units of a whole one")
    unaligned: dict[str, dict[str, int]] = Field(description="per source of states, pairs that lack a position")
    gaps: dict[str, Gap] = Field(
        default_factory=dict, description="per source and direction, how far the runs are apart"
    )
    dropped: dict[str, int] = Field(description="rows that made no pair, by reason")
    at_letter: dict[str, int] = Field(
        default_factory=dict, description="per source of states, pairs whose completions part at the answer's letter"
    )


class MediateAccount(Account):
    """What the mediate stage counted."""

    STAGE: ClassVar[str] = "mediate"

    items: int = Field(description="items in their four cells")
    chosen: dict[str, int] = Field(description="items chosen, by behaviour")
    draws: int = Field(description="fresh chains of thought per item and condition")
    temperature: float = Field(description="sampling temperature of the fresh chains of thought")
    unread_texts: dict[str, int] = Field(description="fresh chains of thought that cannot be used, by reason")


class DirectionsAccount(Account):
    """What the directions stage counted."""

    STAGE: ClassVar[str] = "directions"

    tested: int = Field(description="probes whose direction was edited")
    dropped: dict[str, int] = Field(description="probes and rows left out, by reason")
    warnings: tuple[str, ...] = Field((), description="probes whose site nothing later can read")


class CompareAccount(Account):
    """What the compare stage counted."""

    STAGE: ClassVar[str] = "compare"

    detectors: int = Field(description="detectors of the main target")


ACCOUNTS: tuple[type[Account], ...] = (
    GenerateAccount, JudgeAccount, CaptureAccount, ProbeAccount, PatchAccount, MediateAccount, DirectionsAccount,
    CompareAccount,
)  # fmt: skip
"""In the order of the stages."""
