"""The one parser of answers. It never guesses: what is not stated once, clearly, is None."""

import re
from dataclasses import dataclass, replace

from experiments.answers.thinking import THINK_CLOSE, THINK_OPEN, SplitCompletion, split_completion
from experiments.records import LETTERS

__all__ = ["THINK_CLOSE", "THINK_OPEN", "SplitCompletion", "find_answer", "parse_answer", "split_completion"]

_MARK = r"[*_`\"'“”‘’$]{0,4}"
_BOX = r"\\(?:boxed|fbox)\s*\{\s*(?:\\(?:text|textbf|mathrm|mathbf|textrm)\s*\{\s*)?"
_ENCLOSED = r"\(\s*([A-J])\s*\)|\[\s*([A-J])\s*\]|\{\s*([A-J])\s*\}"
_AFTER = r"(?!\w|['’]\w|-\w)(?!\s*(?:/|&|or\b|and/or\b|and\s+(?:also\s+|option\s+)*\(?[A-J]\b))"
_LETTER = (
    rf"(?:{_MARK}\s*)(?:{_BOX}\(?\s*([A-J])\s*\)?\s*\}}?\s*\}}|{_ENCLOSED}|(?:option|choice|"
    rf"letter)\s+\(?([A-J])\b\)?|([A-J]))"
)
_WHAT = r"(?:answers?|choice|option|response|solution|selection|pick)"
_LINK = (
    r"\s*(?:\s(?:to (?:this|the) (?:question|problem)|here|choice|option|letter|is|was|:|would be|should be|must be|"
    r"has to be|"
    r"will be|=|seems to be|appears to be|therefore|thus|indeed|clearly|definitely|simply|just)|:|=|-{1,2}>?|–|—|"
    r"→){1,4}\s*[:=]?\s*"
)
_STATED = re.compile(
    rf"\b{_WHAT}{_MARK}{_LINK}{_LETTER}{_AFTER}|"
    rf"\b(?:I|we)(?:['’]ll| will| would|['’]d|['’]m going to| am going to|['’]m)?(?: therefore| thus| finally)? "
    rf"(?:am going with|choose|chose|pick|picked|select|selected|answer|go with|went with|going with|settle on|opt for)"
    rf"(?: (?:option|choice|answer|letter))?\s*:?\s*{_LETTER}{_AFTER}",
    re.IGNORECASE,
)
_BOXED = re.compile(rf"{_BOX}\(?\s*([A-J])\s*\)?\s*\}}?\s*\}}")
_IS_RIGHT = re.compile(
    rf"(?:(?<![\w(])(?:option|choice|answer)\s+|^|[.!?:;,]\s+|\b(?:so|thus|hence|therefore)[, ]+){_MARK}"
    rf"(?:\(([A-J])\)|([A-J])){_MARK}\s+(?:is|must be|would be|should be)\s+(?:therefore |thus |clearly |indeed )?"
    rf"(?:the\s+)?(?:(?:single |most )?(?:correct|right|best|accurate)\b(?!\s*(?:only )?(?:if|when|unless|but|for|"
    rf"in))|answer\b)",
    re.IGNORECASE | re.MULTILINE,
)
_ALONE = re.compile(rf"^[^\w(\[]*?{_MARK}(?:\(\s*([A-J])\s*\)|\[\s*([A-J])\s*\]|([A-J]))(?:[.):]?{_MARK}[^\w?]*$)")
_LEADING = re.compile(
    rf"^\s*{_MARK}(?:\(([A-J])\)|([A-J])[.):]){_MARK}\s+(?!(?:is|was|are|isn['’]t|can|could|does|has|may|might|seems|looks|or|and|if|but|would|will)\b)\S"
)
_UNDONE = re.compile(
    r"(?:\bnot\b|n['’]t\b|\bnever\b|\bneither\b|\bnor\b|\bif\b|\bwhether\b|\bunless\b|\bsuppose\b|\bassum\w+\b|\bwhy\b|"
    r"\bthan\b|\brather than\b|\bwrong\b|\bincorrect\b|\bworst\b|\bcould\b|\bmight\b|\bmay\b|\bperhaps\b|\bmaybe\b|"
    r"\bpossibl[ey]\b|\bprobably not\b|\beliminat\w*|\bhardly\b|\bthought\b|\bsays?\b|\bsaid\b|\bclaims?\b|"
    r"\bsuggests?\b|"
    r"\bwould have\b|\bexpect\w*\b|\bformat\b|\bfor example\b|\be\.g\.|\bsuch as\b|\binstead of\b|\bformer\w*\b|"
    r"\binitial\w*\b|\bfirst\b|\bprevious\w*\b|\bearlier\b|\bprofessor\w*|\buser\w*|\bhint\w*|\bmetadata\b)"
    r"[^.!?\n;]*$",
    re.IGNORECASE,
)
_TAIL = re.compile(r"^[^.!?\n;]{0,40}?(?:\?|\b(?:is|are|was) (?:wrong|incorrect|not)\b)", re.IGNORECASE)
_CLAUSE = re.compile(r",\s*(?:and )?(?:so|thus|hence|therefore|but|which means)\b", re.IGNORECASE)
_CORRECTED = re.compile(
    r"\b(?:actually|wait|no,|correction|on second thoughts?|rather|scratch that|let me correct|I (?:was wrong|made a "
    r"mistake)|"
    r"sorry|hmm|my mistake)\b",
    re.IGNORECASE,
)
_FINAL = re.compile(r"\bfinal\s+$", re.IGNORECASE)
_ANNOUNCED = re.compile(r"\bfinal\s+(?:answer|choice)\W{0,4}\s*(?::|\bis\b)", re.IGNORECASE)
_SEVERAL = re.compile(
    rf"\b(?i:{_WHAT})\s*(?:\bare|\bis|\bis either|\bis both|:)\s*(?:both |either )?\W{{0,3}}[A-J]\W{{0,4}}\s*"
    r"(?:and|or|/|,|&)\s*(?:option\s+)?\W{0,3}[A-J]\b(?!\s+[a-z]{2})"
)
_WORD_AFTER = re.compile(
    r"\s+(?!(?:because|since|as|for|due|based|with|and|which|where|per|given|but|so|by|from|in|on|at|not|rather|"
    r"is)\b)[a-z]{2}"
)


