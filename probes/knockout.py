"""Attention knockout along paths: which tokens must see a span of the prompt for its effect to arrive?

Queries of one part of the sequence lose the keys of the span, in every layer (Geva et al. 2023, section 4): the rest of
the prompt, the text, the answer, or all of these. As a placebo the same queries lose as many other keys nearby.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from activations import Completion, Decoding, Knockout, LoadedModel, generate, onwards
from activations.row_state import OnStep
from probes.arrays import Array
from probes.mediation import Continuation
from probes.names import KEYS, PATHS, Keys, Path
from probes.readout import read_options

_NEAR = 8
"""A placebo is drawn among this many windows, those nearest to the span."""


@dataclass(frozen=True)
class CutRow:
    """A prompt, a completion of it, and the span whose keys are taken away.

    Attributes:
        prompt: token ids.
        completion: token ids, as drawn.
        answer_from: index in the completion at which the answer part begins; 0 where there is no text before it.
        span: token indices of the prompt, in order.
        placebo: as many others (:func:`placebo_window`).
    """

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    answer_from: int
    span: tuple[int, ...]
    placebo: tuple[int, ...]

    def keys(self, which: Keys) -> tuple[int, ...]:
        """Keys that are taken away."""
        return self.span if which == "span" else self.placebo


def placebo_window(n_prompt: int, span: Sequence[int], rng: np.random.Generator) -> tuple[int, ...] | None:
    """As many prompt tokens in a row as the span reaches over, near it; None where the prompt has no room.

    The first token, on which attention tends to rest (Xiao et al. 2023, section 3), and the last are never taken.
    """
    size = len(span)
    starts = [s for s in range(1, n_prompt - size) if s + size <= min(span) or s > max(span)]
    near = sorted(starts, key=lambda s: abs(s - span[0]))[:_NEAR]
    if not near:
        return None
    start = int(rng.choice(near))
    return tuple(range(start, start + size))


def queries_of(path: Path, span: Sequence[int], n_prompt: int, answer_at: int, end: int) -> range:
    """Tokens of a path, all after the span.

    Args:
        answer_at: index of the first token of the answer part.
        end: one past the last token.
    """
    after = max(span) + 1
    return {
        "everything": range(after, end),
        "prompt": range(after, n_prompt),
        "text": range(n_prompt, answer_at),
        "answer": range(answer_at, end),
    }[path]


@dataclass(frozen=True)
class CutEffects:
    """Teacher-forced logit differences, in nats.

    Attributes:
        base: of the untouched run, ``[row]``.
        cut: with the keys taken away, ``[row]`` per path and choice of keys; a path that is empty in every row is
            left out.
    """

    base: Array
    cut: dict[tuple[Path, Keys], Array]


def knock_out(
    loaded: LoadedModel,
    rows: Sequence[CutRow],
    texts: Sequence[Continuation],
    target: Sequence[int],
    against: Sequence[int],
    token_budget: int = 32_768,
    on_cell: Callable[[], None] | None = None,
) -> CutEffects:
    """Read the answer with each path cut, the text staying as it is.

    Args:
        texts: per row, the completion up to the answer token, which it must begin with.
        target, against: per row, the options whose logit difference is read.
    """
    ids = [row.prompt + text.ids for row, text in zip(rows, texts, strict=True)]
    options = [text.options for text in texts]
    base = read_options(loaded, ids, options, token_budget).difference(target, against)
    cut: dict[tuple[Path, Keys], Array] = {}
    for path in PATHS:
        queries = [
            queries_of(path, row.span, len(row.prompt), len(row.prompt) + row.answer_from, len(whole))
            for row, whole in zip(rows, ids, strict=True)
        ]
        for which in KEYS if any(queries) else ():
            edit = Knockout(queries, [row.keys(which) for row in rows])
            read = read_options(loaded, ids, options, token_budget, [edit])
            cut[path, which] = read.difference(target, against)
            if on_cell:
                on_cell()
    return CutEffects(base, cut)


StartsAnswer = Callable[[int, Completion], int | None]
"""Of a row and its new completion, the index at which the answer part begins; None where it never does."""


def regenerate(
    loaded: LoadedModel,
    rows: Sequence[CutRow],
    path: Path,
    which: Keys,
    decoding: Decoding,
    seeds: Sequence[int],
    starts_answer: StartsAnswer,
    on_step: OnStep | None = None,
) -> list[Completion]:
    """Complete every prompt with a path cut: on-policy, so that the text may change.

    ``text`` is written in two passes: the text with its queries cut, then the answer with the new text's queries cut
    and its own not. ``answer`` keeps the text as drawn.

    Returns:
        Whole completions, margins of the tokens drawn last only.
    """
    complete = partial(generate, loaded, decoding=decoding, on_step=on_step)
    prompts = [row.prompt for row in rows]
    keys = [row.keys(which) for row in rows]
    if path == "everything":
        return complete(prompts, seeds=seeds, edits=[Knockout([onwards(max(r.span) + 1) for r in rows], keys)])
    if path == "prompt":
        queries = [range(max(row.span) + 1, len(row.prompt)) for row in rows]
        return complete(prompts, seeds=seeds, edits=[Knockout(queries, keys)])
    if path == "answer":
        kept = [row.completion[: row.answer_from + 1] for row in rows]
        whole = [prompt + text for prompt, text in zip(prompts, kept, strict=True)]
        edit = Knockout([onwards(len(ids) - 1) for ids in whole], keys)
        return _joined(kept, complete(whole, seeds=seeds, edits=[edit], drawn=[len(text) for text in kept]))
    written = complete(prompts, seeds=seeds, edits=[Knockout([onwards(len(p)) for p in prompts], keys)])
    found = [(k, at) for k, done in enumerate(written) if (at := starts_answer(k, done)) is not None]
    if not found:
        return written
    kept = [written[k].ids[: at + 1] for k, at in found]
    whole = [prompts[k] + text for (k, _), text in zip(found, kept, strict=True)]
    edit = Knockout([range(len(prompts[k]), len(prompts[k]) + at) for k, at in found], [keys[k] for k, _ in found])
    again = complete(whole, seeds=[seeds[k] for k, _ in found], edits=[edit], drawn=[len(text) for text in kept])
    for (k, _), done in zip(found, _joined(kept, again), strict=True):
        written[k] = done
    return written


def _joined(texts: Sequence[tuple[int, ...]], rest: Sequence[Completion]) -> list[Completion]:
    return [
        Completion(text + done.ids, done.margins, done.finish_reason) for text, done in zip(texts, rest, strict=True)
    ]
