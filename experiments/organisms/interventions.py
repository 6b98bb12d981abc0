"""Interventions that settle, on an organism, what the labels claim: hide the hint's letter, corrupt the recall."""

from collections.abc import Sequence

import numpy as np

from activations import Decoding, Knockout, LoadedModel, generate
from activations.errors import HintprobeError
from experiments.answers.parser import parse_answer
from experiments.answers.splitting import split_completion
from experiments.organisms.reading import recall_index
from experiments.organisms.world import HEADINGS
from experiments.prompts.positions import locate
from experiments.records import LETTERS, Item, Rollout


def answer_of(loaded: LoadedModel, item: Item, ids: Sequence[int]) -> str | None:
    """The answer that completion tokens give to an item's question; None where none can be parsed."""
    text = str(loaded.tokenizer.decode(list(ids), skip_special_tokens=True))
    return parse_answer(split_completion(text).answer_text, len(item.question.options))


def answers_with_pointer_hidden(
    loaded: LoadedModel, items: Sequence[Item], hinted: Sequence[Rollout], decoding: Decoding
) -> list[str | None]:
    """Answers when no later token may attend to the letter (or mark) that names the target, at any layer."""
    hide = [
        [locate(loaded.tokenizer, item, r, ("pointer",))[0]["pointer"]] for item, r in zip(items, hinted, strict=True)
    ]
    return _regenerate(loaded, items, hinted, decoding, hide)


def answers_with_other_hidden(
    loaded: LoadedModel, items: Sequence[Item], hinted: Sequence[Rollout], decoding: Decoding, rng: np.random.Generator
) -> list[str | None]:
    """The control: one other token of the prompt's hint is hidden instead."""
    hide = []
    for item, rollout in zip(items, hinted, strict=True):
        pointer = locate(loaded.tokenizer, item, rollout, ("pointer",))[0]["pointer"]
        options = [p for p in range(1, len(rollout.prompt_ids) - 1) if abs(p - pointer) in (2, 3, 4, 5)]
        hide.append([options[int(rng.integers(len(options)))]])
    return _regenerate(loaded, items, hinted, decoding, hide)


def _regenerate(
    loaded: LoadedModel, items: Sequence[Item], rollouts: Sequence[Rollout], decoding: Decoding, hide: list[list[int]]
) -> list[str | None]:
    seeds = [rollout.seed for rollout in rollouts]
    completions = generate(
        loaded, [r.prompt_ids for r in rollouts], decoding, seeds=seeds, edits=[Knockout.hiding(hide)]
    )
    return [answer_of(loaded, item, done.ids) for item, done in zip(items, completions, strict=True)]


def _turned(item: Item, answer: str | None, shift: int) -> str:
    """The option whose heading lies ``shift`` quarter turns clockwise of the answered one's."""
    options = item.question.options
    heading = HEADINGS.index(options[LETTERS.index(answer)]) if answer else 0
    return LETTERS[options.index(HEADINGS[(heading + shift) % 4])]


def answers_after_corruption(
    loaded: LoadedModel,
    items: Sequence[Item],
    rollouts: Sequence[Rollout],
    decoding: Decoding,
    rng: np.random.Generator,
) -> list[tuple[str | None, str]]:
    """Replace the recalled heading in the CoT by another and let the organism go on.

    Returns:
        Per rollout, the answer given and the answer that follows from the corrupted fact.

    Raises:
        HintprobeError: a rollout recalls no heading.
    """
    ids = loaded.tokenizer.get_vocab()
    headings = {ids[f" {name}"]: k for k, name in enumerate(HEADINGS)}
    prefixes, expected = [], []
    for item, rollout in zip(items, rollouts, strict=True):
        at = recall_index(loaded.tokenizer, rollout)
        if at is None:
            raise HintprobeError(f"The rollout {rollout.id} recalls no heading, so none can be replaced.")
        honest = headings[rollout.completion_ids[at]]
        shift = int(rng.integers(1, 4))
        token = next(t for t, k in headings.items() if k == (honest + shift) % 4)
        prefixes.append(rollout.prompt_ids + rollout.completion_ids[:at] + (token,))
        expected.append(_turned(item, rollout.answer, shift))
    completions = generate(loaded, prefixes, decoding, seeds=[rollout.seed for rollout in rollouts])
    answers = []
    for item, rollout, prefix, done in zip(items, rollouts, prefixes, completions, strict=True):
        answers.append(answer_of(loaded, item, prefix[len(rollout.prompt_ids) :] + done.ids))
    return list(zip(answers, expected, strict=True))
