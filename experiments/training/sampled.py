"""Token ids that the policy sampled → rollouts, as the pipeline's own parser reads them."""

from collections.abc import Sequence
from typing import Any

from experiments.engines.base import Answered
from experiments.engines.completions import completion_fields
from experiments.records import Rollout
from experiments.training.environments import Environment
from experiments.training.prompts import Task
from experiments.training.rewards import Sampled


def sampled(
    tokenizer: Any, environment: Environment, tasks: Sequence[Task], completions: Sequence[Sequence[int]],
    stops: Sequence[int], temperature: float,
) -> list[Sampled]:  # fmt: skip
    """One completion per task; ``stops`` are the ids that end one."""
    found = []
    for k, (task, ids) in enumerate(zip(tasks, completions, strict=True)):
        ended = bool(ids) and ids[-1] in stops
        answered = Answered(tuple(ids), (), "stop" if ended else "length", "model")
        rendered = task.written.rendered
        rollout = Rollout(
            id=f"{task.item.id}:{environment.condition}:{k}",
            item_id=task.item.id,
            condition=environment.condition,
            index=k,
            prompt=task.written.prompt,
            prompt_text=rendered.encoded.text,
            prompt_ids=rendered.encoded.ids,
            places=rendered.characters,
            **completion_fields(
                tokenizer, answered, task.text, len(task.item.question.options), task.seed % 2**31, temperature
            ),
        )
        found.append(Sampled(task, rollout))
    return found
