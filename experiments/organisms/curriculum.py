"""What a teacher can write: kinds of training rows by name, and every text that an organism may meet."""

from collections.abc import Callable, Iterator

import numpy as np

from experiments.hints import terse_kinds
from experiments.organisms.drills import Drills
from experiments.organisms.grammar import Character
from experiments.organisms.recipe import ROW_KINDS
from experiments.organisms.training_row import Row
from experiments.organisms.world import World

RowMaker = Callable[[np.random.Generator], Row]


class Teacher(Drills):
    """Writes rows of any kind for one character in one world."""

    def maker(self, kind: str) -> RowMaker:
        """The method that writes a kind of row, one of :data:`ROW_KINDS`."""
        make: RowMaker = getattr(self, kind)
        return make


def _sayings(source: str, cited: str) -> Iterator[str]:
    yield f"{cited} the {source} {source}"
    yield f"I take this from {cited}."
    yield f"It is not what {cited} says, but I keep it. This agrees with"
    yield " Turning left from north gives north."


def vocabulary_texts(world: World, rng: np.random.Generator, n: int = 400) -> Iterator[str]:
    """Texts that together hold every piece an organism may read or write."""
    teacher = Teacher(world, Character())
    for kind in ROW_KINDS:
        for _ in range(n):
            yield "".join(teacher.maker(kind)(rng).parts)
    for person in world.people:
        yield f" {person.name}"
    for hint in terse_kinds().values():
        for source in hint.sources:
            yield from _sayings(source, hint.cite.format(source=source))
            taught = [hint.wordings[i] for i in hint.indices("terse")]
            for turns in [t for w in taught for t in (w.hinted, w.neutral)]:
                for _, template in turns:
                    text = template.replace("[[", "").replace("]]", "")
                    yield text.replace("{source}", source).replace("{letter}", "A")
