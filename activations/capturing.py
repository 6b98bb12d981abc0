"""Clean teacher-forced forwards over exact token ids, keeping chosen positions of chosen sites."""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.abilities import abilities, padded_left
from activations.backends import Backend, NativeBackend
from activations.batching import Ids, PaddedBatch, TokenBudget, bounded, by_length, pad_right, with_backoff
from activations.errors import HintprobeError
from activations.models import LoadedModel
from activations.sites import Site
from activations.transfer import Transfer

TokenIndices = Sequence[Sequence[int]]
Captured = dict[Site, Float[Tensor, "row position width"]]


def padded_positions(batch: PaddedBatch, positions: TokenIndices) -> Int[Tensor, "batch position"]:
    """Indices into the padded batch; rows with fewer positions repeat their last one."""
    width = max(len(row) for row in positions)
    filled = [[*row, *[row[-1]] * (width - len(row))] for row in positions]
    return torch.tensor(filled).to(batch.ids.device) + batch.offset[:, None]


def _start(backend: Backend, rows: Sequence[Ids], positions: TokenIndices, sites: Sequence[Site]) -> Transfer:
    """Run one batch; what was read is under way to the CPU when this returns."""
    batch = _padded(backend, rows)
    return Transfer(backend.read(batch, padded_positions(batch, positions), sites))


def _padded(backend: Backend, rows: Sequence[Ids]) -> PaddedBatch:
    """Padding behind the rows, of which a causal model need not be told: no mask is made, and kernels are faster.

    Other backends, and families that a trial shows to be otherwise, get a mask and padding before the rows.
    """
    loaded = backend.loaded
    if backend.name == "native" and abilities(loaded.model).pads_right:
        return pad_right(rows, loaded.pad_id, loaded.device, masked=False)
    return padded_left(loaded, rows)


def capture_batch(
    loaded: LoadedModel,
    rows: Sequence[Ids],
    positions: TokenIndices,
    sites: Sequence[Site],
    backend: Backend | None = None,
) -> Captured:
    """Capture one batch; positions are selected inside the hook, on the device.

    Returns:
        Per site ``[row, position, width]`` in the model's dtype, on the CPU; short rows are padded by repetition.
    """
    return _start(backend or NativeBackend(loaded), rows, positions, sites).wait()[0]


def capture(
    loaded: LoadedModel,
    rows: Sequence[Ids],
    positions: TokenIndices,
    sites: Sequence[Site],
    token_budget: int = 32_768,
    backend: Backend | None = None,
) -> Iterator[tuple[list[int], Captured]]:
    """Capture all rows, longest first, batch by batch; on CUDA a batch is copied while the next one runs.

    Args:
        rows: token ids of each row.
        positions: token indices wanted of each row, at least one.
        token_budget: padded tokens per batch; a batch that does not fit into memory is halved.
        backend: the native one, if none is given.

    Yields:
        Row indices of the batch, and what was captured of them: per site ``[row, position, width]``.

    Raises:
        HintprobeError: a row without positions, one outside its row, a row that does not fit into memory, or
            activations that are not finite.
    """
    for i, (row, wanted) in enumerate(zip(rows, positions, strict=True)):
        if not wanted or min(wanted) < 0 or max(wanted) >= len(row):
            raise HintprobeError(f"Row {i} has {len(row)} tokens and was asked for positions {list(wanted)}.")
    running = backend or NativeBackend(loaded)

    def start(indices: list[int]) -> Transfer:
        return _start(running, [rows[i] for i in indices], [positions[i] for i in indices], sites)

    under_way: tuple[list[int], Transfer] | None = None
    budget = TokenBudget(bounded(token_budget, loaded.device, loaded.model.num_parameters()))
    for planned in by_length([len(row) for row in rows], budget):
        pieces = _fitting(planned, start, rows)
        if len(pieces) > 1:  # what did not fit once is not tried again
            budget.tokens = max(len(piece) for piece, _ in pieces) * len(rows[planned[0]])
        for indices, transfer in pieces:
            if under_way:
                yield _arrived(*under_way)
            under_way = indices, transfer
    if under_way:
        yield _arrived(*under_way)


def _fitting(
    planned: list[int], start: Callable[[list[int]], Transfer], rows: Sequence[Ids]
) -> list[tuple[list[int], Transfer]]:
    try:
        return with_backoff(planned, start)
    except torch.OutOfMemoryError as error:
        longest = max(len(rows[i]) for i in planned)
        raise HintprobeError(
            f"Even a single row does not fit into the device's memory (the longest here has {longest} tokens). Free "
            "memory, load the model quantised or over several devices, or leave out the longest rows."
        ) from error


def _arrived(indices: list[int], transfer: Transfer) -> tuple[list[int], Captured]:
    captured, broken = transfer.wait()
    if broken:
        site, row = broken[0]
        raise HintprobeError(
            f"Activations at {site} are not finite in row {indices[row]} ({captured[site].dtype}). The dtype may "
            "overflow on this model: load it in bfloat16 or float32."
        )
    return indices, captured
