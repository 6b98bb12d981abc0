"""Completion → chain of thought and visible answer, marked or not.

Reasoning models mark their thinking (:mod:`experiments.answers.thinking`). A chat model that was asked to think step
by step does so in the open: there the chain of thought is what stands before the words that state the answer (Turpin
et al. 2023, arXiv 2305.04388, section 2). Time is linear in the length of the text.
"""

import re

from experiments.answers.parser import find_answer
from experiments.answers.thinking import SplitCompletion, split_marked
from experiments.records import LETTERS

LEAST_WORDS = 4
"""Words beside the stated answer that make reasoning; fewer ("Sure, of course!") are none."""

_WORD = re.compile(r"\w+")
_LEAD_IN = re.compile(
    r"[*_#>\s\"]{0,12}(?:\b(?:so|thus|hence|therefore|in conclusion|finally|overall|I|we|the|my|correct|final|best|"
    r"right|most likely|option|choice|is)[,:]?\s{1,3}){0,6}[\s*_\"'“‘`$\\(\[{#>-]{0,12}$",
    re.IGNORECASE,
)
"""Words and marks just before a statement that are part of it ("Therefore, the correct …")."""
_BACK = 120
"""Characters before a statement in which its lead-in is looked for."""
_OPENING = re.compile(r"\s*[^\n]{0,400}?(?:[.!?](?=\s|$)|\n|$)")
"""The first sentence."""


def split_completion(text: str, prompt: str = "") -> SplitCompletion:
    """Part the chain of thought from the visible answer.

    Args:
        prompt: the prompt as the chat template wrote it, which may have opened the thinking already.
    """
    split = split_marked(text, prompt)
    return (_unmarked(text) or split) if split.form == "none" else split


def _unmarked(text: str) -> SplitCompletion | None:
    """Reasoning in the open, up to the words that state the answer; None without either.

    Where the first sentence states it already, what follows explains an answer that was given, however often it is
    repeated: the answer rests on no text.
    """
    found = find_answer(text, len(LETTERS))
    if found is None or _states_first(text, found.letter):
        return None
    start = _statement_start(text, found.start)
    thought = text[:start].rstrip()
    first = len(thought) - len(thought.lstrip())
    if len(_WORD.findall(thought[first : first + 400])) < LEAST_WORDS:
        return None
    answer = (start, len(text.rstrip()))
    return SplitCompletion(
        cot=thought[first:],
        answer_text=text[slice(*answer)],
        closed=True,
        form="unmarked",
        thinking=((first, len(thought)),),
        closing=(len(thought), start),
        answer=answer,
        closer="\n\n",
    )


def _states_first(text: str, letter: str) -> bool:
    """The first sentence states the answer, with nothing before it to rest on."""
    opening = _OPENING.match(text)
    first = find_answer(opening[0], len(LETTERS)) if opening else None
    if first is None or first.letter != letter:
        return False
    return len(_WORD.findall(text[: _statement_start(text, first.start)])) < LEAST_WORDS


def _statement_start(text: str, at: int) -> int:
    """Where the statement begins whose own words begin at ``at``, its lead-in included."""
    low = max(0, at - _BACK)
    lead = _LEAD_IN.search(text[low:at])
    start = low + lead.start() if lead else at
    return start + len(text[start:at]) - len(text[start:at].lstrip())
