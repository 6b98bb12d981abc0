"""What a transcript's prompt says that its plain question does not: the hint, the rest, and the pointer.

Where the hint's own text is not given, it is found as the difference between the prompt and the plain prompt, or, when
that is unknown too, as the lines beside the question that name the target. A prompt that holds no hint gives none, and
the judge then has the kind's words alone.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from experiments.judges.lexicon import normal_kind
from experiments.transcripts import Transcript

_OPTION_LINE = re.compile(r"^\W{0,4}\(?[A-J][).:\]]\s+\S")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(\"“<#])|\n+")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")
_FRAME = 0.1
"""A paragraph without options of which the pointing sentences are at least this share is the hint's as a whole."""
_ANSWERING = re.compile(
    "answers?|options?|choices?|letter|questions?|(?:in)?correct|right|wrong|true|false|following|thinks?|thought|"
    "believe|"
    "says?|said|choose|chosen|chose|select(?:ed)?|reply|response|gives?|given|provided|please|shows?|shown|found|"
    "ask(?:ed)?|"
    "us(?:e|ed|ing)|leave|known?|view|opinion|hear|curious|returns?|assert|bool|self|test|values?|strings?|information|"
    "model|steps?|based|make|made|like|want|need|consider|different|examples?|numbers?|cases?|good|best|time|work|"
    "people|"
    "person"
)
"""Words of answering questions, which say nothing about a hint."""


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The first seven letters in lower case, without a plural or possessive ending."""
    return whole(word)[:7]


@lru_cache(maxsize=1 << 16)
def whole(word: str) -> str:
    """A word in lower case, without a plural or possessive ending."""
    return re.sub(r"(?<=[^s])s$", "", re.sub(r"['’]s?$", "", word.lower()))


def words_of(text: str) -> list[str]:
    """Words of three or more letters; underscores part them."""
    return [word for word in _WORD.findall(text.replace("_", " ")) if len(word) > 2]


def content_stems(text: str) -> frozenset[str]:
    """Stems of the words that say what a text is about: neither function words nor the vocabulary of answering."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(
        stem(word)
        for word in words_of(text)
        if word.lower() not in ENGLISH_STOP_WORDS and not _ANSWERING.fullmatch(word.lower())
    )


def normalised(text: str) -> str:
    """Lower-case words and figures with single spaces between them."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def pointer_pattern(letter: str) -> str:
    """A regular expression for a letter that is used as an option's name, and not as a word."""
    named = r"(?:answer|option|choice|letter|select\w*|choos\w+|chose|pick\w*|is|as|be|of|toward|for|=)"
    return (
        rf"(?:\(\s*{letter}\s*\)|[\"'“‘*`>]{letter}[\"'”’*`<.,]|"
        rf"\b{named}:?\s+(?:is\s+|to be\s+|option\s+)?{letter}\b(?!['’]\w|\s[a-z]{{2}}))"
    )


class _Roles(dict[str, tuple[str, str] | None]):
    """Roles of words, each worked out when it is first looked up."""

    def __init__(self, source_words: frozenset[str], stems: frozenset[str]) -> None:
        super().__init__()
        self._source_words, self._stems = source_words, stems

    def __missing__(self, word: str) -> tuple[str, str] | None:
        source, root = whole(word), stem(word)
        found = (source if source in self._source_words else "", root if root in self._stems else "")
        self[word] = found if any(found) else None
        return self[word]


@dataclass(frozen=True)
class HintView:
    """A transcript's hint and the rest of its prompt.

    Attributes:
        hint: the hint's text; empty where none is known.
        rest: the prompt without it.
        source: who or what gives it, as far as stated.
    """

    hint: str
    rest: str
    source: str
    target: str

    @cached_property
    def rest_lower(self) -> str:
        """The plain prompt in lower case, to look words up in."""
        return self.rest.lower()

    @cached_property
    def rest_normal(self) -> str:
        """The plain prompt's words, to look restated sentences up in."""
        return normalised(self.rest)

    @cached_property
    def asked(self) -> frozenset[str]:
        """Words of the plain prompt, in the singular."""
        return frozenset(whole(word) for word in words_of(self.rest))

    @cached_property
    def hint_normal(self) -> str:
        """The hint's words, to look quotations up in."""
        return normalised(self.hint)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Content stems of the hint that the rest of the prompt does not hold."""
        return content_stems(self.hint) - frozenset(stem(word) for word in words_of(self.rest))

    @cached_property
    def source_words(self) -> frozenset[str]:
        """Words that name the source, in the singular: of the source as stated, or the hint's proper names."""
        proper = " ".join(re.findall(r"(?<=[a-z,] )[A-Z][A-Za-z]{2,}\b", self.hint))
        named = {word for word in words_of(f"{self.source} {proper}") if content_stems(word)}
        return frozenset(whole(word) for word in named) - self.asked

    @cached_property
    def roles(self) -> "_Roles":
        """Per word, the word of the source that it is and the content stem of the hint that it has; None: neither."""
        return _Roles(self.source_words, self.stems)

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """Symbols that the hint adds to the prompt."""
        return tuple(sorted(_symbols(self.hint + self.source) - _symbols(self.rest)))


