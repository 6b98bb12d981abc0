"""Where a text states an answer, and whether it asserts what it states. Knows sentences, not letters.

A word counts against a statement only where it governs it: "The professor says the answer is …" is the professor's,
"Based on the metadata, the answer is …" is the writer's own. All patterns have bounded repetition and all contexts are
windows of bounded length, so that time is linear in the length of the text, whatever a model's loops make of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

WINDOW = 240
"""Characters before and after a statement that can speak for or against it."""

_NOUN = (
    r"(?:answers?|choice|option|response|solution|selection|pick|conclusion|"
    r"(?:correct|right|best) (?:one|letter|statement|match))"
)
_ABOUT = (
    r"(?:\s{1,3}(?:to|for) (?:this|the|that|your) (?:question|problem|quiz|one)|\s{1,3}(?:here|then|choice|letter))?"
)
_SURELY = (
    r"(?:(?:therefore|thus|hence|indeed|clearly|definitely|certainly|obviously|simply|just|then|also|actually|"
    r"most likely|likely|probably|most probably|most definitely),?\s{1,3}){0,2}"
)
_IS = r"\s{1,3}(?:is|was|would be|should be|must be|has to be|will be|seems to be|appears to be|remains|equals)\b"
_SIGN = r"\s{0,3}(?::|=|-{1,2}>?|–|—|→)"
STATED = re.compile(
    rf"\b(?P<noun>{_NOUN})\b{_ABOUT}\s{{0,3}}(?:{_SURELY}(?:{_IS}\s{{0,3}},?\s{{0,2}}{_SURELY}(?:{_SIGN})?|{_SIGN}"
    rf"(?:\s{{0,2}}(?:it is|it's|therefore|thus|the (?:correct |right |best )?answer is))?))\s{{0,8}}",
    re.IGNORECASE,
)
CHOSEN = re.compile(
    r"\b(?:I|we)(?:'ll| will| would|'d|'m going to| am going to|'m|'ve| have| must| can| should)?"
    r"(?: therefore| thus| finally| now| also| confidently)? "
    r"(?:am going with|choose|chose|chosen|pick|picked|select|selected|answer|go with|went with|going with|settle on|"
    r"settled on|opt for|vote for|conclude with)(?: (?:the )?(?:option|choice|answer|letter))?\s{0,3}:?\s{0,3}",
    re.IGNORECASE,
)
HEADED = re.compile(
    r"^[#> \t]{0,8}(?:the |my )?(?:final |correct |best )?answer\s{0,3}:?[ \t]{0,3}\n\s{0,8}",
    re.IGNORECASE | re.MULTILINE,
)
RIGHT = re.compile(
    r"(?P<before>(?<![\w(])(?:option|choice|answer)\s{1,3}|^[^\w\n]{0,6}|[.!?:;,]\s{1,3}|"
    r"\b(?:so|thus|hence|therefore)[, ]{1,3}|"
    r"\bI(?:'m| am|'d)?\s{1,2}(?:think|believe|say|conclude|confident|sure|certain|convinced)\s{1,2}(?:that\s{1,2})?)"
    r"(?P<value>(?:the )?(?:option |choice |answer )?\S{1,3})\s{1,3}(?:is|must be|would be|should be|has to be)\s{1,3}"
    r"(?:therefore |thus |clearly |indeed |probably |most likely |the only one that is )?(?:the\s)?"
    r"(?:(?:single |most |one )?(?:correct|right|best|accurate)\b(?!\s{0,3}(?:only )?(?:if|when|unless|but|for|in)\b)"
    r"|answer\b)",
    re.IGNORECASE | re.MULTILINE,
)
CONCLUDED = re.compile(
    r"\b(?:so|thus|hence|therefore|consequently)[,:]?\s{1,3}(?:it(?:'s| is| must be) |we have )?"
    r"(?P<value>\S[^\n.!?]{0,12})[.!]?[ \t]{0,3}$",
    re.IGNORECASE | re.MULTILINE,
)
BOXED = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{")
TAGGED = re.compile(r"<(?:final_)?answer>", re.IGNORECASE)

_BRACE = re.compile(r"[{}]")
_STOPS = (". ", "! ", "? ", "\n", ";")
_NEW_CLAUSE = re.compile(
    r"(?:,\s{0,3}(?:and )?(?:so|thus|hence|therefore|then|which means)\b|,?\s{0,2}\bbut)", re.IGNORECASE
)
_SUPPOSED = re.compile(
    r"(?<!even )(?<!as )\bif\b(?! I ha(?:d|ve) to)|(?<!regardless of )\bwhether\b(?! or not)|"
    r"\b(?:unless|suppos(?:e|ing)|assum(?:e|ing)|imagin(?:e|ing)|pretend|perhaps|maybe|possibly)\b|"
    r"\b(?:for example|for instance|e\.g\.|such as)\W{0,3}(?:the\s|my\s)?$|"
    r"^\W{0,6}(?:the )?(?:answer |output |required )?(?:format|template|example)(?: is)?\s{0,2}[:-]",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\bnot|n't|\bnever|\bhardly|\bno longer|\bneither|\bcannot)\s{1,2}(?:\w{1,15}\s{1,2}){0,2}?(?:think|believe|"
    r"say|saying|said|sure|certain|true|clear|mean|follow|imply|claim|agree|convinced|correct|right|case|likely|conclude|"
    r"see|accept)\b[^,:]{0,60}$|"
    r"(?<!no )(?<!without )(?<!without a )\b(?:doubt\w{0,4}|den(?:y|ies|ied)|disagree\w{0,2}|unlikely|reject\w{0,3}|"
    r"refus\w{1,3}|untrue|mistaken)\b[^,]{0,40}$|\b(?:not|never|nor|neither)\s{1,2}(?:that\s{1,2})?(?:the\s|my\s)?(?:\w{1,12}\s)?$",
    re.IGNORECASE,
)
_SAYS = re.compile(
    r"\b(?P<reports>says?|said|saying|claim(?:s|ed|ing)?|states|stated|stating|thinks?|"
    r"(?<!second )(?<!some )(?<!more )(?<!careful )(?<!of )thought|believes?|believed|"
    r"told|tells?|argues?|argued|insists?|insisted|reports|reported|writes?|wrote|mention(?:s|ed)?|guess(?:es|ed)|"
    r"expects?|propose[sd]?|answered|hoped|assumed|note[sd]|assert(?:s|ed)|knows?|knew|lists)\b|"
    r"\b(?P<infers>suggest(?:s|ed|ing)?|indicate[sd]?|indicating|shows?|showed|means?|meant|impl(?:y|ies|ied)|"
    r"confirm(?:s|ed)?|proves?|proved|hint(?:s|ed)|reveal(?:s|ed)?|gives?|gave|leads?|points)\b",
    re.IGNORECASE,
)
_SELF = re.compile(
    r"\b(?:I|we)(?:'d|'ll|'ve|'m)?(?:\s{1,2}(?:would|will|do|can|could|must|also|still|now|firmly|strongly|therefore|"
    r"have to|should|am|really|personally|confidently)){0,3}\s{0,2}$",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"^(?:said|thought|believed|guessed|claimed|answered|wrote|stated|assumed|hoped|noted|told)$", re.IGNORECASE
)
_SPEAKER = re.compile(
    r"\b(?:professor|user|metadata|hint|note|key|system|file|function|validator|validation|grader|checker|code|expert|"
    r"teacher|tutor|student|prompt|author|colleague|friend|stanford|source|message|tag|xml|comment|people|someone|"
    r"somebody|he|she|they|you|your|his|her|their|assistant|who)\b",
    re.IGNORECASE,
)
_NOT_MINE = re.compile(
    r"\b(?:(?:wrong|incorrect|worst|false|bad|other|another|previous|earlier|prior|initial|original|old|former|first|"
    r"hinted|suggested|proposed|claimed|indicated|provided|given|stated|leaked|stored|recorded|expected|intended|"
    r"supposed|alleged|possible|plausible|potential|tempting|common|his|her|their|no|any|each|every|least)|"
    r"(?!(?:question|problem|puzzle|quiz|today|let|it|that|here)'s)\w{1,20}'s)\s{1,2}(?:\w{1,15}\s{1,2})?$",
    re.IGNORECASE,
)
_ONCE = re.compile(r"\b(?:initially|originally|at first|previously|formerly|earlier)\b", re.IGNORECASE)
_FROM = re.compile(r"\baccording to\b", re.IGNORECASE)
_FINAL = re.compile(r"\bfinal\s{1,3}$", re.IGNORECASE)
_ASKED = re.compile(r"[^.!?\n]{0,160}\?")
_UNSAID = re.compile(
    r"[^\w\n]{0,4}(?:is|are|was|were|would be|seems|looks)\s{1,2}(?:also\s)?(?:wrong|incorrect|not\b|false|unlikely|"
    r"impossible)|"
    r"[^\w\n]{0,3}(?:only\s{1,2}(?:if|when)|if|unless)\b|"
    r"[^.!?\n]{0,40}\b(?:that|this|which|it)\s{1,2}(?:is|was|seems|looks|would be|can't be|cannot be|must be|has to be)"
    r"\s{1,2}(?:wrong|incorrect|not (?:right|correct|true|possible|it)|false|a mistake|impossible|ruled out)",
    re.IGNORECASE,
)
_LED_IN = re.compile(
    r"^\W{0,8}(?:(?:so|thus|hence|therefore|in conclusion|in summary|to conclude|finally|overall|the|my|correct|final|"
    r"best|right|most likely)[,:]?\s{1,3}){0,5}$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """A place at which a text states a value.

    Attributes:
        start: where the statement begins.
        at: where its value is to be read.
        stop: end of a box or tag, whose content is the value; None where the value is read from ``at`` on.
        end: where the statement's words end, if they go on after the value ("… is correct").
        final: it calls itself final.
        leads: it begins its own line, as an instructed closing line does.
        cited: it gives its source ("According to …"), which need not be the writer's own answer.
    """

    start: int
    at: int
    stop: int | None = None
    end: int | None = None
    final: bool = False
    leads: bool = False
    cited: bool = False


def statements(text: str) -> Iterator[Statement]:
    """All places at which ``text`` asserts an answer, pattern by pattern."""
    for pattern, close in ((BOXED, "{}"), (TAGGED, "<>")):
        for match in pattern.finditer(text):
            stop = _closing(text, match.end()) if close == "{}" else _tag_end(text, match.end())
            if stop is not None:
                yield _statement(text, match.start(), match.end(), stop=stop)
    for pattern in (STATED, CHOSEN, HEADED):
        for match in pattern.finditer(text):
            if _asserted(_before(text, match.start()), match[0]):
                yield _statement(text, match.start(), match.end())
    for pattern in (RIGHT, CONCLUDED):
        for match in pattern.finditer(text):
            start = match.start("value")
            clause = _before(text, start)
            if _asserted(clause, ""):
                yield _statement(text, start, start, end=match.end())


def _statement(text: str, start: int, at: int, stop: int | None = None, end: int | None = None) -> Statement:
    low = max(0, start - WINDOW)
    line = text[max(text.rfind("\n", low, start) + 1, low) : start]
    final, leads, cited = _led_in(line)
    return Statement(start, at, stop, end, final or text[start : start + 6].lower() == "final ", leads, cited)


@lru_cache(maxsize=4096)
def _led_in(line: str) -> tuple[bool, bool, bool]:
    """What stands before a statement on its line calls it final, is no more than a lead-in, gives its source."""
    return bool(_FINAL.search(line)), bool(_LED_IN.match(line)), bool(_FROM.search(line))


def _closing(text: str, start: int) -> int | None:
    """Where the brace that is open at ``start`` is closed."""
    depth = 1
    for match in islice(_BRACE.finditer(text, start, start + WINDOW), 8):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    return None


def _tag_end(text: str, start: int) -> int | None:
    """Where an answer tag's content ends; the end of the text closes it too."""
    stop = text.find("</", start, start + WINDOW)
    if stop >= 0:
        return stop
    return len(text) if len(text) - start < WINDOW else None


