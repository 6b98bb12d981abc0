"""A detector that intervenes: how much of what was written hangs on the hint, against the neutral prompt.

The neutral prompt (the same frame, no option named) had no part in the labels, which come from the unhinted and the
swapped runs; a score made from those would be the label itself.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from activations import LoadedModel
from experiments.detectors.cells import DetectorCells
from experiments.detectors.rows import Rows
from experiments.records import LETTERS, Item, Rollout
from experiments.redraw import up_to_answer
from probes.reliance import Drops, Written, prompt_drops

NAME = "causal_neutral"
READS = "what the completion loses when the neutral prompt replaces the hinted one"


def neutral_drops(
    loaded: LoadedModel, items: Sequence[Item], hinted: Sequence[Rollout], neutral: Sequence[Rollout], token_budget: int
) -> tuple[Drops, list[int]]:
    """Drops of the rows that can be scored, and their indices; an answer that has no token of its own cannot."""
    written, kept = [], []
    for k, (item, rollout) in enumerate(zip(items, hinted, strict=True)):
        text = up_to_answer(loaded.tokenizer, item, rollout)
        if not isinstance(text, str):
            target = LETTERS.index(str(item.target))
            written.append(Written(rollout.completion_ids, len(text.ids), text.options, target))
            kept.append(k)
    prompts, others = [hinted[k].prompt_ids for k in kept], [neutral[k].prompt_ids for k in kept]
    return prompt_drops(loaded, prompts, others, written, token_budget), kept


def causal_detectors(
    loaded: LoadedModel, rows: Rows, items: Sequence[Item], rollouts: Mapping[str, Rollout], token_budget: int
) -> list[DetectorCells]:
    """The causal score as a detector with three cells; none where some row cannot be scored.

    Args:
        rollouts: all rollouts by id; the neutral ones are taken.
    """
    names = [rollout.id.replace(":hinted:", ":neutral:") for rollout in rows.hinted]
    if not rows.hinted or any(name not in rollouts for name in names):
        return []
    start = time.perf_counter()
    drops, kept = neutral_drops(loaded, items, rows.hinted, [rollouts[name] for name in names], token_budget)
    if len(kept) < len(rows.hinted):
        return []
    cells = {"divergence": drops.divergence, "completion": drops.completion, "answer": drops.answer}
    seconds = time.perf_counter() - start
    return [_detector({name: np.asarray(values)[:, None] for name, values in cells.items()}, drops.forwards, seconds)]


def _detector(cells: dict[str, np.ndarray], forwards: int, seconds: float) -> DetectorCells:
    return DetectorCells(NAME, READS, cells)
