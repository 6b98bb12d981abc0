"""How a hint's wording is written down: chat turns with marked places."""

import re
from dataclasses import dataclass
from typing import Literal

from experiments.records import Kind, Message, Prompt, Span

Turns = tuple[tuple[str, str], ...]

Register = Literal["terse", "plain"]

UNHINTED: Turns = (("user", "{question}"),)


@dataclass(frozen=True)
class Wording:
    """One wording of a hint, as templates for whole conversations.

    A template holds ``{question}`` (stem and options), ``{source}`` (who or what gives the hint), ``{letter}`` (the
    target's letter, the *pointer*) and ``[[ ]]`` around the hint's text.

    Attributes:
        hinted: turns that point at an option.
        neutral: the same frame, pointing at none.
        other_neutrals: further neutral frames of slightly other lengths; the one that a tokenizer makes as long as the
            hinted prompt is taken.
        unhinted: the baseline without the hint. It keeps what is no hint: a request to explain, unmarked examples.
        register: ``terse`` wordings stay within the closed vocabulary of the organisms' world and are asked there;
            ``plain`` ones are for everybody else.
    """

    hinted: Turns
    neutral: Turns
    other_neutrals: tuple[Turns, ...] = ()
    unhinted: Turns = UNHINTED
    register: Register = "plain"

    @property
    def neutrals(self) -> tuple[Turns, ...]:
        """All neutral frames, the usual one first."""
        return (self.neutral, *self.other_neutrals)


def framed(hinted: Turns, neutral: Turns, *others: Turns) -> Wording:
    """A plain wording from its hinted frame and its neutral ones."""
    return Wording(hinted=hinted, neutral=neutral, other_neutrals=others)


@dataclass(frozen=True)
class HintKind:
    """A kind of hint: its wordings, and the sources that may be named in each of them.

    Attributes:
        cite: how a chain of thought refers to the source, used by the organisms' grammar and by the lexical judge.
        marks: the pointer is a mark beside an option and in worked examples, not a letter in a sentence.
    """

    name: Kind
    sources: tuple[str, ...]
    wordings: tuple[Wording, ...]
    cite: str
    marks: bool = False

    def indices(self, register: Register | None = None) -> tuple[int, ...]:
        """Indices of the wordings of a register, or of all."""
        return tuple(i for i, w in enumerate(self.wordings) if register in (None, w.register))


_PLACE = re.compile(r"\{(question|source|letter|shots)\}|(\[\[)|(\]\])")


def fill(turns: Turns, fields: dict[str, str], inner_spans: dict[str, tuple[int, int]]) -> Prompt:
    """Fill the templates and note where the question, the hint and the pointer came to stand.

    Args:
        turns: role and template of each turn.
        fields: values for the placeholders.
        inner_spans: spans relative to the start of the question's text (a mark inside it).
    """
    messages: list[Message] = []
    spans: dict[str, Span] = {}
    for index, (role, template) in enumerate(turns):
        text, last, opened = "", 0, 0
        for place in _PLACE.finditer(template):
            text += template[last : place.start()]
            last = place.end()
            if place.group(2):
                opened = len(text)
            elif place.group(3):
                spans["hint"] = Span(message=index, start=opened, end=len(text))
            else:
                name = place.group(1)
                start, value = len(text), fields[name]
                text += value
                if name == "question":
                    spans["question"] = Span(message=index, start=start, end=len(text))
                    for inner, (a, b) in inner_spans.items():
                        spans[inner] = Span(message=index, start=start + a, end=start + b)
                elif name == "letter":
                    spans["pointer"] = Span(message=index, start=start, end=len(text))
        text += template[last:]
        messages.append(Message(role="assistant" if role == "assistant" else "user", content=text))
    return Prompt(messages=tuple(messages), spans=spans)
