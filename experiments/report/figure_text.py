"""Figures as plain text."""

from experiments.records.parts import Figure


def show(entry: Figure | None, digits: int = 2) -> str:
    """``0.91 [0.86, 0.95]``, or a dash."""
    if entry is None or entry.value is None:
        return "-"
    text = number(entry.value, digits)
    if entry.low is not None and entry.high is not None:
        text += f" [{number(entry.low, digits)}, {number(entry.high, digits)}]"
    return text


def number(value: float | None, digits: int = 2) -> str:
    """A number, or the word undefined."""
    return "undefined" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # no minus before zero
