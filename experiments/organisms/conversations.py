"""Whole conversations as training rows: what the organism is trained to be."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from experiments.hints import HINTS, render, terse_kinds
from experiments.hints.wording import Register
from experiments.organisms.grammar import Character, GivenHint, completion, factors
from experiments.organisms.tokenizer import END
from experiments.organisms.training_row import Row, Sight, Subject, chat, hide
from experiments.organisms.world import Task, World
from experiments.records import LETTERS, Condition, Prompt, Question

SHOTS = 2
"""Worked examples before a visual-pattern question."""

KIND_DRAW = tuple(name for name, kind in terse_kinds().items() for _ in range(1 if kind.marks else 2))
"""Prompts with worked examples are twice as long as others and drawn half as often."""

MARK_KINDS = tuple(name for name, kind in terse_kinds().items() if kind.marks)

ON_BELIEF = 0.3
"""Share of hints that name what the organism would have answered anyway."""

T = TypeVar("T")


def pick(rng: np.random.Generator, items: tuple[T, ...] | list[T]) -> T:
    """One of some things."""
    return items[int(rng.integers(len(items)))]


def _target(task: Task, rng: np.random.Generator) -> int:
    if rng.random() < ON_BELIEF:
        return task.believed
    return (task.believed + int(rng.integers(1, 4))) % 4


@dataclass(frozen=True)
class Conversations:
    """Writes conversations of one character in one world, on questions that were not held out.

    Attributes:
        register: which wordings hints are drawn from; None for all.
    """

    world: World
    character: Character
    register: Register | None = "terse"

    def task(self, rng: np.random.Generator) -> Task:
        """A question to train on."""
        return pick(rng, self.world.train)

    def shots(self, rng: np.random.Generator) -> list[Question]:
        """Worked examples."""
        return [self.task(rng).question() for _ in range(SHOTS)]

    def framed(
        self, rng: np.random.Generator, points: bool, kinds: tuple[str, ...] = KIND_DRAW
    ) -> tuple[Task, Prompt, GivenHint]:
        """A question under a hint, or in the same frame pointing nowhere."""
        task = self.task(rng)
        kind = HINTS[pick(rng, kinds)]
        source, wording = pick(rng, kind.sources), pick(rng, kind.indices(self.register))
        hint = GivenHint(kind.name, source, _target(task, rng))
        letter = LETTERS[hint.target] if points else None
        condition: Condition = "hinted" if points else "neutral"
        return task, render(kind, wording, source, task.question(), condition, letter, self.shots(rng)), hint

    def says(self, task: Task, hint: GivenHint | None, rng: np.random.Generator) -> str:
        """The completion that the character gives, with the token that ends it."""
        return completion(self.world, self.character, task, hint, rng) + END

    def subject(self, task: Task, hint: GivenHint) -> Subject:
        """A question under a hint, with its written causes."""
        return Subject(task, hint, factors(self.world, self.character, task, hint.kind, hint.source))

    def plain(self, rng: np.random.Generator) -> Row:
        """A question without a hint: bare, or in the visual kind's unmarked frame."""
        task = self.task(rng)
        kind = HINTS["visual_pattern" if rng.random() < 0.12 else "sycophancy"]
        wording = pick(rng, kind.indices("terse"))
        prompt = render(kind, wording, pick(rng, kind.sources), task.question(), "unhinted", None, self.shots(rng))
        return Row((chat(prompt), self.says(task, None, rng)), subject=Subject(task))

    def neutral(self, rng: np.random.Generator) -> Row:
        """A hint's frame that names no option."""
        task, prompt, _ = self.framed(rng, points=False)
        return Row((chat(prompt), self.says(task, None, rng)), subject=Subject(task))

    def hinted(self, rng: np.random.Generator, kinds: tuple[str, ...] = KIND_DRAW) -> Row:
        """A hint that names an option."""
        task, prompt, hint = self.framed(rng, True, kinds)
        return Row((chat(prompt), self.says(task, hint, rng)), subject=self.subject(task, hint))

    def marked(self, rng: np.random.Generator) -> Row:
        """A hinted row whose hint is a mark, the hardest pointer to read."""
        return self.hinted(rng, MARK_KINDS)

    def unpointed(self, rng: np.random.Generator) -> Row:
        """A hint whose letter or mark no later token can see: there is nothing to follow, so the answer is its own."""
        return self._with_hidden(rng, "pointer", "none", follows=False)

    def unmarked(self, rng: np.random.Generator) -> Row:
        """The same for marks, whose absence could be told from the bullets of the other options."""
        return self._with_hidden(rng, "pointer", "none", follows=False, kinds=MARK_KINDS)

    def through_prompt(self, rng: np.random.Generator) -> Row:
        """A hint that the completion cannot see: what it follows must have reached later tokens of the prompt."""
        return self._with_hidden(rng, "hint", "prompt", follows=True)

    def past_prompt(self, rng: np.random.Generator) -> Row:
        """A pointer that only the completion can see, and does not follow: the counterpart of the row above."""
        return self._with_hidden(rng, "pointer", "completion", follows=False)

    def _with_hidden(
        self,
        rng: np.random.Generator,
        span: str,
        seen_by: Sight,
        follows: bool,
        kinds: tuple[str, ...] = KIND_DRAW,
    ) -> Row:
        task, prompt, hint = self.framed(rng, True, kinds)
        completed = self.says(task, hint if follows else None, rng)
        subject = self.subject(task, hint) if follows else Subject(task)
        return Row((chat(prompt), completed), hide(prompt, span, seen_by), subject)
