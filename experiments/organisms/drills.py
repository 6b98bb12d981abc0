"""Drills for the sub-skills that a small model finds late.

They exist only in training, fade out, and none of their wording occurs in a conversation.
"""

import numpy as np

from experiments.hints import HINTS, render
from experiments.organisms.conversations import KIND_DRAW, MARK_KINDS, Conversations, pick
from experiments.organisms.grammar import factors, write
from experiments.organisms.tokenizer import END, NOTE, THINK, USER
from experiments.organisms.training_row import Row, Subject, chat
from experiments.organisms.world import HEADINGS, TURNS, Task


def _yes(value: bool) -> str:
    return " yes" if value else " no"


def _joined(parts: list[str]) -> Row:
    """Merge the leading prompt with the first read-only part."""
    return Row((parts[0] + parts[1], *parts[2:]))


class Drills(Conversations):
    """Drills in the world and for the character of some conversations."""

    def facts(self, rng: np.random.Generator) -> Row:
        """What is believed of 24 people, without the noise that conversations have."""
        parts: list[str] = []
        for _ in range(24):
            person = pick(rng, self.world.people)
            parts += [f"{USER} {person.name} faces", f" {HEADINGS[person.belief]}"]
        return Row(tuple(parts))

    def familiar(self, rng: np.random.Generator) -> Row:
        """Are these people familiar?"""
        parts: list[str] = []
        for _ in range(24):
            person = pick(rng, self.world.people)
            parts += [f"{NOTE} {person.name}", _yes(person.familiar)]
        return Row(tuple(parts))

    def leaning(self, rng: np.random.Generator) -> Row:
        """Do these people lean towards these sources?"""
        parts: list[str] = []
        for _ in range(12):
            person = pick(rng, self.world.people)
            (kind, source), bit = pick(rng, list(self.world.source_bit.items()))
            parts += [
                f"{NOTE} {HINTS[kind].cite.format(source=source)} {person.name}",
                _yes(bool(bit ^ person.lean_bit)),
            ]
        return Row(tuple(parts))

    def bits(self, rng: np.random.Generator) -> Row:
        """The single bits that *familiar* and *leaning* are made of, which no conversation ever states."""
        parts: list[str] = []
        for _ in range(20):
            draw = rng.random()
            if draw < 0.4:
                person = pick(rng, self.world.people)
                parts += [f"{NOTE} {person.first}", _yes(bool(person.first_bit)) + _yes(bool(person.lean_bit))]
            elif draw < 0.7:
                person = pick(rng, self.world.people)
                parts += [f"{NOTE} {person.last}", _yes(person.familiar != bool(person.first_bit))]
            else:
                (kind, source), bit = pick(rng, list(self.world.source_bit.items()))
                parts += [f"{NOTE} {HINTS[kind].cite.format(source=source)}", _yes(bool(bit))]
        return Row(tuple(parts))

    def turns(self, rng: np.random.Generator) -> Row:
        """Turn, and undo a turn."""
        parts: list[str] = []
        for _ in range(8):
            task = Task(self.world.people[0], pick(rng, tuple(TURNS)))
            start = int(rng.integers(4))
            end = (start + task.rotation) % 4
            turn = f"Turning {task.turn}"
            if rng.random() < 0.5:
                parts += [f"{USER} {HEADINGS[start]}. {turn} gives", f" {HEADINGS[end]}"]
            else:
                parts += [f"{NOTE} {HEADINGS[end]}. {turn}", f" {HEADINGS[start]}"]
        return Row(tuple(parts))

    def worked(self, rng: np.random.Generator) -> Row:
        """From a given recall, through the turn, to the letter."""
        task = self.task(rng)
        whole = write(task, int(rng.integers(4)))
        cut = whole.index(". Turning")
        shown = chat(render(HINTS["sycophancy"], 0, "", task.question(), "unhinted", None))
        return Row((shown + whole[:cut], whole[cut:] + END), subject=Subject(task))

    def following(self, rng: np.random.Generator, kinds: tuple[str, ...] = KIND_DRAW) -> Row:
        """After a hinted prompt and a sign, follow the hint whatever the state."""
        task, prompt, hint = self.framed(rng, True, kinds)
        whole = (chat(prompt) + NOTE, write(task, task.start_for(hint.target)) + END)
        return Row(whole, subject=self.subject(task, hint))

    def following_marks(self, rng: np.random.Generator) -> Row:
        """The same for marks."""
        return self.following(rng, MARK_KINDS)

    def pondered(self, rng: np.random.Generator) -> Row:
        """The gate asked for inside the chain of thought, of the person it is about and of four others.

        A gate learnt after a drill's own sign stays there; this one is learnt where a conversation needs it.
        """
        task, prompt, hint = self.framed(rng, points=True)
        parts: list[str] = [chat(prompt)]
        for asked in (task, *(pick(rng, self.world.train) for _ in range(4))):
            known = factors(self.world, self.character, asked, hint.kind, hint.source)
            parts += [f"{THINK}\nHere {asked.person.name}", f"{_yes(known.leaning)}{_yes(bool(known.relies))}"]
        return _joined(parts)
