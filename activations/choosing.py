"""How the next token is chosen from logits: penalties, truncation, and a race under shared noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from activations.errors import HintprobeError
from activations.noise import exponential

_FIRST_LOOK = 1024
"""Likeliest tokens among which a nucleus is looked for before the whole vocabulary is sorted."""


@dataclass(frozen=True)
class Decoding:
    """How to pick tokens. Truncations are applied in the order of ``transformers``: top_k, top_p, min_p.

    Attributes:
        temperature: 0 takes the most likely token; above, tokens are drawn from the softmax of logits / temperature.
        max_new_tokens: where an unfinished completion is cut.
        token_budget: padded tokens per batch, prompt and completion together.
        top_p: draw from the fewest tokens that together have this probability; 1 is off.
        top_k: draw from so many tokens at most; 0 is off.
        min_p: draw only from tokens that have this share of the likeliest token's probability; 0 is off.
        repetition_penalty: logits of tokens that the row holds already are divided by it (multiplied where negative);
            1 is off, and None is what the model's own generation configuration says. It acts at temperature 0 too.
    """

    temperature: float = 0.0
    max_new_tokens: int = 256
    token_budget: int = 32_768
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float | None = None

    def __post_init__(self) -> None:
        allowed = {
            "temperature": self.temperature >= 0,
            "top_p": 0 < self.top_p <= 1,
            "top_k": self.top_k >= 0,
            "min_p": 0 <= self.min_p <= 1,
            "repetition_penalty": self.repetition_penalty is None or self.repetition_penalty > 0,
        }
        wrong = [name for name, good in allowed.items() if not good]
        if wrong:
            given = ", ".join(f"{name}={getattr(self, name)}" for name in wrong)
            raise HintprobeError(
                f"Sampling cannot be done with {given}. Expected temperature ≥ 0, 0 < top_p ≤ 1, top_k ≥ 0, "
                "0 ≤ min_p ≤ 1 and repetition_penalty > 0."
            )

    def penalty(self, model: Any) -> float:
        """The repetition penalty that holds for a model."""
        if self.repetition_penalty is not None:
            return self.repetition_penalty
        return float(getattr(model.generation_config, "repetition_penalty", None) or 1.0)


def penalised(
    logits: Float[Tensor, "row vocabulary"], seen: Bool[Tensor, "row vocabulary"], penalty: float
) -> Float[Tensor, "row vocabulary"]:
    """Logits with the tokens of the row made less likely (Keskar et al. 2019, arXiv 1909.05858, section 4.1)."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def candidates(
    scores: Float[Tensor, "row vocabulary"], decoding: Decoding
) -> tuple[Float[Tensor, "row candidate"], Int[Tensor, "row candidate"] | None]:
    """Tokens that may be drawn.

    Args:
        scores: logits / temperature.

    Returns:
        Their scores, -inf for those left out, and their ids; None where they are the whole vocabulary in order.
    """
    size, ids = scores.shape[-1], None
    if 0 < decoding.top_k < size:
        scores, ids = scores.topk(decoding.top_k)
    if decoding.top_p < 1:
        total = scores.logsumexp(-1, keepdim=True)
        scores, order = _leading(scores, total, decoding.top_p) if ids is None else (scores, ids)
        ids = order
        probabilities = (scores - total).exp()
        before = probabilities.cumsum(-1) - probabilities
        outside = before >= decoding.top_p
        outside[:, 0] = False
        scores = scores.masked_fill(outside, -torch.inf)
    if decoding.min_p > 0:
        least = scores.amax(-1, keepdim=True) + torch.tensor(decoding.min_p).log().item()
        scores = scores.masked_fill(scores < least, -torch.inf)
    return scores, ids


def _leading(scores: Tensor, total: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The likeliest tokens, in order, so many that they have ``top_p`` together."""
    if scores.shape[-1] > _FIRST_LOOK:
        values, order = scores.topk(_FIRST_LOOK)
        if bool(((values - total).exp().sum(-1) >= top_p).all()):
            return values, order
    values, order = scores.sort(dim=-1, descending=True)
    return values, order


def draw(
    logits: Float[Tensor, "row vocabulary"], decoding: Decoding, draws: Sequence[tuple[int, int]]
) -> Int[Tensor, "row"]:
    """One token per row from the truncated softmax, under the noise of each row's (seed, step)."""
    scores, ids = candidates(logits / decoding.temperature, decoding)
    noise = exponential(draws, logits.shape[-1], logits.device, ids)
    won = (scores - scores.amax(-1, keepdim=True)).exp_().div_(noise).argmax(-1)
    return won if ids is None else ids.gather(1, won[:, None])[:, 0]


def best_two(logits: Float[Tensor, "row vocabulary"]) -> tuple[Int[Tensor, "row"], Float[Tensor, "row"]]:
    """The likeliest token of each row (the first, where several are equal), and how far the next one is behind.

    ``logits`` is written to and restored.
    """
    best = logits.max(-1, keepdim=True)
    logits.scatter_(1, best.indices, -torch.inf)
    gap = best.values[:, 0] - logits.amax(-1)
    logits.scatter_(1, best.indices, best.values)
    return best.indices[:, 0], gap


def left_out(model: Any) -> list[str]:
    """Settings of a model's generation configuration that would change its tokens and are not applied here."""
    config = model.generation_config
    neutral: dict[str, tuple[Any, ...]] = {
        "num_beams": (1,),
        "no_repeat_ngram_size": (0,),
        "encoder_repetition_penalty": (1.0,),
        "encoder_no_repeat_ngram_size": (0,),
        "bad_words_ids": (),
        "sequence_bias": (),
        "min_length": (0,),
        "min_new_tokens": (0,),
        "suppress_tokens": (),
        "begin_suppress_tokens": (),
        "forced_bos_token_id": (),
        "forced_eos_token_id": (),
        "exponential_decay_length_penalty": (),
        "guidance_scale": (1.0,),
        "penalty_alpha": (0.0,),
        "watermarking_config": (),
        "typical_p": (1.0,),
        "epsilon_cutoff": (0.0,),
        "eta_cutoff": (0.0,),
        "top_h": (),
    }
    values = {name: getattr(config, name, None) for name in neutral} if config else {}
    return [f"{name}={value}" for name, value in values.items() if value not in (None, [], *neutral[name])]
