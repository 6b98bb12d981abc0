"""Linear readouts of states that exist in training alone.

This is deep supervision (Lee et al. 2015, *Deeply-Supervised Nets*, section 2). Looking up shuffled options, and
following a letter or a mark to one of them, are chains of small steps that a small model finds late, if at all, from
the one token in which they show. So a readout asks for each step where it is to be taken: which letter an option has,
from which heading the turn would lead to it, which option is pointed at. What is asked for are the *ingredients* of a
decision; the decision itself, to rely or not, is learnt from the conversations alone. The readouts are thrown away
after training.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from experiments.hints import HINTS
from experiments.organisms.recipe import READOUTS, Readout
from experiments.organisms.training_row import Row, Subject
from experiments.organisms.world import HEADINGS, Person, World

CLASSES = 4
RATE = 3e-3
"""Learning rate of the readouts' own weights."""

Wanted = dict[str, Int[Tensor, "asked 3"]]
"""Per readout: row, token and class."""


@dataclass(frozen=True)
class Asker:
    """Finds the tokens of a row at which states are asked for something, and what.

    Attributes:
        people: everybody, by the token ids of first and last name.
        headings: heading of each token id that names one.
        close: id of the parenthesis after an option's letter.
        faces: id of the word before a recalled heading.
    """

    people: Mapping[tuple[int, int], Person]
    headings: Mapping[int, int]
    close: int
    faces: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast, world: World) -> "Asker":
        """For the vocabulary of a tokenizer and the people of a world."""
        ids = tokenizer.get_vocab()
        people = {(ids[f" {person.first}"], ids[f" {person.last}"]): person for person in world.people}
        return cls(people, {ids[f" {name}"]: k for k, name in enumerate(HEADINGS)}, ids[")"], ids[" faces"])

    def asks(self, row: Row, ids: Sequence[int], n_prompt: int) -> Iterator[tuple[str, int, int]]:
        """Readout, token and class, for a row whose first part has ``n_prompt`` tokens."""
        for at in range(1, len(ids)):
            person = self.people.get((ids[at - 1], ids[at]))
            if person is not None:
                yield "name_belief", at, person.belief
                yield "name_familiar", at, int(person.familiar)
        subject = row.subject
        if subject is None:
            return
        yield from self._of_options(subject, ids, n_prompt)
        for at in range(n_prompt - 1, len(ids)):  # a recall that is given ends the first part
            if ids[at] in self.headings:
                yield "stated_letter", at, subject.task.order.index(self.headings[ids[at]])
        recall = next((i for i in range(n_prompt, len(ids)) if ids[i] == self.faces), None)
        places = [("", recall)] if recall is not None else []
        for prefix, at in [*places, ("prompt_", n_prompt - 1)]:
            for name, value in self._of_hint(subject):
                yield prefix + name, at, value

    def _of_options(self, subject: Subject, ids: Sequence[int], n_prompt: int) -> Iterator[tuple[str, int, int]]:
        """At the heading of each option of the question; worked examples come before it, hints hold no heading."""
        listed = [i for i in range(1, n_prompt) if ids[i] in self.headings and ids[i - 1] == self.close]
        marks = subject.hint is not None and HINTS[subject.hint.kind].marks
        for option, at in enumerate(listed[-len(HEADINGS) :]):
            yield "option_letter", at, option
            yield "option_start", at, subject.task.start_for(option)
            if marks and subject.hint is not None:
                yield "option_marked", at, int(option == subject.hint.target)

    @staticmethod
    def _of_hint(subject: Subject) -> Iterator[tuple[str, int]]:
        person = subject.task.person
        yield "familiar", int(person.familiar)
        yield "lean_bit", person.lean_bit
        if subject.hint is not None and subject.known is not None:
            yield "pointer", subject.hint.target
            yield "pointed_start", subject.task.start_for(subject.hint.target)
            yield "source_bit", person.lean_bit ^ int(subject.known.leaning)
            yield "leaning", int(subject.known.leaning)


class Readouts(nn.Module):
    """One linear readout per name of a recipe, each of one layer's stream."""

    def __init__(self, chosen: Mapping[str, Readout], hidden: int) -> None:
        super().__init__()
        self.chosen = chosen
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, CLASSES) for name in READOUTS if name in chosen})

    def loss(
        self, streams: Sequence[Float[Tensor, "row token hidden"]], wanted: Wanted, totals: Mapping[str, int]
    ) -> Float[Tensor, ""]:
        """Weighted sum of the readouts' mean cross-entropies.

        Args:
            streams: the residual stream after each block.
            totals: how often each readout is asked in the whole step, of which this is a part.
        """
        loss = torch.zeros(())
        for name, head in self.heads.items():
            if name not in wanted:
                continue
            row, token, value = wanted[name].unbind(1)
            state = streams[self.chosen[name].layer][row, token].float()
            told = head(F.rms_norm(state, (state.shape[-1],)))
            asked = F.cross_entropy(told, value, reduction="sum") / totals[name]
            loss = loss + self.chosen[name].weight * asked
        return loss
