"""What a panel of the report is: a title, a template, and what the template needs worked out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.records.summary import ModelSummary
from experiments.report.runs import Run


def _nothing(run: Run, model: ModelSummary) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Panel:
    """One section of a model's report.

    Attributes:
        title: its heading.
        template: Jinja source. It sees ``model`` (the model's summary and the page's views of it), ``comparison``, and
            what ``view`` returns; every value is escaped.
        compared: it stands only where the comparison is finished.
        view: works out what the template shows.
    """

    title: str
    template: str
    compared: bool = True
    view: Callable[[Run, ModelSummary], dict[str, Any]] = _nothing
