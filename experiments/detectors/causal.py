"""A detector that intervenes: how much of what was written hangs on the hint, against the neutral prompt.

The neutral prompt (the same frame, no option named) had no part in the labels, which come from the unhinted and the
swapped runs; a score made from those would be the label itself.
"""

import time

from experiments.detectors.cells import DetectorCells
from experiments.detectors.context import Context
from experiments.detectors.rows import Rows
from experiments.interventions.redraw import up_to_answer
from experiments.records import LETTERS
from experiments.run.model_run import ModelRun
from probes.prompt_drops import Written, prompt_drops

NAME = "causal_neutral"
READS = "what the completion loses when the neutral prompt replaces the hinted one"


def causal_detectors(context: Context) -> list[DetectorCells]:
    """The causal score, of the main target."""
    return causal_scores(context.run, context.rows) if context.main else []


def causal_scores(run: ModelRun, rows: Rows) -> list[DetectorCells]:
    """The causal score, with three cells to choose from; none where a row has no neutral run or no answer token."""
    prompts, neutral, written = [], [], []
    start = time.perf_counter()
    for hinted in rows.hinted:
        item, other = run.records.items[hinted.item_id], run.records.sibling(hinted.id, "neutral")
        text = up_to_answer(run.loaded.tokenizer, item, hinted)
        if other is None or isinstance(text, str):
            return []
        prompts.append(hinted.prompt_ids)
        neutral.append(other.prompt_ids)
        written.append(Written(hinted.completion_ids, len(text.ids), text.options, LETTERS.index(str(item.target))))
    drops = prompt_drops(run.loaded, prompts, neutral, written, run.config.capture.token_budget)
    cells = {"divergence": drops.divergence, "completion": drops.completion, "answer": drops.answer}
    return [
        DetectorCells(
            NAME,
            READS,
            {name: values[:, None] for name, values in cells.items()},
            family="instrument",
            shipped=False,
            sees=("prompt", "cot", "answer", "item", "forwards"),
            forwards=drops.forwards,
            seconds=time.perf_counter() - start,
        )
    ]
