"""Stage 1: ask every question without the hint, choose targets, then ask with the hint, moved, and empty."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations import Completion, Decoding, generate
from experiments.chat import RenderedPrompt, render_chat
from experiments.completions import completion_fields
from experiments.context import ModelRun, StageResult
from experiments.items import choose_targets, item_prompt, plan_items
from experiments.progress import Tick
from experiments.questions.pool import load_questions
from experiments.records import Condition, Item, Prompt, Rollout
from experiments.seeds import stable_int
from experiments.tables import RecordTable

_SECOND_PASS: tuple[Condition, ...] = ("hinted", "swapped", "neutral")


@dataclass(frozen=True)
class _Request:
    """One rollout to be sampled."""

    item: Item
    condition: Condition
    index: int
    prompt: Prompt
    rendered: RenderedPrompt
    seed: int

    @property
    def id(self) -> str:
        return f"{self.item.id}:{self.condition}:{self.index}"


def items_table(folder: Path) -> RecordTable[Item]:
    """The items of a generate stage, targets chosen."""
    return RecordTable(folder / "items.jsonl", Item)


def rollouts_table(folder: Path) -> RecordTable[Rollout]:
    """The rollouts of a generate stage."""
    return RecordTable(folder / "rollouts.jsonl", Rollout)


def run_generate(run: ModelRun) -> StageResult:
    """Generate all rollouts of a model, or find them."""
    config = run.config
    settings = config.generate.model_dump(exclude={"token_budget"})
    depends = (config.questions, run.limit, config.hints, settings, config.seed, config.dtype)
    return run.stage("generate", depends, lambda folder: _generate(run, folder), uses_model=True)


def _generate(run: ModelRun, folder: Path) -> dict[str, Any]:
    config = run.config
    questions, dropped = load_questions(config.questions, run.limit, config.seed)
    planned = plan_items(questions, config.hints, config.seed)
    table = rollouts_table(folder)
    done = {rollout.id: rollout for rollout in table.read()}
    n_rollouts = len(planned) * config.generate.rollouts * (1 + len(_SECOND_PASS))
    with run.reporter.bar("generate", n_rollouts) as tick:
        _sample(run, _requests(run, planned, ("unhinted",)), done, table, tick)
        items = [_aim(item, done, config.hints.on_belief, config.seed) for item in planned]
        items_table(folder).replace(items)
        _sample(run, _requests(run, items, _SECOND_PASS), done, table, tick)
    return {
        "questions": len(questions),
        "items": len(items),
        "rollouts": len(done),
        "unparsed": sum(rollout.answer is None for rollout in done.values()),
        "truncated": sum(rollout.truncated for rollout in done.values()),
        "without_swap_target": sum(item.swap_target is None for item in items),
        "swapped_of_other_length": _unequal_lengths(done),
        "dropped_questions": dropped,
    }


def _aim(item: Item, done: dict[str, Rollout], on_belief: float | None, seed: int) -> Item:
    answers, index = [], 0
    while (rollout := done.get(f"{item.id}:unhinted:{index}")) is not None:
        answers.append(rollout.answer)
        index += 1
    return choose_targets(item, answers, on_belief, seed)


def _requests(run: ModelRun, items: Sequence[Item], conditions: Sequence[Condition]) -> list[_Request]:
    """All rollouts of these conditions.

    Conditions and items of one question share their seeds: the same noise falls on each, so a difference is the
    prompt's.
    """
    requests = []
    for item in items:
        for condition in conditions:
            if condition == "swapped" and item.swap_target is None:
                continue
            prompt = item_prompt(item, condition)
            rendered = render_chat(run.loaded, prompt)
            for index in range(run.config.generate.rollouts):
                seed = stable_int(run.config.seed, "sampling", item.question.id, index)
                requests.append(_Request(item, condition, index, prompt, rendered, seed))
    return requests


def _sample(
    run: ModelRun, requests: list[_Request], done: dict[str, Rollout], table: RecordTable[Rollout], tick: Tick
) -> None:
    """Sample what is not there yet; equal prompts with equal seeds run through the model once."""
    settings = run.config.generate
    alike: dict[tuple[tuple[int, ...], int], list[_Request]] = defaultdict(list)
    for request in requests:
        if request.id in done:
            tick(1)
        else:
            alike[request.rendered.encoded.ids, request.seed].append(request)
    keys = list(alike)

    def keep(indices: list[int], completions: list[Completion]) -> None:
        records = [
            _record(run, request, completion)
            for i, completion in zip(indices, completions, strict=True)
            for request in alike[keys[i]]
        ]
        table.append(records)
        done.update({record.id: record for record in records})
        tick(len(records))

    decoding = Decoding(settings.temperature, settings.max_new_tokens, settings.token_budget)
    generate(run.loaded, [ids for ids, _ in keys], decoding, seeds=[seed for _, seed in keys], on_batch=keep)


def _record(run: ModelRun, request: _Request, completion: Completion) -> Rollout:
    prompt_text = request.rendered.encoded.text
    n_options, temperature = len(request.item.question.options), run.config.generate.temperature
    return Rollout(
        id=request.id,
        item_id=request.item.id,
        condition=request.condition,
        index=request.index,
        prompt=request.prompt,
        prompt_text=prompt_text,
        prompt_ids=request.rendered.encoded.ids,
        **completion_fields(run.loaded.tokenizer, completion, prompt_text, n_options, request.seed, temperature),
    )


def _unequal_lengths(done: dict[str, Rollout]) -> int:
    """How many swapped prompts could not be made as long as the hinted ones."""
    lengths = {(r.item_id, r.condition): len(r.prompt_ids) for r in done.values() if r.index == 0}
    return sum(
        lengths[item, "swapped"] != lengths[item, "hinted"] for item, condition in lengths if condition == "swapped"
    )
