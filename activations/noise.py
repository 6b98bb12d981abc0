"""Sampling noise from a counter: a function of (seed, step, token) alone, in any batch and on any device.

Tokens are drawn as a race (the exponential form of the Gumbel-max trick): with independent ``E_i ~ Exp(1)``,
``argmax p_i / E_i`` is a draw from ``p`` (Maddison et al. 2014, arXiv 1411.0030, section 2). ``E`` comes from a hash of
a counter, as in Salmon et al. 2011 ("Parallel random numbers: as easy as 1, 2, 3", SC11): every token has a well-mixed
number of its own, the same in all runs, which is combined with two numbers made of seed and step and mixed again by
multiplication and xor-shift. The arithmetic is that of 32-bit integers which wrap around, so the integers are equal to
the bit on CPU and CUDA, and their logarithms to the last places.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

_MULTIPLIERS = (0x7FEB352D, 0x2C1B3C6D, 0x45D9F3B)
"""Odd, as multipliers of 32-bit hashes must be to lose nothing."""
_SPAN = 2**31
_SCALE = -(1 - 2**-24) / _SPAN
"""Just under 1 / span, so that the largest integer, which float32 rounds up, stays below 1."""


def exponential(
    draws: Sequence[tuple[int, int]],
    vocabulary: int,
    device: torch.device,
    ids: Int[Tensor, "row candidate"] | None = None,
) -> Float[Tensor, "row candidate"]:
    """Exp(1) numbers between 2e-10 and 17, one per row and token.

    Args:
        draws: per row, the seed and the step. Rows of equal draws get equal numbers.
        vocabulary: number of tokens. A token's numbers do not depend on it.
        ids: per row, the tokens whose numbers are wanted; None is all of them, in order.
    """
    table = _mixed_tokens(vocabulary, device)
    keys = torch.tensor([_key(seed, step) for seed, step in draws], dtype=torch.int32).to(device)
    x = (table if ids is None else table[ids]).bitwise_xor(keys[:, :1]).mul_(keys[:, 1:])
    x.bitwise_xor_(x >> 15).mul_(_MULTIPLIERS[0]).bitwise_and_(_SPAN - 1)
    return x.float().add_(0.5).mul_(_SCALE).log1p_().neg_()


@lru_cache(maxsize=8)
def _mixed_tokens(vocabulary: int, device: torch.device) -> Int[Tensor, "vocabulary"]:
    """A number for every token, in 32 bits, that looks like chance."""
    x = torch.arange(1, vocabulary + 1, dtype=torch.int32, device=device)
    for multiplier in _MULTIPLIERS:
        x.mul_(multiplier)
        x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF))
    return x


def _key(seed: int, step: int) -> tuple[int, int]:
    """Two 32-bit numbers, the second odd; streams whose seeds or steps are neighbours have nothing in common."""
    digest = hashlib.blake2b(f"{seed}:{step}".encode(), digest_size=8).digest()
    first, second = (int.from_bytes(half, "little", signed=True) for half in (digest[:4], digest[4:]))
    return first, second | 1