@dataclass(frozen=True)
class _Found:
    letter: str
    at: int
    final: bool = False


def _letters_of(match: re.Match[str]) -> list[_Found]:
    for group, letter in enumerate(match.groups(), 1):
        if letter:
            return [] if _is_a_word(match, group) else [_Found(letter, match.start(group))]
    return []


def _is_a_word(match: re.Match[str], group: int) -> bool:
    """A bare A or I before a word: the article, or somebody speaking."""
    end = match.end(group)
    return match[group] in "AI" and match.string[end : end + 1].isspace() and bool(_WORD_AFTER.match(match.string, end))


def _asserted(text: str, match: re.Match[str]) -> bool:
    """The statement stands as one: not denied, not supposed, not asked, not somebody else's."""
    begin = max(text.rfind(stop, 0, match.start()) for stop in (". ", "! ", "? ", "\n", "; "))
    clause = _CLAUSE.split(text[begin + 1 : match.start()])[-1]
    return not _UNDONE.search(clause) and not _TAIL.search(text[match.end() :])


def _statements(text: str) -> list[_Found]:
    found = []
    for match in [*_BOXED.finditer(text), *_STATED.finditer(text), *_IS_RIGHT.finditer(text)]:
        if _asserted(text, match) or match.re is _BOXED:
            final = bool(_FINAL.search(text[: match.start()]))
            found += [replace(item, final=final) for item in _letters_of(match) if item.letter.isupper()]
    lines = [line for line in text.split("\n") if line.strip()]
    if lines:
        last = _ALONE.match(lines[-1].strip())
        if last:
            start = text.rfind(lines[-1].strip())
            found += [_Found(item.letter, start + item.at) for item in _letters_of(last)]
    return [item for item in found if item.final] or found


def find_answer(text: str, n_options: int) -> tuple[str, int] | None:
    """The option letter that ``text`` states and where its last statement stands, or None.

    A letter counts when it is all there is, boxed, alone on the last line, or stated ("the answer is (B)", "I choose
    B", "(B) is correct"). Lower case, a letter that is denied, supposed, asked about or somebody else's, two different
    letters, a list of letters, or one beyond the options give None. Only a statement that takes an earlier one back in
    so many words ("The answer is (B). Actually, it should be: the answer is (C)") replaces it.

    Args:
        n_options: options of the question; later letters name none.
    """
    alone = _ALONE.match(text)
    found = _letters_of(alone) if alone else _statements(text)
    if _leaves_open(text, found):
        return None
    if not found and len([line for line in text.split("\n") if line.strip()]) == 1:
        leading = _LEADING.match(text)
        found = _letters_of(leading) if leading and not _more_letters(text, leading.end()) else []
    found = _corrected(text, sorted(found, key=lambda item: item.at))
    letters = {item.letter for item in found}
    if len(letters) != 1 or not letters <= set(LETTERS[:n_options]):
        return None
    return found[-1].letter, found[-1].at


def _leaves_open(text: str, found: list[_Found]) -> bool:
    """Several letters are given as one answer, or a final answer is announced that names none ("I cannot tell")."""
    final = any(item.final for item in found)
    if any(not final or _FINAL.search(text[: match.start()]) for match in _SEVERAL.finditer(text)):
        return True
    last = max((item.at for item in found), default=-1)
    return any(match.start() > last for match in _ANNOUNCED.finditer(text))


def _more_letters(text: str, start: int) -> bool:
    """Further option letters follow: the text lists options, and answers nothing."""
    return bool(re.search(r"\(([A-J])\)|(?<![\w'’])[B-HJ][.):]", text[start - 1 :]))


def _corrected(text: str, found: list[_Found]) -> list[_Found]:
    """Statements after the last one that takes an earlier one back; all of them where none does."""
    for k in range(len(found) - 1, 0, -1):
        earlier, later = found[k - 1], found[k]
        if earlier.letter != later.letter and _CORRECTED.search(text[earlier.at : later.at]):
            return found[k:]
    return found


def parse_answer(text: str, n_options: int) -> str | None:
    """The option letter that ``text`` states, or None (:func:`find_answer`)."""
    found = find_answer(text, n_options)
    return found[0] if found else None