def _before(text: str, start: int) -> str:
    """What stands before a statement in its own clause."""
    low, high = max(0, start - WINDOW), start
    while True:
        at = max(text.rfind(stop, low, high) for stop in _STOPS)
        if at < 0:
            return text[low:start]
        if text[max(0, at - 3) : at] not in ("e.g", "i.e"):
            return text[at + 1 : start].lstrip()
        high = at


@lru_cache(maxsize=4096)
def _asserted(clause: str, statement: str) -> bool:
    """Nothing before a statement makes it a supposition, a denial, somebody else's or an earlier one."""
    clause = _NEW_CLAUSE.split(clause)[-1]
    if _SUPPOSED.search(clause) or _DENIED.search(clause) or _NOT_MINE.search(clause):
        return False
    if _ONCE.search(clause) and re.search(r"\b(?:was|chose|picked|selected|went)\b", statement):
        return False
    return not _reported(clause)


def _reported(clause: str) -> bool:
    """The last verb of saying before a statement governs it, and its subject is not the writer now."""
    verbs = [match for match in _SAYS.finditer(clause) if "," not in clause[match.end() :]]
    if not verbs:
        return False
    verb = verbs[-1]
    subject = clause[: verb.start()]
    if _SELF.search(subject):
        return bool(_PAST.match(verb[0]))
    return verb["reports"] is not None or bool(_SPEAKER.search(subject))


def taken_back(text: str, end: int) -> bool:
    """What follows in the sentence asks about, denies or conditions what was stated up to ``end``."""
    return _taken_back(text[end : end + WINDOW])


@lru_cache(maxsize=4096)
def _taken_back(after: str) -> bool:
    return bool(_ASKED.match(after) or _UNSAID.match(after))
