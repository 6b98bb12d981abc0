"""Causal mediation: how much of a prompt's effect on the answer travels through the text that follows it.

The treatment is the prompt (treated or control), the mediator is the text written after it, the outcome is read at the
answer. Each item is read in all four cells of {prompt} × {text of the treated, of the control run}. Total, pure and
total natural effects after Robins & Greenland (1992) and Pearl (2001, section 3); for language models, Vig et al.
(2020). Writing y(p, t) for the outcome with prompt p and text t, 1 for treated and 0 for control:

- total effect: y(1, 1) - y(0, 0)
- pure direct: y(1, 0) - y(0, 0); total direct: y(1, 1) - y(0, 1)
- pure text-mediated: y(0, 1) - y(0, 0); total text-mediated: y(1, 1) - y(1, 0)
- interaction: y(1, 1) - y(1, 0) - y(0, 1) + y(0, 0)

Total = pure direct + total text-mediated = total direct + pure text-mediated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from activations import LoadedModel
from activations.errors import HintprobeError
from probes.arrays import Array
from probes.bootstrap import DIFFERENCE, cluster_bootstrap
from probes.estimates import LEAST_TOTAL, Estimate, Scale
from probes.readout import Options, read_options

Effect = Literal["total", "pure_direct", "total_direct", "pure_text", "total_text", "interaction"]
SHARED: tuple[Effect, ...] = ("pure_direct", "total_direct", "pure_text", "total_text", "interaction")
"""Effects that are also given as shares of the total."""


@dataclass(frozen=True)
class Continuation:
    """Text after a prompt, cut just before the answer.

    Attributes:
        ids: token ids.
        options: the token by which the text would go on, per option.
    """

    ids: tuple[int, ...]
    options: tuple[int, ...]


@dataclass(frozen=True)
class MediationItem:
    """Two prompts, and texts drawn from each.

    Attributes:
        treated, control: token ids of the two prompts.
        treated_texts, control_texts: continuations drawn under each; at least one a side.
        target: index of the option that the treatment should favour.
        against: index of the option it is measured against; None takes the strongest other option of the control cell.
        group: items of a group are resampled together.
    """

    treated: tuple[int, ...]
    control: tuple[int, ...]
    treated_texts: tuple[Continuation, ...]
    control_texts: tuple[Continuation, ...]
    target: int
    against: int | None
    group: str

    def __post_init__(self) -> None:
        if not self.treated_texts or not self.control_texts:
            raise HintprobeError(
                f"A mediation item has {len(self.treated_texts)} treated and {len(self.control_texts)} control texts; "
                "it needs one or more of each."
            )
        if self.target == self.against:
            raise HintprobeError("A mediation item measures an option against itself, so nothing can be read.")


@dataclass(frozen=True)
class MediationCells:
    """Outcomes, averaged over each side's texts; ``[item, prompt, text]`` with 0 for control and 1 for treated.

    Attributes:
        logit_difference: logit of the target less that of the option it is measured against, in nats.
        probability: of the target's token, over the whole vocabulary.
        groups: per item.
    """

    logit_difference: Array
    probability: Array
    groups: tuple[str, ...]


def effects_of(cells: Array) -> dict[Effect, Array]:
    """Effects per item from outcomes ``[item, prompt, text]``."""
    y00, y01, y10, y11 = cells[:, 0, 0], cells[:, 0, 1], cells[:, 1, 0], cells[:, 1, 1]
    return {
        "total": y11 - y00,
        "pure_direct": y10 - y00,
        "total_direct": y11 - y01,
        "pure_text": y01 - y00,
        "total_text": y11 - y10,
        "interaction": y11 - y10 - y01 + y00,
    }


@dataclass(frozen=True)
class Decomposition:
    """Effects on average over items.

    Attributes:
        effects: each with its interval.
        shares: of the total, as ratios of means; None where the total does not matter.
        no_shares: why there are no shares; empty where there are.
    """

    effects: dict[Effect, Estimate]
    shares: dict[Effect, Estimate] | None
    no_shares: str = ""


def decompose(
    cells: Array, groups: Sequence[str], n_resamples: int, rng: np.random.Generator, outcome: Scale
) -> Decomposition:
    """Average the effects over items.

    Args:
        cells: outcomes ``[item, prompt, text]``.
        n_resamples: cluster-bootstrap resamples over groups.
        outcome: what the cells hold; its total has to reach :data:`probes.estimates.LEAST_TOTAL` to be shared out.
    """
    by_item = effects_of(cells)
    bootstrap = cluster_bootstrap(groups, n_resamples, rng)
    limits = DIFFERENCE if outcome == "probability" else None
    effects = {name: bootstrap.mean(values, limits) for name, values in by_item.items()}
    if limits:
        effects["interaction"] = bootstrap.mean(by_item["interaction"], (-2.0, 2.0))  # a difference of two differences
    if reason := _no_shares(effects["total"], bootstrap.n_groups(), LEAST_TOTAL[outcome]):
        return Decomposition(effects, None, reason)
    return Decomposition(effects, {name: bootstrap.ratio(by_item[name], by_item["total"]) for name in SHARED})


def _no_shares(total: Estimate, n_groups: int, least: float) -> str:
    """Why a total is not shared out; empty where it is."""
    if abs(total.value) < least:
        return f"the total effect is {total.value:.2g}, under the least one that is shared out, {least:g}"
    if total.low is None:
        return f"the total effect of {n_groups} groups has no interval"
    return "" if total.excludes_zero else "the interval of the total effect holds zero"


@dataclass(frozen=True)
class _Row:
    """One forward: which item, prompt and side's text."""

    item: int
    prompt: int
    side: int
    text: Continuation

    def ids(self, items: Sequence[MediationItem]) -> tuple[int, ...]:
        item = items[self.item]
        return (item.treated if self.prompt else item.control) + self.text.ids


