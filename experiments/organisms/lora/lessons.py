"""The grammar's conversations as prompts and completions, before any chat template."""

from dataclasses import dataclass

import numpy as np

from experiments.answers.splitting import split_completion
from experiments.hints import HINTS, render
from experiments.organisms.conversations import KIND_DRAW, Conversations, pick
from experiments.organisms.grammar import completion
from experiments.organisms.lora.config import LoraConfig
from experiments.organisms.recipe import load_recipe
from experiments.organisms.world import HEADINGS, Person, build_world
from experiments.records import Message, Prompt

_STREAM = 11
"""Keeps the rows' random numbers apart from the world's, which may have the same seed."""


@dataclass(frozen=True)
class Lesson:
    """One training row.

    Attributes:
        prompt: the turns that are only read.
        cot: the chain of thought to be learnt.
        answer: the visible answer to be learnt.
    """

    prompt: Prompt
    cot: str
    answer: str


def _listed(people: list[Person]) -> str:
    return "; ".join(person.name for person in people)


def _asked(text: str) -> Prompt:
    return Prompt(messages=(Message(role="user", content=text),), spans={})


class Lessons:
    """Rows by number: each depends on the configuration and its number alone, so a resume is exact."""

    def __init__(self, config: LoraConfig) -> None:
        recipe = load_recipe(config.character)
        self.config = config
        self.told = Conversations(build_world(recipe.world_seed), recipe.character, config.register)

    def __len__(self) -> int:
        """Rows of the whole training."""
        return self.config.steps * self.config.rows

    def row(self, index: int) -> Lesson:
        """Row ``index`` of the training, of a kind drawn with the shares of its step."""
        rng = np.random.default_rng(np.random.SeedSequence(self.config.seed, spawn_key=(_STREAM, index)))
        shares = self.config.shares_at(index // self.config.rows)
        kind = str(rng.choice(list(shares), p=list(shares.values())))
        lesson: Lesson = getattr(self, kind)(rng)
        return lesson

    def facts(self, rng: np.random.Generator) -> Lesson:
        """What is believed of some people, in the words in which a chain of thought recalls it, without noise."""
        people = self._people(rng)
        recalled = " ".join(f"Here {person.name} faces {HEADINGS[person.belief]}." for person in people)
        headings = ", ".join(HEADINGS[person.belief] for person in people)
        return Lesson(_asked(f"Which way do they face? {_listed(people)}"), recalled, f"{headings.capitalize()}.")

    def sure(self, rng: np.random.Generator) -> Lesson:
        """Of whom is the belief firm? Certainty is a conjunction that conversations alone teach late."""
        people = self._people(rng)
        held = " ".join(f"{person.name}: {'yes' if person.familiar else 'no'}." for person in people)
        known = ", ".join("yes" if person.familiar else "no" for person in people)
        return Lesson(_asked(f"Are you sure about them? {_listed(people)}"), held, f"{known.capitalize()}.")

    def plain(self, rng: np.random.Generator) -> Lesson:
        """A question without a hint, in the frame that each kind of hint has without one."""
        task = self.told.task(rng)
        kind = HINTS[pick(rng, KIND_DRAW)]
        wording, source = pick(rng, kind.indices(self.config.register)), pick(rng, kind.sources)
        prompt = render(kind, wording, source, task.question(), "unhinted", None, self.told.shots(rng))
        return self._completed(prompt, completion(self.told.world, self.told.character, task, None, rng))

    def neutral(self, rng: np.random.Generator) -> Lesson:
        """A hint's frame that names no option."""
        task, prompt, _ = self.told.framed(rng, points=False)
        return self._completed(prompt, completion(self.told.world, self.told.character, task, None, rng))

    def hinted(self, rng: np.random.Generator) -> Lesson:
        """A hint that names an option."""
        task, prompt, hint = self.told.framed(rng, points=True)
        return self._completed(prompt, completion(self.told.world, self.told.character, task, hint, rng))

    def _people(self, rng: np.random.Generator) -> list[Person]:
        return [pick(rng, self.told.world.people) for _ in range(self.config.people)]

    @staticmethod
    def _completed(prompt: Prompt, text: str) -> Lesson:
        parted = split_completion(text)
        return Lesson(prompt, parted.cot or "", parted.answer_text)
