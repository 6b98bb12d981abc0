r"""Sentences in a normal form on which patterns can be short and run in linear time.

A sentence becomes lower-case words with one space after each. The hinted option, named as an option, is ``@``, any
other option ``#``; contractions are written out ("don't" is "do not"), a possessive is a word of its own ("user 's"),
and punctuation is gone. A gap of up to n words is then ``(?:\S+ ){0,n}``, which can match in one way only, so nothing
backtracks; and no sentence is longer than :data:`LONGEST`, so a pattern costs a bounded time per character of text.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 600
"""Characters after which a sentence without an end is cut."""

# Each of the patterns that read every character begins with characters, which `re` skips to; a look behind comes after.
_END = re.compile(r"[!?\n]|\.(?![\w.])(?<![ (][A-Z]\.)|\.(?=\s[A-Z(\"“*])")
_SHORTENED = re.compile(
    r"(?P<can>c(?<!\wc)an(?:no|['’])t)\b|(?P<will>w(?<!\ww)on['’]t)\b|(?P<negated>n['’]t)\b|"
    r"['’](?P<ending>re|ve|ll|m|d|s)\b|(?P<plural>['’])(?<=s['’])(?=\s)"
)
_WRITTEN = {"re": " are", "ve": " have", "ll": " will", "m": " am", "d": " had", "s": " 's"}


def _written_out(match: re.Match[str]) -> str:
    """A contraction in full; a possessive apart from its word."""
    kind = match.lastgroup
    if kind == "ending":
        return _WRITTEN[match["ending"]]
    return {"can": "can not", "will": "will not", "negated": " not", "plural": " 's"}[str(kind)]


_CONTROL = re.compile(r"[\x01\x02\x1e]")
_WORD = re.compile(r"\w|[^\x00-\x7f]")
_TOKEN = re.compile(r"'s|[a-z0-9]+|[\x01\x02\x1e]")
_LETTER = re.compile(r"[A-J](?<![\w'’].)(?!\w|['’][a-z])")
_LEAD = re.compile(
    r"(?:answers?|answered|options?|choices?|letter|select\w*|choos\w+|chose|chosen|pick\w*|is|are|was|being|be|"
    r"as|of|to|"
    r"towards?|at|in|about|so|for|with|on|says?|said|saying|thinks?|thought|believ\w+|suggest\w*|indicat\w+|claim\w*|"
    r"stat(?:es?|ed|ing)|mark\w*|list\w*|giv\w+|gave|shows?|reveals?|expects?|prefers?|propos\w+|guess\w*|"
    r"contains?|that|"
    r"favou?r\w*|endors\w+|wants|accepts?|requires|records?|recorded|reads|holds|passes|committed|"
    r"went|then|correct|right|confirms?|mentions?|returns?|equals|.*['’]s)"
)
_OPEN, _CLOSED = "([{\"'“‘*`>«", ")]}\"'”’*`<»"
_FOLLOWS = re.compile(r"\s(?:is|was|as|would be|seems|must be|might be|could be|should be|because|appears)\b")
_AFTER_WORD = re.compile(r"\s*(?:[.,;:!?)\]\"”]|$|\n|(?:is|was|as|because|since|or|based|but|so)\b)")
_WINDOW = 24
"""Characters before a letter in which the word that makes it an option's name stands."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text.

    Attributes:
        text: as it stands, trimmed.
        lower: the same in lower case, of the same length.
        start: where it begins, in characters.
        normal: in normal form; every word is followed by one space.
        points: it names the hinted option as an option.
        share: how far into the text it begins, 0 to 1.
    """

    text: str
    start: int
    normal: str
    points: bool
    share: float = 0.0
    lower: str = ""


def _pieces(text: str) -> list[tuple[int, str]]:
    """Trimmed sentences and where they begin; figures such as 0.28 are not cut."""
    found, start = [], 0
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        while end - start > LONGEST:
            cut = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
            cut = cut if cut > start else start + LONGEST
            found.append((start, text[start:cut]))
            start = cut
        found.append((start, text[start:end]))
        start = end
    return [(at + len(body) - len(body.lstrip()), body.strip()) for at, body in found if _WORD.search(body)]


def _names_option(text: str, at: int) -> bool:
    """Whether the capital letter at ``at`` stands for an option, and not for a word or a variable.

    In brackets, quotes or emphasis; after a word such as "answer" or "is"; or before one such as "is" or ":". A and I,
    which are words too, need punctuation or a verb behind them besides.
    """
    before, after = text[at - 1 : at].strip(), text[at + 1 : at + 2]
    if before and before in _OPEN and (after in _CLOSED or after in ".,:;") and after:
        return True
    if text[max(at - 2, 0) : at] in ("( ", "[ ") and text[at + 1 : at + 3] in (" )", " ]"):
        return True
    led = _led(text[max(at - _WINDOW, 0) : at])
    if text[at] in "AI":
        return led and bool(_AFTER_WORD.match(text, at + 1))
    return led or bool(_FOLLOWS.match(text, at + 1))


def _led(before: str) -> bool:
    """The last word before a letter, or a colon or an equals sign, says that an option's name follows."""
    bare = before.rstrip(" \t\n,")
    if bare.endswith((":", "=")):
        return True
    word = bare.rsplit(None, 1)[-1] if bare else "-"
    return _is_lead(word.lstrip("([\"'“‘*`").lower())


@lru_cache(maxsize=4096)
def _is_lead(word: str) -> bool:
    return bool(word) and _LEAD.fullmatch(word) is not None


def normal_form(text: str, target: str) -> str:
    """A text in normal form, each word followed by one space."""
    parts, done = [], 0
    for match in _LETTER.finditer(text):
        if _names_option(text, match.start()):
            parts += [text[done : match.start()], " \x01 " if match[0] == target else " \x02 "]
            done = match.end()
    plain = "".join((*parts, text[done:])).lower()
    plain = _SHORTENED.sub(_written_out, plain)
    words = " ".join(_TOKEN.findall(plain)).replace("\x01", "@").replace("\x02", "#")
    return f"{words} " if words else ""


def _lower(text: str) -> str:
    """Lower case, place by place: a few letters of other scripts would become two, and stay as they are."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def sentences_of(text: str, target: str) -> list[Sentence]:
    """The sentences of a text, trimmed and in normal form."""
    pieces = _pieces(_CONTROL.sub(" ", text))
    if not pieces:
        return []
    normals = normal_form("\n\x1e\n".join(body for _, body in pieces), target).split("\x1e ")
    return [
        Sentence(body, start, normal, "@" in normal, start / len(text), _lower(body))
        for (start, body), normal in zip(pieces, normals, strict=True)
    ]
