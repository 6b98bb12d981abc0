"""Rows of one site, wherever they lie: read when they are asked for, all or a few at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from activations.errors import HintprobeError
from activations.shard import from_numpy
from activations.shard_values import SiteValues

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LONG_RUN = 8
"""Rows that lie together this long on average are copied run by run."""
_STEP_ROWS = 1024
_FEW_LEFT = 0.5
"""Share of unchecked blocks under which random reads check the rest at once."""


class SiteRows:
    """Activations of one site for given entries, in their order; nothing is read until rows are asked for.

    ``rows[3]``, ``rows[10:20]`` and ``rows[[5, 2, 9]]`` give tensors of those rows only, ``rows[:]`` and
    ``rows.torch()`` all of them. Every block is checked when it is first touched.

    Args:
        parts: the shards' values.
        part: per row, which of ``parts`` holds it.
        slot: per row, its place in that part.
    """

    def __init__(self, parts: Sequence[SiteValues], part: Int[np.ndarray, "row"], slot: Int[np.ndarray, "row"]) -> None:
        kinds = {(p.tag, p.values.shape[1:]) for p in parts}
        if len(kinds) != 1:
            raise HintprobeError(
                f"Shards of one store disagree about {parts[0].site}: {sorted(map(str, kinds))}, such as "
                f"{parts[0].path}. Move the wrong ones away and capture again."
            )
        ((self._tag, self._feature),) = kinds
        self._parts, self._part, self._slot = parts, part, slot
        self._spans = [(int(s.min()), int(s.max()) + 1) for s in (slot[part == k] for k in range(len(parts)))]
        self._open = True

    def __len__(self) -> int:
        return len(self._slot)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(row, *feature)``."""
        return (len(self), *self._feature)

    @property
    def dtype(self) -> "torch.dtype":
        """What they were captured in."""
        import torch

        dtype: torch.dtype = getattr(torch, self._tag)
        return dtype

    def __getitem__(self, which: Any) -> "Float[Tensor, '...']":
        if isinstance(which, slice) and which == slice(None):
            return self.torch()
        if isinstance(which, int | np.integer):
            return self[[int(which)]][0]
        return from_numpy(self._take(self._numbers(which)), self._tag)

    def _numbers(self, which: Any) -> Int[np.ndarray, "some"]:
        """Row numbers from 0, as numpy would read ``which``."""
        index = which if isinstance(which, slice) else np.asarray(which)
        if not isinstance(index, slice) and not index.size:
            return np.zeros(0, dtype=np.int64)
        if isinstance(index, slice) or index.dtype == bool:
            return np.arange(len(self))[index]
        if len(index) and not -len(self) <= index.min() <= index.max() < len(self):
            raise IndexError(f"rows {index.min()} to {index.max()} of {len(self)}")
        return np.where(index < 0, index + len(self), index)

    def torch(self) -> "Float[Tensor, 'row *feature']":
        """All rows, in memory of their own."""
        return from_numpy(self._read(), self._tag)

    def mapped(self) -> "Float[Tensor, 'row *feature'] | None":
        """All rows without a copy, where they lie in one run of one shard; None where they do not."""
        if not len(self) or (self._part != self._part[0]).any() or (np.diff(self._slot) != 1).any():
            return None
        start = int(self._slot[0])
        return from_numpy(self._parts[self._part[0]].run(start, start + len(self)), self._tag)

    def numpy(self) -> NDArray[np.floating]:
        """All rows in the dtype they were captured in; bfloat16, which numpy lacks, as float32 (exact)."""
        import torch

        values = self.torch()
        array: NDArray[np.floating] = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.generic]:
        return self.numpy().astype(dtype or None, copy=False)

    def _take(self, rows: Int[np.ndarray, "some"]) -> NDArray[np.generic]:
        """Few rows, scattered: their blocks are checked once, then the rows of each part are gathered in one call."""
        if self._open:
            self._check(rows)
        part, slot = self._part[rows], self._slot[rows]
        if len(self._parts) == 1:
            one: NDArray[np.generic] = self._parts[0].values.take(slot, axis=0)
            return one
        out: NDArray[np.generic] = np.empty((len(rows), *self._feature), dtype=self._parts[0].values.dtype)
        for k in np.unique(part).tolist():
            here = np.flatnonzero(part == k)
            out[here] = self._parts[k].values.take(slot[here], axis=0)
        return out

    def _check(self, rows: Int[np.ndarray, "some"]) -> None:
        part, slot = self._part[rows], self._slot[rows]
        for k in np.unique(part).tolist():
            self._parts[k].check_slots(slot[part == k])
        if max(p.open_share(*span) for p, span in zip(self._parts, self._spans, strict=True)) < _FEW_LEFT:
            # Soon every minibatch would touch some last block that is still unchecked: an end is made of it.
            for values, span in zip(self._parts, self._spans, strict=True):
                values.check_run(*span)
            self._open = False

    def _read(self) -> NDArray[np.generic]:
        """All rows, in the order in which they lie."""
        out = np.empty(self.shape, dtype=self._parts[0].values.dtype)
        order = np.lexsort((self._slot, self._part))
        part, slot = self._part[order], self._slot[order]
        together = (np.diff(part) == 0) & (np.diff(slot) == 1) & (np.diff(order) == 1)
        ends = np.append(np.flatnonzero(~together) + 1, len(order))
        if len(ends) * _LONG_RUN > len(order):
            for at in range(0, len(order), _STEP_ROWS):
                rows = order[at : at + _STEP_ROWS]  # in the order of the file
                out[rows] = self._take(rows)
            return out
        starts = np.append(0, ends[:-1])
        runs = list(
            zip(part[starts], slot[starts].tolist(), order[starts].tolist(), (ends - starts).tolist(), strict=True)
        )
        for k, start, _, n in runs:
            self._parts[k].announce_run(start, start + n)
        for k, start, row, n in runs:
            self._parts[k].copy_run(start, out[row : row + n])
        return out
