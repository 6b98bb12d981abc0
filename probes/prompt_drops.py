"""One causal score per row: how much less likely the run's own words become under another prompt.

Both runs are teacher-forced on the same completion, so all states that the prompt gave are replaced at once while the
text stays. Where the text is the mediator, its answer token alone cannot tell (it follows from the text): the score is
therefore also read where the other prompt would first have written another token, and over the whole text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations import LoadedModel
from activations.abilities import padded_left
from activations.batching import Ids, PaddedBatch, by_length, pad_left, with_backoff
from activations.errors import HintprobeError
from activations.forward import Step, forward
from activations.kv_cache import roomy_cache
from probes.arrays import Array

_CHUNK = 256
"""Columns whose logits over the vocabulary are held at once."""


@dataclass(frozen=True)
class Written:
    """A completion to be scored.

    Attributes:
        ids: token ids, one or more.
        answer_at: index in it of the answer token.
        options: the token of each option in that place.
        target: index of the option whose score it is.
    """

    ids: tuple[int, ...]
    answer_at: int
    options: tuple[int, ...]
    target: int


@dataclass(frozen=True)
class TokenScores:
    """Log-probabilities of a completion's tokens after a prompt, in nats.

    Attributes:
        own: of each token, ``[token]``.
        best, best_token: of the most likely token in each place.
        asked: of the tokens asked about, one a place.
        options: of the options in the answer's place, ``[option]``.
    """

    own: Array
    best: Array
    best_token: Array
    asked: Array
    options: Array


@torch.no_grad()
def score_tokens(
    loaded: LoadedModel,
    prompts: Sequence[Ids],
    written: Sequence[Written],
    asked: Sequence[Sequence[int]] | None = None,
    token_budget: int = 32_768,
) -> list[TokenScores]:
    """Score every completion after its prompt; logits are held for a bounded number of columns at a time.

    Args:
        asked: per row, a token for each place of the completion; by default the completion's own.

    Raises:
        HintprobeError: an empty completion.
    """
    if any(not w.ids for w in written):
        raise HintprobeError("A completion without tokens was to be scored; leave such rows out.")
    asked = asked if asked is not None else [w.ids for w in written]
    results: dict[int, TokenScores] = {}
    rows = [tuple(prompt) + w.ids for prompt, w in zip(prompts, written, strict=True)]

    def run(indices: list[int]) -> None:
        batch = padded_left(loaded, [rows[i] for i in indices])
        results.update(_score_batch(loaded, batch, [written[i] for i in indices], [asked[i] for i in indices], indices))

    for planned in by_length([len(row) for row in rows], token_budget):
        with_backoff(planned, run)
    return [results[i] for i in range(len(rows))]


def _score_batch(
    loaded: LoadedModel,
    batch: PaddedBatch,
    written: Sequence[Written],
    asked: Sequence[Sequence[int]],
    indices: Sequence[int],
) -> dict[int, TokenScores]:
    lengths = [len(w.ids) for w in written]
    width = max(lengths)
    tokens = batch.ids[:, -width:]
    other = pad_left(asked, 0, loaded.device).ids
    parts: list[tuple[Tensor, ...]] = []
    answers: dict[int, Array] = {}
    for start, logprobs in _chunks(loaded, batch, width):
        end = start + logprobs.shape[1]
        top = logprobs.max(-1)
        parts.append(
            (_pick(logprobs, tokens[:, start:end]), top.values, top.indices, _pick(logprobs, other[:, start:end]))
        )
        for k, w in enumerate(written):
            at = width - lengths[k] + w.answer_at
            if start <= at < end:
                answers[k] = logprobs[k, at - start, list(w.options)].double().cpu().numpy()
    read = [torch.cat(part, dim=1).double().cpu().numpy() for part in zip(*parts, strict=True)]
    results = {}
    for k, (index, n) in enumerate(zip(indices, lengths, strict=True)):
        own, best, best_token, picked = (values[k, -n:] for values in read)
        results[index] = TokenScores(own, best, best_token, picked, answers[k])
    return results


def _pick(logprobs: Float[Tensor, "batch place vocab"], tokens: Tensor) -> Float[Tensor, "batch place"]:
    return logprobs.gather(-1, tokens[..., None])[..., 0]


def _chunks(
    loaded: LoadedModel, batch: PaddedBatch, width: int
) -> Iterator[tuple[int, Float[Tensor, "batch place vocab"]]]:
    """Log-probabilities of the last ``width`` tokens, a bounded number of places at a time."""
    cache = roomy_cache(loaded.model, width)
    columns = batch.ids.shape[1]
    first = columns - width
    bounds = [(0, first), *((a, min(a + _CHUNK, columns - 1)) for a in range(first, columns - 1, _CHUNK))]
    for low, high in bounds:
        step = Step(batch.ids[:, low:high], batch.mask[:, :high], batch.position_ids[:, low:high])
        output = forward(loaded.model, step, cache=cache, last_only=low == 0)
        yield max(0, low + 1 - first), output.logits.float().log_softmax(-1)


@dataclass(frozen=True)
class Drops:
    """How much each row's words lose under the other prompt, in nats; more means that they hung on the prompt.

    Attributes:
        divergence: at the first token where the other prompt would have gone on differently: log-odds of the token
            written against the one that the other prompt prefers, lost by the change of prompt; 0 where there is none.
        completion: log-probability lost over the whole completion.
        answer: log-odds of the target against the strongest other option lost at the answer's token.
        forwards: over rows.
    """

    divergence: Array
    completion: Array
    answer: Array
    forwards: int


def prompt_drops(
    loaded: LoadedModel,
    prompts: Sequence[Ids],
    others: Sequence[Ids],
    written: Sequence[Written],
    token_budget: int = 32_768,
) -> Drops:
    """Score each completion after its own prompt and after another one.

    Args:
        others: the counterfactual prompts. For a detector, one that had no part in making the labels.
    """
    there = score_tokens(loaded, others, written, token_budget=token_budget)
    here = score_tokens(loaded, prompts, written, [s.best_token.astype(int).tolist() for s in there], token_budget)
    divergence, completion, answer = [], [], []
    for own, other, w in zip(here, there, written, strict=True):
        apart = np.flatnonzero(other.best_token != np.array(w.ids))
        at = apart[0] if len(apart) else None
        divergence.append(0.0 if at is None else (own.own[at] - own.asked[at]) - (other.own[at] - other.best[at]))
        completion.append(float((own.own - other.own).sum()))
        answer.append(_margin(own.options, w.target) - _margin(other.options, w.target))
    return Drops(np.array(divergence), np.array(completion), np.array(answer), 2 * len(written))


def _margin(options: Array, target: int) -> float:
    """Log-odds of one option against the strongest other one."""
    return float(options[target] - np.delete(options, target).max())