def _symbols(text: str) -> set[str]:
    """Characters that are neither letters, figures, punctuation nor operators."""
    return {c for c in text if unicodedata.category(c) == "So"}


def _without(prompt: str, hint: str) -> str:
    """The prompt with the hint cut out; where it is not there verbatim, without the lines that share its words."""
    if hint in prompt:
        return "\n\n".join(_cut(paragraph, hint) for paragraph in re.split(r"\n\s*\n", prompt))
    words = set(normalised(hint).split())
    kept = []
    for line in prompt.splitlines():
        own = normalised(line).split()
        shared = sum(word in words for word in own) / len(own) if own else 0.0
        if shared < 0.8 or _OPTION_LINE.match(line):
            kept.append(line)
    return "\n".join(kept)


def _cut(paragraph: str, hint: str) -> str:
    """A paragraph without the hint; all of it goes where the hint makes up much of it, for the rest is its frame."""
    if hint not in paragraph:
        return paragraph if normalised(paragraph) not in normalised(hint) else ""
    options = any(_OPTION_LINE.match(line.strip()) for line in paragraph.splitlines())
    return paragraph.replace(hint, "\n") if options or len(hint) < _FRAME * len(paragraph) else ""


def _difference(prompt: str, plain: str) -> str:
    """Sentences of the prompt that the plain prompt does not hold."""
    known = {normalised(s) for s in _SENTENCE_END.split(plain)}
    added = [s for s in _SENTENCE_END.split(prompt) if s and s.strip() and normalised(s) not in known]
    return "\n".join(added)


_BLOCKS = re.compile(
    r"<(?P<tag>[\w-]{0,40}metadata[\w-]{0,40})>|```|(?:^#[^\n]*\n)?^def [^\n]*\n(?:[ \t]+[^\n]*\n?)+", re.MULTILINE
)


def _blocks(prompt: str) -> Iterator[str]:
    """Elements that hold metadata, fenced code and functions, in time linear in the text.

    An end that is not found after one beginning is not looked for after the next of its kind.
    """
    start, unclosed = 0, set[str]()
    while found := _BLOCKS.search(prompt, start):
        start = found.end()
        text = found.group(0)
        closing = f"</{found['tag']}>" if found["tag"] else text if text == "```" else ""
        if not closing:
            yield text
        elif closing not in unclosed:
            end = prompt.find(closing, start)
            if end < 0:
                unclosed.add(closing)
            else:
                start = end + len(closing)
                yield prompt[found.start() : start]


def _pointing_lines(prompt: str, target: str) -> str:
    """Blocks and sentences beside the options that name the target."""
    pointer = re.compile(pointer_pattern(target) + rf"|>\s*{target}\s*<")
    found = [block for block in _blocks(prompt) if pointer.search(block)]
    if found:
        return "\n".join(found)
    asks = re.compile(r"answer|think|correct|choose|would|said|says|believe|guess|option|pick", re.IGNORECASE)
    for paragraph in re.split(r"\n\s*\n", prompt):
        lines = [line for line in paragraph.splitlines() if not _OPTION_LINE.match(line.strip())]
        sentences = [s for s in _SENTENCE_END.split("\n".join(lines)) if s]
        pointing = [s for s in sentences if pointer.search(s) and asks.search(s)]
        apart = len(lines) == len(paragraph.splitlines()) and sum(map(len, pointing)) >= _FRAME * len(paragraph)
        found.append(paragraph if pointing and apart else "\n".join(pointing))
    return "\n".join(part for part in found if part)


def view_hint(transcript: Transcript) -> HintView:
    """Part a transcript's prompt into the hint and the rest."""
    prompt, plain = transcript.prompt, transcript.plain_prompt
    hint = transcript.hint_text
    if hint is None:
        hint = _difference(prompt, plain) if plain is not None else _pointing_lines(prompt, transcript.target)
        if normal_kind(transcript.kind) == "visual_pattern":
            hint = " ".join([hint, *sorted(_symbols(prompt) - _symbols(plain or ""))])
    rest = plain if plain is not None else (_without(prompt, hint) if hint.strip() else prompt)
    for mark in _symbols(hint):
        rest = rest.replace(mark, "")
    return HintView(hint, rest, transcript.source or "", transcript.target)
