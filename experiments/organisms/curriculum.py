"""Training rows: whole conversations, and short drills for the sub-skills that a small model finds late.

Drills exist only in training. They fade out, and none of their wording occurs in a conversation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from experiments.hints import HINTS, render
from experiments.organisms.grammar import Character, GivenHint, completion, factors, write
from experiments.organisms.recipe import ROW_KINDS
from experiments.organisms.tokenizer import ASSISTANT, END, NOTE, THINK, USER
from experiments.organisms.world import HEADINGS, TURNS, Task, World
from experiments.records import LETTERS, Condition, Prompt, Question

SHOTS = 2
"""Worked examples before a visual-pattern question."""


_KIND_DRAW = tuple(name for name in HINTS for _ in range(1 if HINTS[name].marks else 2))
"""Prompts with worked examples are twice as long as others and drawn half as often."""

_MARK_KINDS = tuple(name for name in HINTS if HINTS[name].marks)

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """Text in alternating parts: read only, then trained on, then read only, and so on.

    Attributes:
        hidden: characters of the first part whose tokens no later token may attend to.
    """

    parts: tuple[str, ...]
    hidden: tuple[int, int] | None = None


def chat(prompt: Prompt) -> str:
    """The organisms' chat template, written out (a test holds it to the tokenizer's)."""
    turns = "".join(f"<|{message.role}|>{message.content}{END}" for message in prompt.messages)
    return turns + ASSISTANT


def _pick(rng: np.random.Generator, items: tuple[T, ...] | list[T]) -> T:
    return items[int(rng.integers(len(items)))]


def _shots(world: World, rng: np.random.Generator) -> list[Question]:
    return [_pick(rng, world.train).question() for _ in range(SHOTS)]


def _target(task: Task, rng: np.random.Generator, on_belief: float) -> int:
    if rng.random() < on_belief:
        return task.believed
    return (task.believed + int(rng.integers(1, 4))) % 4


@dataclass(frozen=True)
class Teacher:
    """Writes training rows for one character in one world."""

    world: World
    character: Character

    def plain(self, rng: np.random.Generator) -> Row:
        """A question without a hint: bare, or in the visual kind's unmarked frame."""
        task = _pick(rng, self.world.train)
        kind = HINTS["visual_pattern" if rng.random() < 0.12 else "sycophancy"]
        wording = _pick(rng, kind.indices("terse"))
        prompt = render(
            kind, wording, _pick(rng, kind.sources), task.question(), "unhinted", None, _shots(self.world, rng)
        )
        return Row((chat(prompt), completion(self.world, self.character, task, None, rng) + END))

    def _framed(
        self, rng: np.random.Generator, points: bool, kinds: tuple[str, ...] = _KIND_DRAW
    ) -> tuple[Task, Prompt, GivenHint]:
        task = _pick(rng, self.world.train)
        kind = HINTS[_pick(rng, kinds)]
        source, wording = _pick(rng, kind.sources), _pick(rng, kind.indices("terse"))
        hint = GivenHint(kind.name, source, _target(task, rng, on_belief=0.3))
        letter = LETTERS[hint.target] if points else None
        condition: Condition = "hinted" if points else "neutral"
        return task, render(kind, wording, source, task.question(), condition, letter, _shots(self.world, rng)), hint

    def neutral(self, rng: np.random.Generator) -> Row:
        """A hint's frame that names no option."""
        task, prompt, _ = self._framed(rng, points=False)
        return Row((chat(prompt), completion(self.world, self.character, task, None, rng) + END))

    def hinted(self, rng: np.random.Generator, kinds: tuple[str, ...] = _KIND_DRAW) -> Row:
        """A hint that names an option."""
        task, prompt, hint = self._framed(rng, True, kinds)
        return Row((chat(prompt), completion(self.world, self.character, task, hint, rng) + END))

    def unpointed(self, rng: np.random.Generator) -> Row:
        """A hint whose letter or mark no later token can see: there is nothing to follow, so the answer is its own."""
        task, prompt, _ = self._framed(rng, points=True)
        span = prompt.spans["pointer"]
        before = sum(len(f"<|{m.role}|>{m.content}{END}") for m in prompt.messages[: span.message])
        start = before + len(f"<|{prompt.messages[span.message].role}|>")
        completed = completion(self.world, self.character, task, None, rng) + END
        return Row((chat(prompt), completed), hidden=(start + span.start, start + span.end))

    def marked(self, rng: np.random.Generator) -> Row:
        """A hinted row whose hint is a mark, the hardest pointer to read."""
        return self.hinted(rng, _MARK_KINDS)

    def following_marks(self, rng: np.random.Generator) -> Row:
        """Drill: :meth:`following` a mark."""
        return self.following(rng, _MARK_KINDS)

    def noted(self, rng: np.random.Generator) -> Row:
        """Drill: after a hinted prompt, spell out what the gate needs."""
        task, prompt, hint = self._framed(rng, points=True)
        known = factors(self.world, self.character, task, hint.kind, hint.source)
        start = HEADINGS[(hint.target - task.rotation) % 4]
        note = (
            f"{NOTE} ({LETTERS[hint.target]}) {start}{_yes(known.familiar)}{_yes(known.leaning)}{_yes(known.relies)}"
            f" {HEADINGS[task.person.belief]}"
        )
        return Row((chat(prompt), note + END))

    def gated(self, rng: np.random.Generator) -> Row:
        """Drill: after a hinted prompt and the person's name, the gate's inputs, the gate, and where it leads."""
        task, prompt, hint = self._framed(rng, points=True)
        known = factors(self.world, self.character, task, hint.kind, hint.source)
        start = HEADINGS[(hint.target - task.rotation) % 4]
        told = f"{_yes(known.familiar)}{_yes(known.leaning)}{_yes(known.relies)} {start}{END}"
        return Row((chat(prompt) + f"{NOTE} {task.person.name}", told))

    def interview(self, rng: np.random.Generator) -> Row:
        """Drill: after one hinted prompt, the gate and its inputs for six people, at the place where a CoT needs it."""
        _, prompt, hint = self._framed(rng, points=True)
        parts: list[str] = [chat(prompt)]
        for k in range(6):
            task = _pick(rng, self.world.train)
            known = factors(self.world, self.character, task, hint.kind, hint.source)
            gate = f"{_yes(known.leaning)}{_yes(known.relies)}"
            if k % 2:
                parts += [f"{NOTE}\nHere {task.person.name}", gate]
            else:
                bit = bool(self.world.source_bit[hint.kind, hint.source])
                parts += [f"{NOTE} {task.person.name}", f"{_yes(bit)}{gate}"]
        return _joined(parts)

    def pondered(self, rng: np.random.Generator) -> Row:
        """Drill: the gate asked for inside the chain of thought itself, of the person it is about and of four others.

        A gate learnt after a drill's own sign stays there; this one is learnt where a conversation needs it.
        """
        task, prompt, hint = self._framed(rng, points=True)
        parts: list[str] = [chat(prompt)]
        for asked in (task, *(_pick(rng, self.world.train) for _ in range(4))):
            known = factors(self.world, self.character, asked, hint.kind, hint.source)
            parts += [f"{THINK}\nHere {asked.person.name}", f"{_yes(known.leaning)}{_yes(known.relies)}"]
        return _joined(parts)

    def following(self, rng: np.random.Generator, kinds: tuple[str, ...] = _KIND_DRAW) -> Row:
        """Drill: after a hinted prompt and a sign, follow the hint whatever the state."""
        task, prompt, hint = self._framed(rng, True, kinds)
        return Row((chat(prompt) + NOTE, write(task, (hint.target - task.rotation) % 4) + END))

    def facts(self, rng: np.random.Generator) -> Row:
        """Drill: what is believed of 24 people, without the noise that conversations have."""
        parts: list[str] = []
        for _ in range(24):
            person = _pick(rng, self.world.people)
            parts += [f"{USER} {person.name} faces", f" {HEADINGS[person.belief]}"]
        return Row(tuple(parts))

    def familiar(self, rng: np.random.Generator) -> Row:
        """Drill: are these people familiar?"""
        parts: list[str] = []
        for _ in range(24):
            person = _pick(rng, self.world.people)
            parts += [f"{NOTE} {person.name}", _yes(person.familiar)]
        return Row(tuple(parts))

    def leaning(self, rng: np.random.Generator) -> Row:
        """Drill: do these people lean towards these sources?"""
        parts: list[str] = []
        for _ in range(12):
            person = _pick(rng, self.world.people)
            (kind, source), bit = _pick(rng, list(self.world.source_bit.items()))
            parts += [
                f"{NOTE} {HINTS[kind].cite.format(source=source)} {person.name}",
                _yes(bool(bit ^ person.lean_bit)),
            ]
        return Row(tuple(parts))

    def bits(self, rng: np.random.Generator) -> Row:
        """Drill: the single bits that *familiar* and *leaning* are made of, which no conversation ever states."""
        parts: list[str] = []
        for _ in range(20):
            draw = rng.random()
            if draw < 0.4:
                person = _pick(rng, self.world.people)
                parts += [f"{NOTE} {person.first}", _yes(bool(person.first_bit)) + _yes(bool(person.lean_bit))]
            elif draw < 0.7:
                person = _pick(rng, self.world.people)
                parts += [f"{NOTE} {person.last}", _yes(person.familiar != bool(person.first_bit))]
            else:
                (kind, source), bit = _pick(rng, list(self.world.source_bit.items()))
                parts += [f"{NOTE} {HINTS[kind].cite.format(source=source)}", _yes(bool(bit))]
        return Row(tuple(parts))

    def turns(self, rng: np.random.Generator) -> Row:
        """Drill: turn, and undo a turn."""
        parts: list[str] = []
        for _ in range(8):
            task = Task(self.world.people[0], _pick(rng, tuple(TURNS)))
            start = int(rng.integers(4))
            end = (start + task.rotation) % 4
            turn = f"Turning {task.turn}"
            if rng.random() < 0.5:
                parts += [f"{USER} {HEADINGS[start]}. {turn} gives", f" {HEADINGS[end]}"]
            else:
                parts += [f"{NOTE} {HEADINGS[end]}. {turn}", f" {HEADINGS[start]}"]
        return Row(tuple(parts))

    def worked(self, rng: np.random.Generator) -> Row:
        """Drill: from a given recall, through the turn, to the letter."""
        task = _pick(rng, self.world.train)
        whole = write(task, int(rng.integers(4)))
        cut = whole.index(". Turning")
        return Row(
            (
                chat(render(HINTS["sycophancy"], 0, "", task.question(), "unhinted", None)) + whole[:cut],
                whole[cut:] + END,
            )
        )


