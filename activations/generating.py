"""Token-level generation: batched, cached, with shared sampling noise and under edits.

``transformers``' own ``generate`` has no per-row noise and no per-row edits; both are what paired causal
comparisons need, so the loop is ours. Greedy output equals ``generate(do_sample=False)`` (tested).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from activations.abilities import Abilities, abilities
from activations.batching import Ids, PaddedBatch, bounded, pad_left, with_backoff
from activations.choosing import Decoding, best_two, draw, penalised
from activations.columns import Window
from activations.edits import Edit, check_edits, check_fired, editing
from activations.errors import HintprobeError
from activations.forward import Step, forward
from activations.kv_cache import roomy_cache
from activations.models import LoadedModel
from activations.prefill import distinct, read_prompts
from activations.row_state import Completion, OnBatch, OnStep, Row, Telling

_ROOM = 64
"""Tokens that the cache grows by: more would be copied, empty, whenever a finished row is dropped."""

LEAST_ROWS = 24
"""Rows of a batch on a CPU however long it takes: a step reads every weight once, for one row as for many."""


def stop_ids(loaded: LoadedModel) -> set[int]:
    """Tokens at which a completion ends: the generation configuration's, and the tokenizer's own."""
    configured = loaded.model.generation_config.eos_token_id if loaded.model.generation_config else None
    listed = configured if isinstance(configured, list) else [configured]
    return {token for token in [*listed, loaded.tokenizer.eos_token_id] if token is not None}


class _Batch:
    """Rows that are decoded together.

    Attributes:
        ids, mask: prompts, padded on the left, and columns for the tokens to come; ``width`` of them are filled.
        seen: which tokens each row holds, where a repetition penalty needs it.
    """

    def __init__(
        self, loaded: LoadedModel, prompts: Sequence[Ids], new: int, window: Window | None, can: Abilities
    ) -> None:
        self.loaded, self.prompts, self.window, self.can = loaded, prompts, window, can
        batch = pad_left(prompts, loaded.pad_id, loaded.device)
        self.width, self.new = batch.ids.shape[1], batch.ids.shape[1]
        self.ids = torch.nn.functional.pad(batch.ids, (0, new))
        self.mask = torch.nn.functional.pad(batch.mask, (0, new), value=True)
        self.offset, self.masked = batch.offset, batch.masked
        self.spare = min(new, _ROOM)
        self.cache: Any = roomy_cache(loaded.model, self.spare) if can.caches else None
        self.seen: Bool[Tensor, "row vocabulary"] | None = None

    def track(self, vocabulary: int) -> None:
        """Keep account of the tokens that each row holds; padding is none of them."""
        self.seen = torch.zeros(len(self.ids), vocabulary + 1, dtype=torch.bool, device=self.ids.device)
        real = self.ids[:, : self.width].masked_fill(~self.mask[:, : self.width], vocabulary)
        self.seen.scatter_(1, real.clamp(max=vocabulary), True)

    def read(self) -> Float[Tensor, "row vocabulary"]:
        """Read the prompts; logits of the first token to come."""
        if self.window is not None or not self.can.shares:
            return self.logits()
        logits, self.cache = read_prompts(self.loaded, self.prompts, self.spare)
        return logits

    def logits(self) -> Float[Tensor, "row vocabulary"]:
        """Logits of the next token."""
        new = self.new if self.cache is not None else self.width
        mask = self.mask[:, : self.width]
        if self.window is not None:
            self.window.batch = PaddedBatch(self.ids[:, : self.width], mask, self.offset)
            self.window.n_new = new
        columns = torch.arange(self.width - new, self.width, device=self.ids.device)
        positions = (columns - self.offset[:, None]).clamp(min=0)
        step = Step(self.ids[:, self.width - new : self.width], mask if self.masked else None, positions)
        output = forward(self.loaded.model, step, cache=self.cache, last_only=True)
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def extend(self, token: Int[Tensor, "row"]) -> None:
        """Append one real token to every row."""
        self.ids[:, self.width] = token
        self.width, self.new = self.width + 1, 1
        if self.seen is not None:
            self.seen.scatter_(1, token[:, None], True)

    def take(self, rows: Sequence[int]) -> None:
        """Go on with these rows, some of them perhaps more than once."""
        index = torch.tensor(rows, dtype=torch.long, device=self.ids.device)
        self.ids, self.mask, self.offset = self.ids[index], self.mask[index], self.offset[index]
        if self.seen is not None:
            self.seen = self.seen[index]
        if self.cache is not None:
            self.cache.reorder_cache(index)
        if self.window is not None:
            self.window.rows = [self.window.rows[k] for k in rows]


def _decode(
    batch: _Batch,
    rows: Sequence[Row],
    prompt_of: Sequence[int],
    decoding: Decoding,
    tell: Callable[[], None],
) -> None:
    """Draw until every row has ended; a row's noise is that of its seed, from its first step on.

    Args:
        prompt_of: per row, which of the batch's prompts it completes; each prompt is read once.
        tell: called after every step.
    """
    stops, penalty = stop_ids(batch.loaded), decoding.penalty(batch.loaded.model)
    logits = batch.read()
    if penalty != 1:
        batch.track(logits.shape[-1])
    if list(prompt_of) != list(range(len(batch.ids))):
        batch.take(prompt_of)
        logits = logits[torch.tensor(prompt_of, device=logits.device)]
    alive = list(rows)
    while True:
        chosen, gaps = _choose(logits, batch, alive, decoding, penalty)
        stay = []
        for k, (row, token, gap) in enumerate(zip(alive, *_together(chosen, gaps), strict=True)):
            row.ids.append(token)
            row.margins.append(gap)
            row.stopped = token in stops
            if not row.ended:
                stay.append(k)
        if not stay:
            return
        tell()
        batch.extend(chosen)
        if len(stay) < len(alive):
            alive = [alive[k] for k in stay]
            batch.take(stay)
        logits = batch.logits()


def _choose(
    logits: Float[Tensor, "row vocabulary"], batch: _Batch, rows: Sequence[Row], decoding: Decoding, penalty: float
) -> tuple[Int[Tensor, "row"], Float[Tensor, "row"]]:
    """The next token of each row, and the top-two difference of its logits."""
    chosen, gaps = best_two(logits)
    if batch.seen is not None:
        logits = penalised(logits, batch.seen[:, : logits.shape[-1]], penalty)
        chosen = logits.argmax(-1)
    if decoding.temperature > 0:
        chosen = draw(logits, decoding, [(row.stream[0], row.stream[1] + len(row.ids)) for row in rows])
    return chosen, gaps


def _together(chosen: Int[Tensor, "row"], gaps: Float[Tensor, "row"]) -> tuple[list[int], list[float]]:
    """Both on the CPU, in one transfer."""
    tokens, margins = torch.stack([chosen.double(), gaps.double()]).tolist()
    if any(math.isnan(gap) for gap in margins):
        raise HintprobeError(
            "The model's logits are not finite. An edit may have inserted states that are too large (lower its "
            "scale), or the dtype overflows on this model (load it in bfloat16 or float32)."
        )
    return [int(token) for token in tokens], margins


def _batches(rows: Sequence[Ids], new: int, budget: int, shared: bool, padded: bool) -> Iterator[list[int]]:
    """Rows sorted by length, longest first, equal prompts side by side, in batches of at most ``budget`` tokens.

    Args:
        shared: prompts that are equal are read once, so they should be together.
        padded: rows of other lengths may stand in one batch.
    """
    number: dict[Ids, int] = {}
    order = [number.setdefault(tuple(row), len(number)) for row in rows] if shared else range(len(rows))
    planned: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (-len(rows[i]), order[i])):
        if planned:
            longest = len(rows[planned[0]])
            full = (len(planned) + 1) * (longest + new) > budget
            if full or (not padded and len(rows[i]) != longest):
                yield planned
                planned = []
        planned.append(i)
    if planned:
        yield planned


def check_context(loaded: LoadedModel, rows: Sequence[Ids], new: int = 0) -> None:
    """Refuse rows that leave the model no room.

    Args:
        new: tokens that are to follow each row, at least.

    Raises:
        HintprobeError: a row that is longer than the model's context; it is named.
    """
    limit = loaded.context
    too_long = [i for i, row in enumerate(rows) if limit is not None and len(row) + new > limit]
    if too_long:
        i = too_long[0]
        raise HintprobeError(
            f"Row {i} has {len(rows[i])} tokens, and the context of {loaded.name} is {limit}"
            f"{f' with the {new} to come' if new else ''} ({len(too_long)} of {len(rows)} rows are too long). "
            "Leave them out, or use a model of longer context."
        )


@torch.no_grad()
def generate(
    loaded: LoadedModel,
    rows: Sequence[Ids],
    decoding: Decoding,
    seeds: Sequence[int] | None = None,
    edits: Sequence[Edit] = (),
    on_batch: OnBatch | None = None,
    drawn: Sequence[int] | None = None,
    on_step: OnStep | None = None,
) -> list[Completion]:
    """Complete every row. Rows of one prompt read it once. A completion ends where the model's context does.

    Args:
        rows: prompt token ids.
        seeds: one per row, needed above temperature 0. Rows that share a seed share their noise step by step.
        edits: applied at every forward. Their positions lie in the prompts; :func:`~activations.columns.onwards`
            takes in the new tokens, each edited as it is computed. ``Knockout.hiding`` hides prompt tokens from all
            later ones.
        on_batch: called with row indices and results as rows end, so that a caller can save them: at the end of each
            batch, every few seconds within one, and where the decoding is stopped (Ctrl-C). Each row is told once.
        drawn: per row, how many tokens at its end were drawn with its seed before: its noise goes on from there.
        on_step: called at every step of a batch, to show that it goes on.

    Returns:
        One completion per row, in the order given.

    Raises:
        HintprobeError: sampling without a seed per row, a row beyond the model's context, an edit that does not fit
            the rows or the model or that never fired, or logits that are not numbers.
    """
    _check_seeds(decoding, seeds, len(rows))
    check_edits(edits, [len(row) for row in rows])
    check_context(loaded, rows, 1)
    results: dict[int, Completion] = {}
    fired: set[int] = set()
    streams = list(zip(seeds or [0] * len(rows), drawn or [0] * len(rows), strict=True))
    can, most, telling = abilities(loaded.model), loaded.context, Telling(on_batch, on_step)

    def run(indices: list[int]) -> list[Completion]:
        limits = [min(decoding.max_new_tokens, (most or math.inf) - len(rows[i])) for i in indices]
        state = [Row(streams[i], int(limit)) for i, limit in zip(indices, limits, strict=True)]
        prompts, prompt_of = _distinct([rows[i] for i in indices], shared=not edits)
        with editing(loaded, pad_left(prompts, loaded.pad_id, loaded.device), edits, rows=indices) as window:
            batch = _Batch(loaded, prompts, decoding.max_new_tokens, window if edits else None, can)
            try:
                _decode(batch, state, prompt_of, decoding, lambda: telling.step(indices, state))
            finally:
                telling.tell(indices, state, now=True)
        fired.update(window.fired)
        return [row.completion for row in state]

    budget = _budget(loaded, max(map(len, rows), default=0) + decoding.max_new_tokens, decoding.token_budget)
    for planned in _batches(rows, decoding.max_new_tokens, budget, not edits, can.pads_left):
        for indices, completions in with_backoff(planned, run):
            results.update(zip(indices, completions, strict=True))
    check_fired(edits, fired)
    return [results[i] for i in range(len(rows))]


def _check_seeds(decoding: Decoding, seeds: Sequence[int] | None, n_rows: int) -> None:
    if decoding.temperature > 0 and len(seeds or ()) != n_rows:
        raise HintprobeError(
            f"Sampling {n_rows} rows at temperature {decoding.temperature:g} needs a seed for each, and "
            f"{len(seeds or ())} were given. Pass `seeds`, or temperature 0."
        )


def _budget(loaded: LoadedModel, longest: int, budget: int) -> int:
    """Tokens of a batch; on a CPU about a minute's work, but for a few rows at least."""
    held = bounded(budget, loaded.device, loaded.model.num_parameters())
    return min(budget, max(held, LEAST_ROWS * longest))


def _distinct(rows: Sequence[Ids], shared: bool) -> tuple[list[Ids], list[int]]:
    """The prompts to be read, and which of them each row goes on from; edits make every row one of its own."""
    return distinct(rows) if shared else (list(rows), list(range(len(rows))))
