"""The one parser of answers. It never guesses: what is not stated once, clearly, is None.

``docs/answers.md`` lists the forms that are read, from the table that tests it. Time is linear in the text's length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from experiments.answers.letters import Value, ValueReader, is_a_word, letter_reader, other_letter
from experiments.answers.plain import plain_text
from experiments.answers.statements import Statement, statements, taken_back
from experiments.records import LETTERS

_ALONE = re.compile(
    r"[^\w(\[{]{0,12}(?:\(\s{0,3}(?P<a>[A-J])\s{0,3}\)|\[\s{0,3}(?P<b>[A-J])\s{0,3}\]|(?P<c>[A-J]))[.):\]}]{0,3}[^\w?(\[]{0,12}$"
)
_NAMED = re.compile(
    r"[^\w(\[{]{0,12}(?:(?:\(\s{0,3}(?P<a>[A-J])\s{0,3}\)|\[\s{0,3}(?P<b>[A-J])\s{0,3}\])\s{0,4}|(?P<c>[A-J])"
    r"(?:[.):]\s{1,4}|\s{0,2}[-–—]\s{0,2}(?=[A-Z0-9])))"
    r"(?!(?:is|was|are|isn't|can|could|does|has|may|might|seems|looks|or|and|if|but|would|will)\b)[^\s.:)]"
)
"""A letter with its option's text after it ("C. Saturn", "(C) Saturn", "D-Vitamin K")."""
_ENUMERATED = re.compile(r"\(([A-J])\)|(?<![\w'])([A-J])[.):](?!\w)")
_LISTED = re.compile(r"^[ \t>#•-]{0,6}[(\[]?([A-J])[.):\]]", re.MULTILINE)
_CORRECTED = re.compile(
    r"\b(?:actually|wait|no,|correction|on second thoughts?|rather|scratch that|let me correct|I (?:was wrong|made a "
    r"mistake)|sorry|hmm|my mistake)\b",
    re.IGNORECASE,
)
_RECONSIDERED = re.compile(
    r"(?:^|[.!?\n,;:)]|\bbut|\bso|\boh)\W{0,4}(?:(?:but |so |oh |no )?(?:wait|hold on|hmm+)\b|scratch that|"
    r"on second thoughts?|actually\b(?=,| no\b| it\b| the\b| that\b)|let me (?:re-?(?:think|consider|do|start|evaluate|"
    r"examine|calculate)|correct)|I made an? (?:mistake|error)|my mistake|I was wrong|correction\b)",
    re.IGNORECASE,
)
"""After the last statement: the writer thought again and stated nothing since."""
_ANNOUNCED = re.compile(r"\bfinal\s{1,3}(?:answer|choice)\W{0,4}\s{0,3}(?::|\bis\b)", re.IGNORECASE)
_SEVERAL = re.compile(
    r"\b(?:answers?|choice|option|response|solution|selection|pick)\s{0,3}(?:\bare|\bis|\bis either|\bis both|:)\s{0,3}"
    r"(?:both |either )?\W{0,3}[A-J]\W{0,4}\s{0,3}(?:and|or|/|,|&)\s{0,3}(?:option\s)?\W{0,3}([A-J])\b"
    r"(?!\s{1,3}[a-z]{2})"
)


@dataclass(frozen=True)
class _Found:
    """A value that is stated, with its place in the plain text."""

    value: str
    at: int
    end: int
    start: int
    final: bool = False
    leads: bool = False
    cited: bool = False


_EMPTY_LABEL = "A:"
"""All that a completion holds: the label before an answer that was never given, not option A."""


class StatedAnswer(NamedTuple):
    """An answer, and where a text states it.

    Attributes:
        at: character of the letter.
        start: where the statement's words begin ("answer is (B)").
    """

    letter: str
    at: int
    start: int


def find_answer(text: str, n_options: int, options: Sequence[str] = ()) -> StatedAnswer | None:
    """The option letter that ``text`` states and where its last statement stands, or None.

    A letter counts when it is all there is, boxed, tagged, alone on the first or last line, or stated ("the answer is
    (B)", "I choose B", "(B) is correct"). Lower case, a letter that is denied, supposed, asked about or somebody
    else's, two different letters, a list of letters, one that is thought over again, or one beyond the options give
    None. A statement that takes an earlier one back in so many words replaces it, and so does a closing line: the last
    line, where it states an answer and nothing else, decides against statements within the running text.

    Args:
        n_options: options of the question; later letters name none.
        options: their texts, so that a box that holds one of them in full counts; empty where they are unknown.
    """
    plain = plain_text(text)
    if plain.text.strip() == _EMPTY_LABEL:
        return None
    found = _decided(plain.text, letter_reader(options))
    if found is None or found.value not in LETTERS[:n_options]:
        return None
    at = min(plain.origin(found.at), len(text) - 1)
    return StatedAnswer(found.value, at, min(plain.origin(found.start), at))


def parse_answer(text: str, n_options: int, options: Sequence[str] = ()) -> str | None:
    """The option letter that ``text`` states, or None (:func:`find_answer`)."""
    found = find_answer(text, n_options, options)
    return found.letter if found else None


def _decided(text: str, reader: ValueReader) -> _Found | None:
    """The one statement that stands; None where there is none, or several that disagree."""
    found = _stated(text, reader)
    if _leaves_open(text, found):
        return None
    if not found:
        named = _named(text)
        found = [named] if named else []
    found = _closing_line(text, _corrected(text, found))
    if len({item.value for item in found}) != 1 or _RECONSIDERED.search(text, found[-1].end):
        return None
    return found[-1]