def _rows(items: Sequence[MediationItem]) -> list[_Row]:
    return [
        _Row(index, prompt, side, text)
        for index, item in enumerate(items)
        for side, texts in enumerate((item.control_texts, item.treated_texts))
        for text in texts
        for prompt in (0, 1)
    ]


def _runners_up(items: Sequence[MediationItem], rows: Sequence[_Row], read: Options) -> list[int]:
    """The option each item is measured against: as given, else the strongest other one of its control cell."""
    found = []
    for index, item in enumerate(items):
        if item.against is not None:
            found.append(item.against)
            continue
        chosen = [k for k, row in enumerate(rows) if (row.item, row.prompt, row.side) == (index, 0, 0)]
        strength = read.logits[chosen].mean(0)
        strength[item.target] = -np.inf
        found.append(int(strength.argmax()))
    return found


def mediate(loaded: LoadedModel, items: Sequence[MediationItem], token_budget: int = 32_768) -> MediationCells:
    """Read every item in its four cells, each text under both prompts.

    Raises:
        HintprobeError: no items.
    """
    if not items:
        raise HintprobeError("There are no items to mediate.")
    rows = _rows(items)
    read = read_options(loaded, [row.ids(items) for row in rows], [row.text.options for row in rows], token_budget)
    against = _runners_up(items, rows, read)
    difference = read.difference([items[r.item].target for r in rows], [against[r.item] for r in rows])
    probability = read.probability([items[r.item].target for r in rows])
    return MediationCells(
        _averaged(rows, difference, len(items)),
        _averaged(rows, probability, len(items)),
        tuple(item.group for item in items),
    )


def _averaged(rows: Sequence[_Row], values: Array, n_items: int) -> Array:
    """Mean over a side's texts, ``[item, prompt, text]``."""
    sums, counts = np.zeros((n_items, 2, 2)), np.zeros((n_items, 2, 2))
    for row, value in zip(rows, values, strict=True):
        sums[row.item, row.prompt, row.side] += value
        counts[row.item, row.prompt, row.side] += 1
    means: Array = sums / counts
    return means
