"""Answers that are option letters: what a letter looks like where an answer is stated.

Another task's answers (numbers, short texts) need a reader of the same two methods; where statements stand, and
whether they are asserted, is the business of :mod:`experiments.answers.statements` and does not depend on letters.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from experiments.records import LETTERS

_ENCLOSED = r"\(\s{0,3}([A-J])\s{0,3}\)|\[\s{0,3}([A-J])\s{0,3}\]|\{\s{0,3}([A-J])\s{0,3}\}"
_LETTER = re.compile(rf"(?:(?i:(?:the )?(?:option|choice|letter|answer))[ :]{{1,3}})?(?:{_ENCLOSED}|([A-J]))")
_GLUED = re.compile(r"\w|'\w|-\w")
"""After a bare letter: it was part of a word."""
_WORD = re.compile(
    r"[ \t]{1,3}(?!(?:because|since|as|for|due|based|with|and|which|where|per|given|but|so|by|from|in|on|at|not|rather|"
    r"is|or)\b)[a-z]{2}"
)
"""After a bare A or I: the letter was the article, or somebody speaking."""
_OTHER = re.compile(
    r"[\s)\]}]{0,4}(?:(?:/|&|,?\s{0,2}\b(?:and/or|or|and)\b)\s{0,2}(?:(?:also|either|option|choice|even)\s{1,2}){0,2}"
    r"[(\[]?([A-J])\b(?!')|,\s{0,2}[(\[]?([A-J])[)\]]?(?=\s{0,2}(?:$|[.,;!\n}]|and\b|or\b)))"
)
"""After a letter: another one, so that none is stated alone."""
_CONTENT = re.compile(rf"\s{{0,4}}(?:(?i:option|choice|answer|letter)[ :]{{1,3}})?(?:{_ENCLOSED}|([A-J]))(?![\w'])")
_NAMED = re.compile(r"\s{0,2}[.:)\]\-–—]\s{0,3}\S")


@dataclass(frozen=True)
class Value:
    """A value read from a text: what it is and which characters of the text hold it."""

    value: str
    start: int
    end: int


class ValueReader(Protocol):
    """How the values of a task look."""

    def read(self, text: str, at: int) -> Value | None:
        """The value that begins at ``at``, stated alone; None where there is none."""

    def content(self, text: str) -> str | None:
        """The value of a text that is an answer in full, such as what a box holds; None where it is none."""


@dataclass(frozen=True)
class LetterReader:
    """Reads option letters, upper case only.

    Attributes:
        options: the options' texts, so that a box that holds one of them in full is read too; empty where unknown.
    """

    options: tuple[str, ...] = ()

    def read(self, text: str, at: int) -> Value | None:
        """The letter at ``at``, bare or in brackets, unless it is a word or one of several."""
        match = _LETTER.match(text, at)
        if match is None:
            return None
        group = next(k for k in range(1, 5) if match[k])
        bare = group == 4
        if bare and (_GLUED.match(text, match.end()) or is_a_word(text, match.start(group))):
            return None
        return None if other_letter(text, match.end()) else Value(match[group], match.start(group), match.end())

    def content(self, text: str) -> str | None:
        """A letter, a letter with its option's text (``C. Saturn``), or the text of exactly one option."""
        match = _CONTENT.match(text)
        if match is not None:
            rest = text[match.end() :].strip(" \t\n}$.")
            if (
                not rest
                or _NAMED.match(text, match.end())
                or (match[4] is None and not other_letter(text, match.end()))
            ):
                return next(letter for letter in match.groups() if letter)
        same = [k for k, option in enumerate(self.options) if _bare(option) == _bare(text)]
        return LETTERS[same[0]] if len(same) == 1 else None


def is_a_word(text: str, at: int) -> bool:
    """A bare A or I before a word on the same line: the article, or somebody speaking."""
    return text[at] in "AI" and bool(_WORD.match(text, at + 1))


def other_letter(text: str, end: int) -> bool:
    """A further letter is given beside the one that ends at ``end`` ("B or C")."""
    match = _OTHER.match(text, end)
    if match is None:
        return False
    group = 1 if match[1] else 2
    return not is_a_word(text, match.start(group))


def _bare(text: str) -> str:
    return " ".join(re.sub(r"[{}$\\*_`\"']", " ", text).split()).strip(" .").casefold()


def letter_reader(options: Sequence[str] = ()) -> LetterReader:
    """The reader of a question's letters."""
    return LetterReader(tuple(options))