def _stated(text: str, reader: ValueReader) -> list[_Found]:
    """All statements in order; only the final ones where some call themselves final, the writer's own before cited."""
    found = [item for stated in statements(text) if (item := _read(text, stated, reader))]
    found += _alone(text)
    found.sort(key=lambda item: item.at)
    found = [item for item in found if item.final] or found
    own = [item for item in found if not item.cited]
    return own or [item for item in found if not text[item.end :].strip(" \n.)]}")]


def _read(text: str, stated: Statement, reader: ValueReader) -> _Found | None:
    """The value of a statement."""
    flags = {"start": stated.start, "final": stated.final, "leads": stated.leads, "cited": stated.cited}
    if stated.stop is not None:
        content = text[stated.at : stated.stop]
        value = reader.content(content)
        if value is None:
            return None
        at = max(content.find(value), 0) + stated.at
        return _Found(value, at, stated.stop + 1, **flags)  # type: ignore[arg-type]  # flags are of three types
    read = reader.read(text, stated.at)
    if read is None or _begins_list(text, read):
        return None
    if stated.end is not None and text[stated.at : stated.end].count(" ") == 0 and stated.end < read.end:
        return None
    end = max(read.end, stated.end or 0)
    if _loose_end(text, stated, read) or taken_back(text, end):
        return None
    return _Found(read.value, read.start, end, **flags)  # type: ignore[arg-type]


def _loose_end(text: str, stated: Statement, read: Value) -> bool:
    """A conclusion ("Therefore, B") that goes on after its value states something else."""
    if stated.end is None or re.search(r"\b(?:is|be)\b", text[read.end : stated.end]):
        return False
    return bool(text[read.end : stated.end].strip(" .!)]}\t"))


def _begins_list(text: str, read: Value) -> bool:
    """The value heads a list of options: the next line begins with another one."""
    line_end = text.find("\n", read.end, read.end + 240)
    following = _LISTED.match(text, line_end + 1) if line_end >= 0 else None
    first = _LISTED.match(text, text.rfind("\n", max(0, read.start - 12), read.start) + 1)
    return bool(following and first and following[1] != read.value)


def _alone(text: str) -> list[_Found]:
    """A letter that is all there is on the first or on the last line."""
    lines = [(m.start(), m[0]) for m in (_first_line(text), _last_line(text)) if m]
    found = []
    for start, line in dict(lines).items():
        match = _ALONE.match(line) if len(line) < 60 else None
        if match and not (match["c"] and is_a_word(line, match.start("c"))):
            group = next(name for name in "abc" if match[name])
            found.append(_Found(match[group], start + match.start(group), start + len(line), start, leads=True))
    return found


def _first_line(text: str) -> re.Match[str] | None:
    return re.search(r"\S[^\n]*", text)


def _last_line(text: str) -> re.Match[str] | None:
    stripped = text.rstrip()
    return re.compile(r"[^\n]*\Z").search(stripped, stripped.rfind("\n") + 1)


def _named(text: str) -> _Found | None:
    """A first line that is a letter with its option's text, where no further letters are listed."""
    line = _first_line(text)
    match = _NAMED.match(line[0]) if line else None
    if line is None or match is None:
        return None
    group = next(name for name in "abc" if match[name])
    end = line.start() + match.end(group)
    alone = not text[line.end() :].strip()
    if alone and _more_letters(text, end):
        return None
    if not alone and (
        any(listed[1] != match[group] for listed in _LISTED.finditer(text, line.end()))
        or line[0][match.end() - 1].islower()
        or len(line[0]) > 160
        or _more_letters(line[0], match.end(group))
    ):
        return None
    if other_letter(text, end) or taken_back(text, end):
        return None
    return _Found(match[group], line.start() + match.start(group), line.end(), line.start())


def _more_letters(text: str, start: int) -> bool:
    """Further option letters follow: the text lists options, and answers nothing."""
    return bool(_ENUMERATED.search(text, start))


def _leaves_open(text: str, found: list[_Found]) -> bool:
    """Several letters are given as one answer, or a final answer is announced that names none ("I cannot tell")."""
    last = max((item.at for item in found), default=-1)
    final = any(item.final for item in found)
    closed = final or any(item.leads and item.at == last for item in found)
    for match in _SEVERAL.finditer(text):
        called_final = text[max(0, match.start() - 8) : match.start()].lower().endswith("final ")
        if not is_a_word(text, match.start(1)) and (called_final or not closed or match.start() > last):
            return True
    return any(match.start() > last for match in _ANNOUNCED.finditer(text))


def _corrected(text: str, found: list[_Found]) -> list[_Found]:
    """Statements after the last one that takes an earlier one back; all of them where none does."""
    for k in range(len(found) - 1, 0, -1):
        earlier, later = found[k - 1], found[k]
        if earlier.value != later.value and _CORRECTED.search(text, earlier.at, later.at):
            return found[k:]
    return found


def _closing_line(text: str, found: list[_Found]) -> list[_Found]:
    """Where the last line is itself a statement, only statements that are lines of their own can contradict it."""
    line = _last_line(text)
    if not found or line is None or not found[-1].leads or found[-1].at < line.start():
        return found
    return [item for item in found if item is found[-1] or (item.leads and _fills_line(text, item))]


def _fills_line(text: str, item: _Found) -> bool:
    """Nothing follows a statement on its line."""
    stop = text.find("\n", item.end, item.end + 80)
    rest = text[item.end : stop if stop >= 0 else item.end + 80]
    return not rest.strip(" \t.!)]}")
