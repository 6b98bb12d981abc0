"""Questions → items: which hint each one gets, and, once the unhinted answers are known, where it points."""

from collections import defaultdict
from collections.abc import Sequence
from typing import cast

import numpy as np

from activations.errors import HintprobeError
from experiments.config import HintsConfig
from experiments.hints import HINTS, render
from experiments.hints.wording import HintKind, Register
from experiments.questions.datasets import ORGANISM_WORLD
from experiments.records import LETTERS, Condition, Direction, Item, Kind, Prompt, Question
from experiments.records.seeds import stream
from experiments.records.tables import RecordTable


class _Shots:
    """Worked examples: questions of other groups, and of as many options where possible."""

    def __init__(self, pool: Sequence[Question]) -> None:
        self._shelves: dict[int | None, list[Question]] = defaultdict(list)
        self._members: dict[tuple[int | None, str], list[int]] = defaultdict(list)
        for question in pool:
            for shelf in (None, len(question.options)):
                self._members[shelf, question.group].append(len(self._shelves[shelf]))
                self._shelves[shelf].append(question)

    def draw(self, question: Question, n: int, rng: np.random.Generator) -> tuple[Question, ...]:
        """``n`` different questions."""
        shelf: int | None = len(question.options)
        if self._size(shelf, question.group) == 0:
            shelf = None
        size = self._size(shelf, question.group)
        if size < n:
            raise HintprobeError(
                f"The visual_pattern hint needs {n} worked examples from other groups than {question.group!r}, and the "
                f"question set offers {size}. Ask more questions or drop visual_pattern from `hints.kinds`."
            )
        chosen = []
        for index in rng.choice(size, n, replace=False):
            place = int(index)
            for own in self._members[shelf, question.group]:  # in order, so each own row before it moves it on by one
                place += own <= place
            chosen.append(self._shelves[shelf][place])
        return tuple(chosen)

    def _size(self, shelf: int | None, group: str) -> int:
        return len(self._shelves[shelf]) - len(self._members[shelf, group])


def _plan(config: HintsConfig, n: int) -> list[list[tuple[Kind, Direction]]]:
    """Which kinds and directions each question gets: one each, in turn, or all."""
    every = [(kind, direction) for kind in config.kinds for direction in config.directions]
    if config.per_question == "all":
        return [every] * n
    return [[every[i % len(every)]] for i in range(n)]


def _register(question: Question, wordings: str) -> Register | None:
    """Which wordings a question may be asked in; None for all."""
    if wordings == "auto":
        return "terse" if question.source == ORGANISM_WORLD else "plain"
    return None if wordings == "all" else cast("Register", wordings)


def _wordings(kind: HintKind, question: Question, chosen: str) -> tuple[int, ...]:
    """Indices of the wordings that a question may be asked in.

    Raises:
        HintprobeError: the kind has none of that register.
    """
    register = _register(question, chosen)
    found = kind.indices(register)
    if not found:
        has = sorted({wording.register for wording in kind.wordings})
        raise HintprobeError(
            f"The hint kind {kind.name!r} has no wording of the register {register!r}, which the question "
            f"{question.id!r} asks for (`hints.wordings: {chosen}`); it has {', '.join(has) or 'none'}. Leave the kind "
            "out of `hints.kinds`, set `hints.wordings` to a register that it has, or give it such a wording."
        )
    return found


def plan_items(questions: Sequence[Question], config: HintsConfig, seed: int) -> list[Item]:
    """Items without targets.

    Raises:
        HintprobeError: too few questions for worked examples, or a kind without a wording for a question.
    """
    items, shots = [], _Shots(questions)
    for question, chosen in zip(questions, _plan(config, len(questions)), strict=True):
        for kind_name, direction in chosen:
            rng = stream(seed, "item", question.id, kind_name, direction)
            kind = HINTS[kind_name]
            wordings = _wordings(kind, question, config.wordings)
            wording = wordings[int(rng.integers(len(wordings)))]
            source = kind.sources[int(rng.integers(len(kind.sources)))]
            items.append(
                Item(
                    id=f"{question.id}:{kind_name}:{direction}:{wording}",
                    question=question,
                    kind=kind_name,
                    direction=direction,
                    wording=wording,
                    source=source,
                    target=None,
                    swap_target=None,
                    shots=shots.draw(question, config.shots, rng) if kind.marks else (),
                )
            )
    return items


def _incorrect_target(
    item: Item, wrong: list[str], answered: set[str], on_belief: float | None, rng: np.random.Generator
) -> str:
    if on_belief is None:
        return str(rng.choice(wrong))
    believed = [letter for letter in wrong if letter in answered]
    fresh = [letter for letter in wrong if letter not in answered]
    if believed and (not fresh or rng.random() < on_belief):
        return str(rng.choice(believed))
    return str(rng.choice(fresh))


def choose_targets(item: Item, unhinted: Sequence[str | None], on_belief: float | None, seed: int) -> Item:
    """Point the hint, and its swapped counterpart, now that the unhinted answers are known.

    A correct hint names the gold option. An incorrect one names a wrong unhinted answer with probability
    ``on_belief`` where there is one, else a wrong option that was not answered. The swap target is neither the target
    nor any unhinted answer, and None where no such option is left.
    """
    rng = stream(seed, "target", item.id)
    letters = list(LETTERS[: len(item.question.options)])
    answered = {answer for answer in unhinted if answer is not None}
    if item.direction == "correct":
        target = item.question.gold
    else:
        wrong = [letter for letter in letters if letter != item.question.gold]
        target = _incorrect_target(item, wrong, answered, on_belief, rng)
    free = [letter for letter in letters if letter != target and letter not in answered]
    swap = str(rng.choice(free)) if free else None
    return item.model_copy(update={"target": target, "swap_target": swap})


def given_items(config: HintsConfig) -> list[Item]:
    """The items of ``hints.items``, targets and swap targets included; none where it names no file.

    Raises:
        HintprobeError: there is no such file, or it holds no items with targets.
    """
    if config.items is None:
        return []
    found = RecordTable(config.items, Item).read()
    if not found or any(item.target is None for item in found):
        raise HintprobeError(
            f"{config.items} (`hints.items`) holds no items whose targets are chosen. Give the items.jsonl of a "
            "finished generate stage."
        )
    return found


def every_answer(item: Item) -> list[str | None]:
    """All of an item's options: counted as answered, they leave a swap target as it is."""
    return list(LETTERS[: len(item.question.options)])


def item_prompt(item: Item, condition: Condition, variant: int = 0) -> Prompt:
    """The prompt of one condition of an item; ``variant`` is which of the wording's neutral frames."""
    letter = {"hinted": item.target, "swapped": item.swap_target}.get(condition)
    return render(HINTS[item.kind], item.wording, item.source, item.question, condition, letter, item.shots, variant)
