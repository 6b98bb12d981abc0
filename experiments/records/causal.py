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
        description="logit difference (nats), probability of the base run's token, probability of the source "
        "run's token, KL divergence from the base run (nats), and 1 where the answer changed"
    )


class PatchRow(Record):
    """One pair of runs, cell by cell, before anything is averaged."""

    key_fields = ("comparison", "direction", "rollout_id")
    comparison: PatchSource = Field(description="whose states are exchanged with the hinted run's")
    direction: Literal["noising", "denoising"] = Field(description="as in PatchCell")
    rollout_id: str = Field(description="the hinted run")
    base: tuple[float, ...] = Field(
        description="the metrics of PatchedCell for the run that is patched, without a patch"
    )
    source: tuple[float, ...] = Field(description="the same metrics for the run whose states are put in")
    cells: tuple[PatchedCell, ...] = Field(description="every cell of the grid, in the grid's order")


class CutRow(Record):
    """One fresh completion with attention cut along one path, before anything is averaged."""

    key_fields = ("item_id", "behaviour", "span", "path", "keys")
    item_id: str = Field(description="the item")
    behaviour: Behaviour = Field(description="behaviour of the item's hinted rollout, by which the item was chosen")
    span: CutSpan = Field(description="as in KnockoutEffect")
    path: Path = Field(description="as in KnockoutEffect")
    keys: Keys = Field(description="as in KnockoutEffect")
    has_text: bool = Field(description="there are tokens before the answer part")
    untouched: float = Field(description="logit difference of h in nats, with the text fixed and nothing cut")
    cut: float | None = Field(description="the same with attention cut on the path; null where the path has no token")
    before: str | None = Field(description="answer of the completion as it was first sampled")
    answer: str | None = Field(description="answer of the completion sampled again with attention cut on the path")


class DirectionRow(Record):
    """One item completed again under one edit, before anything is averaged."""

    key_fields = ("item_id", "behaviour", "detector", "edit", "direction", "scale", "draw")
    item_id: str = Field(description="the item")
    behaviour: Behaviour = Field(description="behaviour of the item's hinted rollout, by which the item was chosen")
    detector: str = Field(description="detector whose direction is edited")
    edit: Literal["none", "ablate", "mean", "add"] = Field(description="as in DirectionEffect")
    direction: Literal["probe", "random", "permuted"] = Field(
        description="as in DirectionEffect, one direction per row"
    )
    scale: float | None = Field(description="as in DirectionEffect")
    draw: int = Field(description="number of the direction among those of the same type, from 0")
    answer: str | None = Field(description="answer; null where none could be parsed")
    verbalized: bool | None = Field(
        description="the completion admits that it relied on the hint; null where that could not be scored"
    )


class MediationRow(Record):
    """One item in its four cells."""

    key_fields = ("item_id", "behaviour", "treatment")
    item_id: str = Field(description="the item")
    behaviour: Behaviour = Field(description="behaviour of the item's hinted rollout, by which the item was chosen")
    treatment: Treatment = Field(description="prompt compared with the unhinted prompt; `neutral` is the placebo")
    draws: tuple[int, ...] = Field(description="number of CoTs read: of the unhinted prompt, of the treated prompt")
    logit_difference: tuple[float, ...] = Field(
        description="logit(h) minus logit of the unhinted answer (if that is h, of the strongest other "
        "option), nats; cells (prompt, CoT) = (unhinted, unhinted), (unhinted, treated), (treated, unhinted), "
        "(treated, treated)"
    )
    probability: tuple[float, ...] = Field(description="probability of h in the same cells")


class MediationEffect(Record):
    """One effect, averaged over the items of one behaviour."""

    behaviour: Behaviour = Field(description="behaviour of the items")
    treatment: Treatment = Field(description="prompt compared with the unhinted prompt; `neutral` is the placebo")
    outcome: Outcome = Field(description="logit difference in nats, or probability of h")
    effect: str = Field(
        description="`total`; `pure_direct`, `total_direct` (not through the text); `pure_text`, "
        "`total_text` (through the text); `interaction`"
    )
    n: int = Field(description="number of items")
    value: float = Field(description="mean over items")
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end of the interval")
    share: float | None = Field(
        description="share of the total effect; null unless the total reaches `probes.estimates.LEAST_TOTAL` "
        "(0.05 of probability, 0.2 nats) and its interval excludes zero"
    )
    share_low: float | None = Field(description="lower end of the share's interval")
    share_high: float | None = Field(description="upper end of the share's interval")
    no_share: str = Field("", description="why there is no share; empty where there is one, and for the total itself")


class KnockoutEffect(Record):
    """What the answer loses when attention to the hint is taken from one part of the sequence, the text fixed."""

    behaviour: Behaviour = Field(description="behaviour of the items")
    span: CutSpan = Field(description="keys that can no longer be attended to: the hint, or the letter or mark in it")
    path: Path = Field(
        description="later tokens that can no longer attend to them: `prompt` (the rest of the prompt), "
        "`text` (the CoT), `answer`, `everything`"
    )
    keys: Keys = Field(
        description="`span`, or the `placebo`: the same number of other tokens nearby, with the same queries"
    )
    n: int = Field(description="number of completions")
    value: float = Field(description="mean drop of the logit difference of h, in nats")
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end of the interval")


class Redrawn(Record):
    """What items answer when they are completed again with the model edited."""

    behaviour: Behaviour = Field(description="behaviour of the items")
    n: int = Field(description="number of completions")
    to_hint: float = Field(description="share that answers h")
    to_own: float = Field(description="share that gives the unhinted answer, where that is not h")
    off_target: float = Field(description="share that gives any other answer")
    unparsed: float = Field(description="share without a parsed answer")
    flips: float = Field(description="share whose answer differs from that of the same completion without the edit")
    flips_low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval of `flips`")
    flips_high: float | None = Field(description="upper end of that interval")


