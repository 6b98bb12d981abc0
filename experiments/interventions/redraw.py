"""Completions drawn again: with fresh seeds, or with the model edited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activations import Completion, generate
from experiments.engines.completions import completion_fields
from experiments.prompts.positions import locate
from experiments.records import LETTERS, Item, Rollout
from experiments.records.seeds import stable_int
from experiments.records.tables import RecordTable
from experiments.run.model_run import ModelRun
from experiments.run.progress import Tick
from experiments.run.sampling import decoding_of
from probes.mediation import Continuation


@dataclass(frozen=True)
class Draw:
    """One completion to be drawn: the prompt of ``base``, under a name and a seed of its own."""

    id: str
    item: Item
    base: Rollout
    seed: int

    def rollout(self, tokenizer: Any, completion: Completion, temperature: float) -> Rollout:
        """The rollout that a completion makes."""
        options, prompt = self.item.question.options, self.base.prompt_text
        fields = completion_fields(tokenizer, completion, prompt, len(options), self.seed, temperature, options)
        return self.base.model_copy(update={"id": self.id, "forced_answer": None, **fields})


def fresh_seed(run: ModelRun, item: Item, index: int) -> int:
    """A seed that no rollout of the generate stage had; the conditions of an item share it."""
    return stable_int(run.config.seed, "fresh", item.question.id, index)


def draw_fresh(
    run: ModelRun,
    draws: Sequence[Draw],
    temperature: float,
    table: RecordTable[Rollout],
    done: dict[str, Rollout],
    tick: Tick,
) -> dict[str, Rollout]:
    """Draw what is not done yet, and keep it in the table and in ``done``, batch by batch."""
    left = [draw for draw in draws if draw.id not in done]
    tick(len(draws) - len(left))

    def keep(indices: list[int], completions: list[Completion]) -> None:
        new = [
            left[i].rollout(run.loaded.tokenizer, completion, temperature)
            for i, completion in zip(indices, completions, strict=True)
        ]
        table.append(new)
        done.update({rollout.id: rollout for rollout in new})
        tick(len(new))

    decoding = decoding_of(run, temperature)
    if left:
        rows, seeds = [draw.base.prompt_ids for draw in left], [draw.seed for draw in left]
        generate(run.loaded, rows, decoding, seeds=seeds, on_batch=keep, on_step=run.reporter.step)
    return {draw.id: done[draw.id] for draw in draws}


def option_tokens(tokenizer: Any, token: int, answer: str, letters: str) -> tuple[int, ...] | str:
    """The token of every option in the place of the token that states ``answer``, or why there is none."""
    piece = tokenizer.convert_ids_to_tokens(token)
    if piece.count(answer) != 1:
        return "the answer letter has no token of its own"
    pieces = [piece.replace(answer, letter) for letter in letters]
    found = tokenizer.convert_tokens_to_ids(pieces)
    if None in found or tokenizer.convert_ids_to_tokens(found) != pieces:
        return "the options are not one token each"
    return tuple(found)


def up_to_answer(tokenizer: Any, item: Item, rollout: Rollout) -> Continuation | str:
    """A completion cut just before its answer letter, or why it cannot be."""
    found, missing = locate(tokenizer, item, rollout, ("pre_answer",))
    if missing:
        return "truncated" if rollout.truncated else missing["pre_answer"]
    at = found["pre_answer"] + 1 - len(rollout.prompt_ids)
    letters = LETTERS[: len(item.question.options)]
    options = option_tokens(tokenizer, rollout.completion_ids[at], str(rollout.answer), letters)
    return options if isinstance(options, str) else Continuation(rollout.completion_ids[:at], options)
