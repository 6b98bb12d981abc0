"""The report of one or more runs as one file that opens offline: style, figures and script inside, nothing loaded."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments.report import browser, views
from experiments.report.figures import whisker
from experiments.report.gallery import pictures
from experiments.report.runs import Run
from experiments.report.words import FILTERS
from experiments.tables import write_atomically

PAGE = "report.html"
_HERE = Path(__file__).parent


def write_report(runs: Sequence[Run], page: Path, texts: browser.Texts = "auto") -> Path:
    """Write the page.

    Args:
        runs: what to report; a model that is not finished gets a report of what there is.
        page: where to write it.
        texts: whether the item browser holds prompts and completions; ``auto`` leaves out those of datasets whose
            authors ask for it.

    Returns:
        Path of the page.
    """
    write_atomically(page, render(runs, texts))
    return page


def render(runs: Sequence[Run], texts: browser.Texts = "auto") -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(FILTERS)
    environment.globals["whisker"] = whisker
    script = (_HERE / "browser.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    return environment.get_template("page.html").render(
        css=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script_hash=base64.b64encode(digest).decode(),
        title=", ".join(dict.fromkeys(run.summary["name"] for run in runs)),
        runs=runs,
        models=[
            {**_model_view(model, run), "title": _title(model, run, runs)}
            for run in runs
            for model in run.summary["models"]
        ],
        stages=views.STAGES,
        items={**browser.page_items(runs, texts), "script": Markup(script)},
    )


def _title(model: Mapping[str, Any], run: Run, runs: Sequence[Run]) -> str:
    return str(model["model"]) if len(runs) == 1 else f"{model['model']} in {run.summary['name']}"


def _model_view(model: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """One model of the summary, with what the page needs worked out."""
    comparison, config = model["comparison"], run.config
    drawn = {picture.name: picture.inline() for picture in pictures(run, model)}
    view: dict[str, Any] = {**model, "losses": views.losses(model), "pictures": drawn}
    view["min_per_class"] = config.get("probe", {}).get("min_per_class", "too few")
    if comparison is None:
        return view
    view["verdicts"] = views.verdicts(comparison)
    view["unprobed"] = views.unprobed(comparison, config.get("capture", {}).get("positions", ()))
    view["tables"] = _tables(comparison)
    view["frozen"] = views.frozen_rows(comparison["frozen"]) if comparison["frozen"] else []
    return view


def _tables(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The two detector tables, on all labelled rows and on the hidden subset."""
    if not comparison["detectors"]:
        return []
    rows, hidden = comparison["rows"], comparison["hidden_rows"]
    return [
        {
            "title": "Reliant against aligned",
            "positives": f"{rows['reliant']} reliant",
            "negatives": f"{rows['aligned']} aligned",
            "entries": views.ordered(comparison["detectors"]),
            "left_out": [],
        },
        {
            "title": "The silent ones: hidden against aligned and silent",
            "positives": f"{hidden['hidden']} hidden",
            "negatives": f"{hidden['aligned_and_silent']} aligned and silent",
            "entries": views.ordered(comparison["hidden_detectors"]),
            "left_out": views.left_out_of_hidden(comparison),
        },
    ]