class CutRedrawn(Redrawn):
    """Answers when the text is written again while attention to the hint is cut."""

    span: CutSpan = Field(description="as in KnockoutEffect")
    path: Path = Field(description="as in KnockoutEffect")
    keys: Keys = Field(description="as in KnockoutEffect")


class DirectionEffect(Redrawn):
    """Answers when a probe's direction is taken out of the stream, or added to it."""

    detector: str = Field(description="detector whose direction is edited")
    site: str = Field(description="site that is edited")
    position: str = Field(description="position that the probe reads")
    reach: Reach = Field(
        "onward",
        description="`onward`: all tokens from the position on are edited, new ones included; `token`: only "
        "the token at the position",
    )
    edit: Literal["none", "ablate", "mean", "add"] = Field(
        description="`none`: the rollouts without an edit; `ablate`: the component along the direction is "
        "removed; `mean`: it is set to its mean over reliant and aligned rows; `add`: a multiple of the "
        "direction is added"
    )
    direction: Literal["probe", "random", "permuted"] = Field(
        description="`probe`: the probe's own; `random`: orthogonal to it and of the same length; "
        "`permuted`: of the same length, from the same probe trained on permuted labels. The last two are "
        "pooled over draws"
    )
    scale: float | None = Field(
        description="size of the vector in `add`, in units of the distance between reliant and aligned rows "
        "along the probe's direction"
    )
    verbalized: float | None = Field(
        description="share of the scored completions that admit that they relied on the hint"
    )


class SubspaceEffect(Record):
    """What patching a part of one state from the neutral into the hinted run takes from the logit difference."""

    detector: str = Field(description="detector whose direction is patched")
    site: str = Field(description="site that is patched")
    position: str = Field(description="position that is patched")
    part: Literal["full", "direction", "row_space", "null_space", "random"] = Field(
        description="what is patched: the whole state (full); its component along the direction; along the "
        "part of the direction that the readout depends on to first order (row_space); along the rest of the "
        "direction (null_space); or along an orthogonal random direction"
    )
    n: int = Field(description="number of pairs")
    gap: float = Field(description="mean logit difference between the two runs, in nats")
    value: float = Field(description="mean drop of the hinted run's logit difference, in nats")
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end of the interval")
    in_row_space: float = Field(description="share of the direction's squared length that lies in the row space")


class PatchRedrawn(Record):
    """What the model goes on to say when its hinted prompt is read under a patch: the text is written anew."""

    comparison: PatchSource = Field(description="whose states are put into the hinted run")
    site: str | None = Field(description="component and layer; null: nothing was patched")
    head: int | None = Field(description="one head of head_z; null for the whole width")
    position: str | None = Field(description="named position in the prompt; null: nothing was patched")
    n: int = Field(description="pairs that have the cell")
    to_target: float | None = Field(description="share that answers h; the hinted run of every pair answers h")
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval of `to_target`")
    high: float | None = Field(description="upper end of that interval")
    to_source: float | None = Field(description="share that gives the answer of the source run")
    unparsed: float | None = Field(description="share without a parsed answer")


NEAR = 3
"""Tokens before the readout from which on a position counts as away from it."""


class PatchCell(Record):
    """What replacing one site at one position did, over all pairs of a comparison."""

    comparison: PatchSource = Field(description="whose states are exchanged with the hinted run's")
    direction: Literal["noising", "denoising"] = Field(
        description="noising: the other run's states are put into the hinted run; denoising: the hinted "
        "run's states are put into the other"
    )
    site: str = Field(description="component and layer")
    head: int | None = Field(description="one head of head_z; null for the whole width")
    position: str = Field(description="named position")
    diverges: Literal["all", "letter", "other"] = Field(
        "all",
        description="which pairs: all, those whose completions first differ at the letter of the answer "
        "(letter), or elsewhere (other)",
    )
    to_readout: float | None = Field(
        None, description="median number of tokens from the position to the readout; 0: the readout itself"
    )
    control: Control | None = Field(
        description="placebo: other positions at the same distance from the readout, another question's "
        "states, or random directions of the same length; null for the patch itself"
    )
    recovery: float | None = Field(
        description="share of the logit-difference gap that the patch closes, a ratio of means over pairs; "
        "null where no pair counts"
    )
    low: float | None = Field(description="lower end of the 95% cluster-bootstrap interval")
    high: float | None = Field(description="upper end of the interval")
    probability: float | None = Field(description="the same share for the probability of the base run's token")
    kl: float | None = Field(description="mean KL divergence from the base run's next-token distribution, nats")
    flips: float | None = Field(
        description="share of pairs whose answer under the patch differs from that of the base run"
    )
    n: int = Field(description="pairs in the figures")
    small_gap: int = Field(description="pairs left out because the two runs differ by less than `patch.least_gap`")
    unpatched: int = Field(description="pairs left out because they lack the cell (no corresponding token)")

    @property
    def away_from_readout(self) -> bool:
        """Whether it is neither the readout nor one of the two tokens before it, which hold what is read anyway."""
        near = self.to_readout is not None and self.to_readout < NEAR
        return not near and not self.position.startswith("readout")


CAUSAL_RECORDS: tuple[type[Record], ...] = (
    PatchRow, PatchedCell, MediationRow, MediationEffect, CutRow, KnockoutEffect, CutRedrawn, DirectionRow,
    DirectionEffect, SubspaceEffect, PatchRedrawn,
)  # fmt: skip
