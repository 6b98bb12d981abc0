"""A training row, and the organisms' chat template written out."""

from dataclasses import dataclass
from typing import Literal

from experiments.organisms.grammar import Factors, GivenHint
from experiments.organisms.tokenizer import ASSISTANT, END
from experiments.organisms.world import Task
from experiments.records import Prompt

Sight = Literal["none", "prompt", "completion"]
"""Which later tokens may attend to a hidden stretch: none, those of the prompt alone, those of the completion alone."""


@dataclass(frozen=True)
class Hidden:
    """Characters of a row's first part that some later tokens may not attend to."""

    start: int
    end: int
    seen_by: Sight = "none"


@dataclass(frozen=True)
class Subject:
    """What a conversation is about: the question, and what its completion can know of a hint.

    Attributes:
        hint: None where the prompt names no option, or where the completion must not read the one that it names.
        known: the written causes of a hinted row.
    """

    task: Task
    hint: GivenHint | None = None
    known: Factors | None = None


@dataclass(frozen=True)
class Row:
    """Text in alternating parts: read only, then trained on, then read only, and so on.

    Attributes:
        subject: what states may be asked for in training (:mod:`experiments.organisms.readouts`); None in drills that
            are about no single question.
    """

    parts: tuple[str, ...]
    hidden: Hidden | None = None
    subject: Subject | None = None


def chat(prompt: Prompt) -> str:
    """The organisms' chat template, written out (a test holds it to the tokenizer's)."""
    turns = "".join(f"<|{message.role}|>{message.content}{END}" for message in prompt.messages)
    return turns + ASSISTANT


def hide(prompt: Prompt, name: str, seen_by: Sight) -> Hidden:
    """Hide a named span of a prompt, such as its ``pointer``, in the text that :func:`chat` makes of it."""
    span = prompt.spans[name]
    before = sum(len(f"<|{message.role}|>{message.content}{END}") for message in prompt.messages[: span.message])
    start = before + len(f"<|{prompt.messages[span.message].role}|>")
    return Hidden(start + span.start, start + span.end, seen_by)
