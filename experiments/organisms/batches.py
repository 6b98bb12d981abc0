"""Training rows → padded id tensors. The rows of a step depend on the seed and the step alone, so a resume is exact."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from activations.masks import causal_mask, without_keys
from experiments.organisms.curriculum import Teacher
from experiments.organisms.readouts import Asker, Wanted
from experiments.organisms.recipe import ROW_KINDS, Training
from experiments.organisms.training_row import Row

IGNORED = -100


@dataclass(frozen=True)
class MicroBatch:
    """Right-padded ids and next-token targets; targets that are not trained on hold :data:`IGNORED`.

    Attributes:
        allowed: which keys each query may see; None for every earlier token and itself.
        wanted: what readouts of states should tell.
    """

    ids: Int[Tensor, "row token"]
    targets: Int[Tensor, "row token"]
    allowed: Bool[Tensor, "row query key"] | None
    wanted: Wanted


def shares_at(training: Training, step: int) -> dict[str, float]:
    """Share of each kind of row at a step: phases one after another, linear within a phase."""
    for phase in training.phases:
        if step < phase.steps:
            part = step / phase.steps
            names = [name for name in ROW_KINDS if name in phase.first or name in phase.last]
            return {n: (1 - part) * phase.first.get(n, 0.0) + part * phase.last.get(n, 0.0) for n in names}
        step -= phase.steps
    raise ValueError(f"step {step} lies beyond the last phase")


@dataclass(frozen=True)
class _Encoded:
    """Ids of a row, the same with what is only read set to :data:`IGNORED`, hidden keys and who may not see them.

    Attributes:
        asked: readout, token and class.
    """

    ids: list[int]
    labels: list[int]
    hidden: list[int]
    blind: range
    asked: list[tuple[str, int, int]]


def _encode(row: Row, tokenizer: PreTrainedTokenizerFast, asker: Asker) -> _Encoded:
    ids: list[int] = []
    labels: list[int] = []
    for index, part in enumerate(row.parts):
        piece = tokenizer(part, add_special_tokens=False)["input_ids"]
        ids += piece
        labels += piece if index % 2 else [IGNORED] * len(piece)
    offsets = tokenizer(row.parts[0], add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    asked = list(asker.asks(row, ids, len(offsets)))
    if row.hidden is None:
        return _Encoded(ids, labels, [], range(0), asked)
    hidden = [i for i, (a, b) in enumerate(offsets) if a < row.hidden.end and b > row.hidden.start]
    after = hidden[-1] + 1
    blind = {
        "none": range(after, len(ids)),
        "prompt": range(len(offsets), len(ids)),
        "completion": range(after, len(offsets)),
    }
    return _Encoded(ids, labels, hidden, blind[row.hidden.seen_by], asked)


def _allowed(encoded: list[_Encoded], width: int) -> Bool[Tensor, "row query key"] | None:
    if not any(row.hidden for row in encoded):
        return None
    blocked = torch.zeros((len(encoded), width, width), dtype=torch.bool)
    for k, row in enumerate(encoded):
        for key in row.hidden:
            blocked[k, row.blind.start : row.blind.stop, key] = True
    everyone = causal_mask(torch.ones((len(encoded), width), dtype=torch.bool), width)
    return without_keys(everyone, blocked)[:, 0]


def _pad(encoded: list[_Encoded], pad: int) -> MicroBatch:
    width = max(len(row.ids) for row in encoded)
    ids = torch.full((len(encoded), width), pad)
    targets = torch.full((len(encoded), width), IGNORED)
    for k, row in enumerate(encoded):
        ids[k, : len(row.ids)] = torch.tensor(row.ids)
        targets[k, : len(row.ids) - 1] = torch.tensor(row.labels[1:])
    return MicroBatch(ids, targets, _allowed(encoded, width), _wanted(encoded))


def _wanted(encoded: list[_Encoded]) -> Wanted:
    found: dict[str, list[tuple[int, int, int]]] = {}
    for k, row in enumerate(encoded):
        for name, token, value in row.asked:
            found.setdefault(name, []).append((k, token, value))
    return {name: torch.tensor(places) for name, places in found.items()}


def step_batches(
    teacher: Teacher, tokenizer: PreTrainedTokenizerFast, training: Training, seed: int, step: int
) -> Iterator[MicroBatch]:
    """The micro-batches of one step, sorted by length so that little is padded."""
    rng = np.random.default_rng([seed, step])
    wanted = shares_at(training, step)
    makers = [teacher.maker(name) for name in wanted]
    shares = np.array(list(wanted.values()))
    chosen = rng.choice(len(makers), training.rows, p=shares / shares.sum())
    asker = Asker.of(tokenizer, teacher.world)
    encoded = [_encode(makers[k](rng), tokenizer, asker) for k in chosen]
    encoded.sort(key=lambda row: len(row.ids))
    size = -(-len(encoded) // training.micro)
    for start in range(0, len(encoded), size):
        yield _pad(encoded[start : start + size], int(tokenizer.pad_token_id or 0))
