"""Teacher-forced readouts: what a model would say next after exactly these tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from activations import Edit, LoadedModel, editing
from activations.abilities import padded_left
from activations.batching import Ids, PaddedBatch, bounded, by_length, with_backoff
from activations.edits import check_edits, check_fired
from activations.errors import HintprobeError
from activations.forward import forward
from probes.arrays import Array


@dataclass(frozen=True)
class Options:
    """The answer tokens read at the last position of each row.

    Attributes:
        logits: of each option's token, in nats, ``[row, option]``; rows with fewer options hold -inf.
        log_total: log of the sum of exp(logit) over the whole vocabulary, ``[row]``.
    """

    logits: Array
    log_total: Array

    def probability(self, chosen: Sequence[int]) -> Array:
        """Probability of one option's token per row, over the whole vocabulary; ``[row]``."""
        rows = np.arange(len(self.logits))
        result: Array = np.exp(self.logits[rows, list(chosen)] - self.log_total)
        return result

    def difference(self, chosen: Sequence[int], against: Sequence[int]) -> Array:
        """Logit of one option less that of another, per row; ``[row]``."""
        rows = np.arange(len(self.logits))
        result: Array = self.logits[rows, list(chosen)] - self.logits[rows, list(against)]
        return result


def last_logits(loaded: LoadedModel, batch: PaddedBatch) -> Tensor:
    """Logits after the last token of each row, ``[batch, vocabulary]`` in float32.

    Raises:
        HintprobeError: logits that are not finite.
    """
    output = forward(loaded.model, batch, last_only=True)
    logits: Tensor = output.logits[:, -1].float()
    if not torch.isfinite(logits).all():
        raise HintprobeError(
            "The logits are not finite. The dtype may overflow on this model, or an edit is too large: load it in "
            "bfloat16 or float32, or use smaller scales."
        )
    return logits


@torch.no_grad()
def read_options(
    loaded: LoadedModel,
    rows: Sequence[Ids],
    options: Sequence[Sequence[int]],
    token_budget: int = 32_768,
    edits: Sequence[Edit] = (),
) -> Options:
    """Read the answer tokens after the last token of each row.

    Args:
        rows: token ids.
        options: per row, the token of each option.
        edits: applied to every forward; their rows are these rows.

    Raises:
        HintprobeError: an edit that does not fit the rows or the model or that never fired, or logits that are not
            finite.
    """
    check_edits(edits, [len(row) for row in rows])
    fired: set[int] = set()
    width = max((len(row) for row in options), default=0)
    logits, total = np.full((len(rows), width), -np.inf), np.zeros(len(rows))

    def run(indices: list[int]) -> None:
        batch = padded_left(loaded, [rows[i] for i in indices])
        with editing(loaded, batch, edits, rows=indices) as window:
            read = last_logits(loaded, batch)
        fired.update(window.fired)
        total[indices] = read.logsumexp(-1).double().cpu().numpy()
        for k, i in enumerate(indices):
            logits[i, : len(options[i])] = read[k, list(options[i])].double().cpu().numpy()

    budget = bounded(token_budget, loaded.device, loaded.model.num_parameters())
    for planned in by_length([len(row) for row in rows], budget):
        with_backoff(planned, run)
    check_fired(edits, fired)
    return Options(logits, total)
