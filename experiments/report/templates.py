"""The page's templates, compiled once in a process."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from experiments.report.figures import whisker
from experiments.report.words import FILTERS

HERE = Path(__file__).parent


@cache
def environment() -> Environment:
    """Where templates are found, and the filters and functions that they use."""
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(FILTERS)
    made.globals["whisker"] = whisker
    return made


@cache
def from_text(text: str) -> Template:
    """A template given by its text, as that of a panel is."""
    return environment().from_string(text)
