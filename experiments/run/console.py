"""A terminal that shows what models, questions and paths say as it is written, and obeys none of it."""

from typing import Any

from rich.console import Console
from rich.text import Text

_KEPT = "\n\t"


def visible(text: str) -> str:
    """Control characters (an escape sequence's first one, say) and lone surrogates as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    control = (code < 0x20 and character not in _KEPT) or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000
    # Marks that turn the direction of what follows, and can so hide what a line says.
    control = control or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    return character.encode("unicode_escape").decode("ascii") if control else character


class PlainConsole(Console):
    """Rich without its markup: square brackets are square brackets, and control characters are shown, not sent."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """A string as text; called for everything printed and for every cell of a table."""
        return super().render_str(visible(text), **settings)
