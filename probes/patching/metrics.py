"""What is read off patched logits, and how it is normalised.

Heimersheim & Nanda 2024 (arXiv 2404.15255, sections 3 and 4) for the choice of metric and of direction.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.arrays import Array
from probes.bootstrap import Bootstrap

Metric = Literal["logit_difference", "probability", "source_probability", "kl", "flip"]
METRICS: tuple[Metric, ...] = ("logit_difference", "probability", "source_probability", "kl", "flip")


@dataclass(frozen=True)
class Reference:
    """What patched runs of some pairs are held against: the unpatched base runs' predictions.

    Attributes:
        probabilities: of the next token, ``[pair, vocabulary]``.
        negentropy: sum of p log p, ``[pair]``.
        tokens: base and source token, ``[pair, 2]``.
        answers: per pair, tokens among which the answer is chosen.
        answered: index of the base run's answer among them, ``[pair]``.
    """

    probabilities: Float[Tensor, "pair vocabulary"]
    negentropy: Float[Tensor, "pair"]
    tokens: Int[Tensor, "pair 2"]
    answers: list[tuple[int, ...]]
    answered: list[int]

    @classmethod
    def of(
        cls, logits: Float[Tensor, "pair vocabulary"], tokens: Int[Tensor, "pair 2"], answers: list[tuple[int, ...]]
    ) -> "Reference":
        """From the base runs' logits."""
        log = logits.log_softmax(-1)
        probabilities = log.exp()
        answered = [int(row[list(among)].argmax()) for row, among in zip(logits, answers, strict=True)]
        return cls(probabilities, (probabilities * log).sum(-1), tokens.to(logits.device), answers, answered)


def measure(logits: Float[Tensor, "cell vocabulary"], reference: Reference, pairs: list[int]) -> dict[Metric, Array]:
    """Every metric of some runs.

    Args:
        pairs: which of the reference's pairs each run belongs to.

    Returns:
        ``logit_difference``: logit(base token) - logit(source token), nats; ``probability`` of the base token and
        ``source_probability`` of the source token over the whole vocabulary; ``kl``: KL(base run ‖ this run), nats;
        ``flip``: 1 where the answer is another than the base run's. Each ``[cell]``.
    """
    index = torch.tensor(pairs, device=logits.device)
    total = logits.logsumexp(-1)
    chosen = logits.gather(1, reference.tokens[index])
    if len(reference.probabilities) == 1:
        expected = logits @ reference.probabilities[0]
    else:
        expected = torch.linalg.vecdot(logits, reference.probabilities[index])
    flips = [
        float(int(row[list(reference.answers[pair])].argmax()) != reference.answered[pair])
        for row, pair in zip(logits, pairs, strict=True)
    ]
    found: dict[Metric, Tensor] = {
        "logit_difference": chosen[:, 0] - chosen[:, 1],
        "probability": (chosen[:, 0] - total).exp(),
        "source_probability": (chosen[:, 1] - total).exp(),
        "kl": (reference.negentropy[index] - expected + total).clamp(min=0),
        "flip": torch.tensor(flips),
    }
    return {name: values.double().cpu().numpy() for name, values in found.items()}


@dataclass(frozen=True)
class Recovery:
    """How much of the gap between two runs a cell closes: 0 nothing, 1 all of it.

    Attributes:
        ratio: mean(base - patched) / mean(base - source) over pairs.
        low, high: ends of its 95% cluster-bootstrap interval; None where it is not defined.
        items: per pair, (base - patched) / (base - source); NaN where left out. ``[pair]``
        n: pairs that count.
        small_gap: pairs left out because |base - source| is under the least gap.
        unpatched: pairs left out because the cell does not exist in them.
    """

    ratio: float
    low: float | None
    high: float | None
    items: Array
    n: int
    small_gap: int
    unpatched: int


def recovery(
    base: Array,
    source: Array,
    patched: Array,
    bootstrap: Bootstrap | None = None,
    least_gap: float = 0.0,
    least_total: float = 0.0,
) -> Recovery:
    """Normalised recovery, per item and as a ratio of means.

    Args:
        base, source, patched: a metric of each pair, ``[pair]``; NaN in ``patched`` where a pair lacks the cell.
        bootstrap: resamples over the pairs' groups; without them there is no interval.
        least_gap: δ, in the metric's units; pairs whose gap is smaller are left out and counted.
        least_total: mean gap, in the same units, under which the ratio is undefined (gaps of either sign may cancel).
    """
    there = ~np.isnan(patched)
    wide = np.abs(base - source) >= max(least_gap, np.finfo(np.float64).tiny)
    use = there & wide
    items = np.full(len(base), np.nan)
    items[use] = (base - patched)[use] / (base - source)[use]
    counts = {"n": int(use.sum()), "small_gap": int((there & ~wide).sum()), "unpatched": int((~there).sum())}
    closed, gap = np.where(use, base - patched, 0.0), np.where(use, base - source, 0.0)
    if not use.any() or abs(gap.sum()) < least_total * use.sum():
        return Recovery(float("nan"), None, None, items, **counts)
    if bootstrap is None:
        return Recovery(float(closed.sum() / gap.sum()), None, None, items, **counts)
    found = bootstrap.ratio(closed, gap)
    return Recovery(found.value, found.low, found.high, items, **counts)
