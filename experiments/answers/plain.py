"""Text without its dressing: Markdown emphasis, quotation marks, LaTeX wrappers and HTML tags taken out, places kept.

Every removal is one match of a pattern with bounded repetition, so time is linear in the length of the text.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

_WIDE = "ＡＢＣＤＥＦＧＨＩＪ（）［］｛｝：．，"
_SAME_LENGTH = str.maketrans(_WIDE + "“”„‘’´\u00a0\u202f\u2009\u3000【】「」", 'ABCDEFGHIJ()[]{}:.,"""\'\'\'    []""')
"""Characters that mean the same, one for one, so that places stay."""

_DRESSING = re.compile(
    r"""(?<!\w)[*_`$"'~]{1,4} | [*_`$"'~]{1,4}(?!\w)                             # emphasis and quotation marks
    | \\[()\[\],;!] | \\(?:text|mathrm|mathbf|mathsf|mathit|operatorname)(?:bf|rm|sf|it|tt|normal)?\s{0,2}\{
    | (?<=\n\n)\n+ | (?<=[ ]{12})[ ]+                                             # a loop's empty lines and spaces
    | </?(?:b|strong|em|i|p|u|code|mark|span|div|h[1-6])\s{0,2}/?> """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class PlainText:
    """A text without its dressing.

    Attributes:
        text: what is left.
        kept_at: where each kept piece begins in ``text``.
        came_from: where it began in the original.
    """

    text: str
    kept_at: tuple[int, ...]
    came_from: tuple[int, ...]

    def origin(self, at: int) -> int:
        """Where a character of ``text`` stood in the original."""
        piece = bisect_right(self.kept_at, at) - 1
        return self.came_from[piece] + at - self.kept_at[piece]


def plain_text(text: str) -> PlainText:
    """Take the dressing off."""
    same = text.translate(_SAME_LENGTH)
    pieces, kept_at, came_from = [], [0], [0]
    length = start = 0
    for match in _DRESSING.finditer(same):
        pieces.append(same[start : match.start()])
        length += match.start() - start
        start = match.end()
        kept_at.append(length)
        came_from.append(start)
    pieces.append(same[start:])
    return PlainText("".join(pieces), tuple(kept_at), tuple(came_from))
