"""Records of the causal side: mediation, attention knockout, directions."""

from typing import Literal

from pydantic import Field

from experiments.records.rollouts import Behaviour, Reach, Record
from probes.names import Control, Keys, Path

Treatment = Literal["hinted", "neutral"]
CutSpan = Literal["hint", "pointer"]
PatchSource = Literal["swapped", "neutral", "unhinted"]
Outcome = Literal["logit_difference", "probability"]


class PatchedCell(Record):
    """One pair with one cell patched; null where the pair lacks the cell."""

    site: str = Field(description="component and layer")
    head: int | None = Field(description="one head of head_z; null for the whole width")
    position: str = Field(description="named position")
    control: Control | None = Field(description="placebo; null for the patch itself")
    metrics: tuple[float, ...] | None = Field(
        description="logit difference (nats), probability of the base run's token, of the source run's, KL divergence "
        "from the base run (nats), and 1 where the answer changed"
    )


class PatchRow(Record):
    """One pair of runs, cell by cell, before anything is averaged."""

    key_fields = ("comparison", "direction", "rollout_id")
    comparison: PatchSource = Field(description="whose states are exchanged with the hinted run's")
    direction: Literal["noising", "denoising"] = Field(description="as in PatchCell")
    rollout_id: str = Field(description="the hinted run")
    base: tuple[float, ...] = Field(description="the same metrics of the run that is patched, untouched")
    source: tuple[float, ...] = Field(description="and of the run whose states are put in")
    cells: tuple[PatchedCell, ...] = Field(description="every cell of the grid, in its order")


class CutRow(Record):
    """One fresh completion with attention cut along one path, before anything is averaged."""

    key_fields = ("item_id", "behaviour", "span", "path", "keys")
    item_id: str = Field(description="the item")
    behaviour: Behaviour = Field(description="behaviour of its hinted rollout, by which it was chosen")
    span: CutSpan = Field(description="as in KnockoutEffect")
    path: Path = Field(description="as in KnockoutEffect")
    keys: Keys = Field(description="as in KnockoutEffect")
    has_text: bool = Field(description="tokens stand before the answer part")
    untouched: float = Field(description="logit difference of h, in nats, nothing cut and the text fixed")
    cut: float | None = Field(description="the same with the path cut; null where it holds no token")
    before: str | None = Field(description="answer of the completion as it was drawn")
    answer: str | None = Field(description="answer where it is drawn again with the path cut")


class DirectionRow(Record):
    """One item completed again under one edit, before anything is averaged."""

    key_fields = ("item_id", "behaviour", "detector", "edit", "direction", "scale", "draw")
    item_id: str = Field(description="the item")
    behaviour: Behaviour = Field(description="behaviour of its hinted rollout, by which it was chosen")
    detector: str = Field(description="detector whose direction it is")
    edit: Literal["none", "ablate", "mean", "add"] = Field(description="as in DirectionEffect")
    direction: Literal["probe", "random", "permuted"] = Field(description="as in DirectionEffect, one direction a row")
    scale: float | None = Field(description="as in DirectionEffect")
    draw: int = Field(description="number of the direction among those of its kind, from 0")
    answer: str | None = Field(description="answer; null where none could be read")
    verbalized: bool | None = Field(description="it admits to the hint; null where that could not be scored")


class MediationRow(Record):
    """One item in its four cells."""

    key_fields = ("item_id", "behaviour", "treatment")
    item_id: str = Field(description="the item")
    behaviour: Behaviour = Field(description="behaviour of its hinted rollout, by which it was chosen")
    treatment: Treatment = Field(description="prompt set against the unhinted one; `neutral` is the placebo")
    draws: tuple[int, ...] = Field(description="CoTs read: of the unhinted prompt, of the treated prompt")
    logit_difference: tuple[float, ...] = Field(
        description="logit(h) less that of the unhinted answer (where that is h, of the strongest other option), nats; "
        "cells (prompt, CoT) = (unhinted, unhinted), (unhinted, treated), (treated, unhinted), (treated, treated)"
    )
    probability: tuple[float, ...] = Field(description="probability of h in the same cells")


class MediationEffect(Record):
    """One effect, averaged over the items of one behaviour."""

    behaviour: Behaviour = Field(description="which items")
    treatment: Treatment = Field(description="prompt set against the unhinted one; `neutral` is the placebo")
    outcome: Outcome = Field(description="logit difference in nats, or probability of h")
    effect: str = Field(
        description="`total`; `pure_direct`, `total_direct` (past the text); `pure_text`, `total_text` (through it); "
        "`interaction`"
    )
    n: int = Field(description="items")
    value: float = Field(description="mean over items")
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end")
    share: float | None = Field(
        description="of the total effect; null unless the total reaches `probes.estimates.LEAST_TOTAL` (0.05 of "
        "probability, 0.2 nats) and its interval excludes zero"
    )
    share_low: float | None = Field(description="lower end of the share's interval")
    share_high: float | None = Field(description="upper end")
    no_share: str = Field("", description="why there is no share; empty where there is, and for the total itself")


class KnockoutEffect(Record):
    """What the answer loses when attention to the hint is taken from one part of the sequence, the text fixed."""

    behaviour: Behaviour = Field(description="which items")
    span: CutSpan = Field(description="whose keys are taken away: the hint, or the letter or mark in it")
    path: Path = Field(
        description="later tokens that lose them: `prompt` (the rest of it), `text` (the CoT), `answer`, `everything`"
    )
    keys: Keys = Field(description="`span`, or the `placebo`: as many other tokens nearby, the same queries")
    n: int = Field(description="completions")
    value: float = Field(description="mean drop of the logit difference of h, in nats")
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end")


