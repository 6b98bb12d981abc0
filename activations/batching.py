"""Rows of token ids → padded batches under a token budget."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

_MOST_PADDING = 0.05
_SMALL = 1024
"""Tokens of a batch that is filled up in spite of its padding."""

_CPU_SECONDS, _CPU_RATE = 60.0, 2e10
"""On a CPU a batch is to take about a minute, taken at so many operations a second: what a kill can cost. Not measured,
so that the same run makes the same batches every time."""

Ids = Sequence[int]
Result = TypeVar("Result")


@dataclass(frozen=True)
class PaddedBatch:
    """Rows padded to one width. ``offset[i]`` is added to an unpadded index to find it in the batch.

    Attributes:
        masked: whether a forward is told which tokens are real; where no padding stands before a real token, a causal
            model need not be.
    """

    ids: Int[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"]
    offset: Int[Tensor, "batch"]
    masked: bool = True

    @property
    def attention_mask(self) -> Bool[Tensor, "batch seq"] | None:
        """What a forward is told of ``mask``."""
        return self.mask if self.masked else None

    @property
    def position_ids(self) -> Int[Tensor, "batch seq"]:
        """Positions counted from each row's first real token: padded then equals unpadded."""
        if not self.masked:
            return torch.arange(self.ids.shape[1], device=self.ids.device).expand(len(self.ids), -1)
        return (self.mask.long().cumsum(-1) - 1).clamp(min=0)


def pad_left(rows: Sequence[Ids], pad: int, device: torch.device) -> PaddedBatch:
    """Pad on the left, so that every row ends at the same index."""
    width = max(len(row) for row in rows)
    return _padded(rows, [width - len(row) for row in rows], pad, device)


def pad_right(rows: Sequence[Ids], pad: int, device: torch.device, masked: bool = True) -> PaddedBatch:
    """Pad on the right, so that every row starts at the same index; see :class:`PaddedBatch` for ``masked``."""
    batch = _padded(rows, [0] * len(rows), pad, device)
    return batch if masked else replace(batch, masked=False)


def _padded(rows: Sequence[Ids], starts: Sequence[int], pad: int, device: torch.device) -> PaddedBatch:
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
        ids[i, start : start + len(row)] = torch.tensor(list(row))
        mask[i, start : start + len(row)] = True
    full = all(len(row) == width for row in rows)
    return PaddedBatch(ids.to(device), mask.to(device), torch.tensor(list(starts)).to(device), masked=not full)


@dataclass
class TokenBudget:
    """Padded tokens per batch; may be lowered while batches are drawn."""

    tokens: int


def bounded(budget: int, device: torch.device, n_parameters: int) -> int:
    """A token budget for this device: on a CPU about a minute's work, of two operations a parameter and token."""
    if device.type != "cpu":
        return budget
    return max(1, min(budget, int(_CPU_SECONDS * _CPU_RATE / (2 * max(n_parameters, 1)))))


def by_length(lengths: Sequence[int], budget: int | TokenBudget) -> Iterator[list[int]]:
    """Indices sorted by length (longest first) in batches of at most ``budget`` padded tokens, at least one row.

    A batch ends before more than a twentieth of it is padding, unless it is so small that another forward would cost
    more than the padding does.
    """
    limit = budget if isinstance(budget, TokenBudget) else TokenBudget(budget)
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        end, real = start + 1, longest
        while end < len(order):
            padded = (end + 1 - start) * longest
            real += lengths[order[end]]
            if padded > limit.tokens or (padded > _SMALL and padded - real > _MOST_PADDING * padded):
                break
            end += 1
        yield order[start:end]
        start = end


def with_backoff(rows: list[int], run: Callable[[list[int]], Result]) -> list[tuple[list[int], Result]]:
    """Run a batch; where the device runs out of memory, halve it and go on."""
    try:
        return [(rows, run(rows))]
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise
    torch.cuda.empty_cache()
    half = len(rows) // 2
    return with_backoff(rows[:half], run) + with_backoff(rows[half:], run)
