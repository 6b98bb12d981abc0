"""Token indices of rows → columns of the forward at hand, whether it is whole or one new token."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from activations.batching import PaddedBatch
from activations.errors import HintprobeError

Indices = Sequence[int]
"""Unpadded token indices of one row; a ``range`` to the end of time also takes in tokens yet to be generated."""


def onwards(start: int) -> range:
    """Every token from this index on, those yet to be generated included."""
    return range(start, sys.maxsize)


@dataclass
class Window:
    """What the forwards inside an editing context compute: the last columns of a growing batch.

    Attributes:
        batch: tokens so far, those now computed included.
        n_new: how many columns the forward computes.
        rows: which row of the edits each row of the batch is.
        fired: identities of the edits that reached a position.
    """

    batch: PaddedBatch
    n_new: int
    rows: list[int]
    fired: set[int] = field(default_factory=set)

    @property
    def width(self) -> int:
        """Columns so far."""
        return int(self.batch.mask.shape[1])

    def columns(self, positions: Sequence[Indices], n_columns: int) -> list[tuple[range, Sequence[int]]]:
        """Per batch row, the places in its ``positions`` that are reached, and the columns they stand in.

        Args:
            n_columns: how many of the last columns are looked at.
        """
        found: list[tuple[range, Sequence[int]]] = []
        first = self.width - n_columns
        for row, offset in zip(self.rows, self.batch.offset.tolist(), strict=True):
            chosen = positions[row]
            low, high = first - offset, self.width - offset
            if isinstance(chosen, range):
                start, stop = max(chosen.start, low), min(chosen.stop, high)
                found.append((range(start - chosen.start, stop - chosen.start), range(start - low, stop - low)))
            else:
                inside = [k for k, position in enumerate(chosen) if low <= position < high]
                columns = [chosen[k] - low for k in inside]
                found.append((inside, columns))  # type: ignore[arg-type]
        return found

    def reached(
        self, positions: Sequence[Indices]
    ) -> tuple[Int[Tensor, "reached"], Int[Tensor, "reached"], Int[Tensor, "reached"]]:
        """Batch row, column of the forward, and place within the row's positions, of every position reached."""
        rows: list[int] = []
        columns: list[int] = []
        places: list[int] = []
        for row, (place, column) in enumerate(self.columns(positions, self.n_new)):
            rows += [row] * len(column)
            columns += column
            places += place
        device = self.batch.ids.device
        return (
            torch.tensor(rows, dtype=torch.long, device=device),
            torch.tensor(columns, dtype=torch.long, device=device),
            torch.tensor(places, dtype=torch.long, device=device),
        )

    def marked(self, positions: Sequence[Indices], n_columns: int) -> Bool[Tensor, "batch column"]:
        """Mark positions among the last ``n_columns``."""
        marks = torch.zeros(len(self.rows), n_columns, dtype=torch.bool)
        for row, (_, columns) in enumerate(self.columns(positions, n_columns)):
            if isinstance(columns, range):
                marks[row, columns.start : max(columns.stop, columns.start)] = True
            else:
                marks[row, list(columns)] = True
        return marks.to(self.batch.ids.device)


def check_positions(positions: Sequence[Indices], lengths: Sequence[int], what: str) -> None:
    """Refuse positions outside their rows.

    Raises:
        HintprobeError: another number of rows, an index outside its row, or no index in any row.
    """
    if len(positions) != len(lengths):
        raise HintprobeError(f"{what} has positions for {len(positions)} rows, and {len(lengths)} rows are run.")
    for row, (chosen, length) in enumerate(zip(positions, lengths, strict=True)):
        if isinstance(chosen, range):
            if chosen.step != 1 or chosen.start < 0 or (chosen.stop > length and chosen.stop != sys.maxsize):
                raise HintprobeError(
                    f"{what} names {chosen} in row {row}, which has {length} tokens. Give a range of step 1 within the "
                    "row, or `onwards(start)` to include tokens that are generated later."
                )
        elif any(not 0 <= position < length for position in chosen):
            raise HintprobeError(f"{what} names {list(chosen)} in row {row}, which has {length} tokens.")
    if not any(len(chosen) for chosen in positions):
        raise HintprobeError(f"{what} names no position in any row, so it would never fire.")