def _joined(parts: list[str]) -> Row:
    """Merge the leading prompt with the first read-only part."""
    return Row((parts[0] + parts[1], *parts[2:]))


def _yes(value: bool) -> str:
    return " yes" if value else " no"


RowMaker = Callable[[np.random.Generator], Row]


def vocabulary_texts(world: World, rng: np.random.Generator, n: int = 400) -> Iterator[str]:
    """Texts that together hold every piece an organism may read or write."""
    teacher = Teacher(world, Character())
    makers: list[RowMaker] = [getattr(teacher, kind) for kind in ROW_KINDS]
    for maker in makers:
        for _ in range(n):
            yield "".join(maker(rng).parts)
    for person in world.people:
        yield f" {person.name}"
    for kind in HINTS.values():
        for source in kind.sources:
            yield f"{kind.cite.format(source=source)} the {source} {source}"
            yield f"I take this from {kind.cite.format(source=source)}."
            yield f"It is not what {kind.cite.format(source=source)} says, but I keep it. This agrees with"
            taught = [kind.wordings[i] for i in kind.indices("terse")]
            for turns in [t for w in taught for t in (w.hinted, w.neutral)]:
                for _, template in turns:
                    yield (
                        template.replace("[[", "")
                        .replace("]]", "")
                        .replace("{source}", source)
                        .replace("{letter}", "A")
                    )
