"""Records of the causal side: mediation, attention knockout, directions."""

from typing import Literal

from pydantic import Field

from experiments.records import Behaviour, Record

Treatment = Literal["hinted", "neutral"]
Outcome = Literal["logit_difference", "probability"]


class MediationRow(Record):
    """One item in its four cells."""

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
    share: float | None = Field(description="of the total effect; None unless the total's interval excludes zero")
    share_low: float | None = Field(description="lower end of the share's interval")
    share_high: float | None = Field(description="upper end")


CAUSAL_RECORDS: tuple[type[Record], ...] = (MediationRow, MediationEffect)