class Redrawn(Record):
    """What items answer when they are completed again with the model edited."""

    behaviour: Behaviour = Field(description="which items")
    n: int = Field(description="completions")
    to_hint: float = Field(description="share that answers h")
    to_own: float = Field(description="share that gives the unhinted answer, where that is not h")
    off_target: float = Field(description="share that gives any other answer")
    unparsed: float = Field(description="share without an answer that could be read")
    flips: float = Field(description="share whose answer is not that of the same completion without the edit")
    flips_low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval of `flips`")
    flips_high: float | None = Field(description="upper end")


class CutRedrawn(Redrawn):
    """Answers when the text is written again while attention to the hint is cut."""

    span: CutSpan = Field(description="as in KnockoutEffect")
    path: Path = Field(description="as in KnockoutEffect")
    keys: Keys = Field(description="as in KnockoutEffect")


class DirectionEffect(Redrawn):
    """Answers when a probe's direction is taken out of the stream, or added to it."""

    detector: str = Field(description="detector whose direction it is")
    site: str = Field(description="site that is edited")
    position: str = Field(description="position that the probe reads")
    reach: Reach = Field(
        "onward", description="edited from the position on, new tokens included, or at that token alone"
    )
    edit: Literal["none", "ablate", "mean", "add"] = Field(
        description="`none` are the rollouts as they were; ablate: what lies along the direction is taken out; mean: "
        "it is set to its mean over reliant and aligned rows"
    )
    direction: Literal["probe", "random", "permuted"] = Field(
        description="`random`: as long and orthogonal; `permuted`: as long, of the same probe trained on permuted "
        "labels; both pooled over draws"
    )
    scale: float | None = Field(
        description="of `add`, in units of the distance between reliant and aligned rows along the probe's direction"
    )
    verbalized: float | None = Field(description="share that admits to the hint, of those that could be scored")


class SubspaceEffect(Record):
    """What patching a part of one state from the neutral into the hinted run takes from the logit difference."""

    detector: str = Field(description="detector whose direction it is")
    site: str = Field(description="site that is patched")
    position: str = Field(description="position that is patched")
    part: Literal["full", "direction", "row_space", "null_space", "random"] = Field(
        description="the whole state; along the direction; along the part of it that the readout depends on to first "
        "order; along the rest; along an orthogonal random direction"
    )
    n: int = Field(description="pairs")
    gap: float = Field(description="mean logit difference between the two runs, in nats")
    value: float = Field(description="mean drop of the hinted run's logit difference, in nats")
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end")
    in_row_space: float = Field(description="share of the direction's squared length in the row space")


class PatchRedrawn(Record):
    """What the model goes on to say when its hinted prompt is read under a patch: the text is written anew."""

    comparison: PatchSource = Field(description="whose states are put into the hinted run")
    site: str | None = Field(description="component and layer; null: nothing was patched")
    head: int | None = Field(description="one head of head_z; null for the whole width")
    position: str | None = Field(description="named position in the prompt; null: nothing was patched")
    n: int = Field(description="pairs that have the cell")
    to_target: float | None = Field(description="share that answers h; the hinted runs of all pairs did")
    low: float | None = Field(description="lower end of its 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end")
    to_source: float | None = Field(description="share that answers as the source run did")
    unparsed: float | None = Field(description="share without a parsed answer")


NEAR = 3
"""Tokens before the readout from which on a position counts as away from it."""


class PatchCell(Record):
    """What replacing one site at one position did, over all pairs of a comparison."""

    comparison: PatchSource = Field(description="whose states are exchanged with the hinted run's")
    direction: Literal["noising", "denoising"] = Field(
        description="noising: the other run's states in the hinted run; denoising: the hinted run's in the other"
    )
    site: str = Field(description="component and layer")
    head: int | None = Field(description="one head of head_z; null for the whole width")
    position: str = Field(description="named position")
    diverges: Literal["all", "letter", "other"] = Field(
        "all",
        description="over which pairs: all, those whose completions part at the letter of the answer, or elsewhere",
    )
    to_readout: float | None = Field(
        None, description="median tokens from the position to the one that is read from; 0: the readout itself"
    )
    control: Control | None = Field(
        description="placebo: other positions as far from the readout, another question's states, or random directions "
        "of the same length; null for the patch itself"
    )
    recovery: float | None = Field(
        description="share of the logit-difference gap closed, a ratio of means over pairs; null where no pair counts"
    )
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end")
    probability: float | None = Field(description="the same share for the probability of the base run's token")
    kl: float | None = Field(description="mean KL divergence from the base run's next-token distribution, nats")
    flips: float | None = Field(description="share of pairs whose preferred token changed sides")
    n: int = Field(description="pairs that count")
    small_gap: int = Field(description="pairs left out because the two runs differ by less than `patch.least_gap`")
    unpatched: int = Field(description="pairs left out because they lack the cell (no partner token)")

    @property
    def away_from_readout(self) -> bool:
        """Whether it is neither the readout nor one of the two tokens before it, which hold what is read anyway."""
        near = self.to_readout is not None and self.to_readout < NEAR
        return not near and not self.position.startswith("readout")


CAUSAL_RECORDS: tuple[type[Record], ...] = (
    PatchRow, PatchedCell, MediationRow, MediationEffect, CutRow, KnockoutEffect, CutRedrawn, DirectionRow,
    DirectionEffect, SubspaceEffect, PatchRedrawn,
)  # fmt: skip
