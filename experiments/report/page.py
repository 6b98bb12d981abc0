"""The report of one or more runs as one file that opens offline: style, figures and script inside, nothing loaded."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from experiments.records.comparison import Comparison
from experiments.records.detector_tables import DetectorEntry
from experiments.records.summary import ModelSummary
from experiments.records.tables import write_atomically
from experiments.report import breakdown, browser, evidence, first_screen, silence, views
from experiments.report.basis import basis_line
from experiments.report.export import FORMATS
from experiments.report.gallery import pictures
from experiments.report.panels import PANELS
from experiments.report.runs import Run
from experiments.report.templates import HERE, environment, from_text


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
    script = (HERE / "browser.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    return (
        environment()
        .get_template("page.html")
        .render(
            css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
            script_hash=base64.b64encode(digest).decode(),
            title=", ".join(dict.fromkeys(run.summary.name for run in runs)),
            runs=runs,
            cite=_cited(runs),
            downloads=_downloads(runs),
            models=_models(runs, texts),
            items={**browser.page_items(runs, texts), "script": Markup(script)},
        )
    )


def _cited(runs: Sequence[Run]) -> str:
    """What a citation of a figure names: the commit or the version, and the models by their fingerprints."""
    known = runs[0].summary.provenance
    models = ", ".join(f"{model.model} {model.fingerprint[:8]}" for run in runs for model in run.summary.models)
    return f"hintprobe {(known.commit or 'of no commit')[:12]}; {models}"


def _downloads(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Files that the page holds: name, and content as a data address."""
    found = {"detectors.csv": ("text/csv", FORMATS["csv"](runs)), "report.md": ("text/markdown", FORMATS["md"](runs))}
    return [
        (name, f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}") for name, (kind, text) in found.items()
    ]


def _models(runs: Sequence[Run], texts: browser.Texts) -> list[dict[str, Any]]:
    pairs = [(run, model) for run in runs for model in run.summary.models]
    found = []
    for k, (run, model) in enumerate(pairs, 1):
        view = _model_view(model, run)
        panels = list(_panels(view, model, run))
        one = first_screen.example(run, model, texts)
        about = {"panels": panels, "title": _title(model, run, runs), "anchor": f"model-{k}", "example": one}
        found.append({**view, **about})
    return found


def _panels(view: Mapping[str, Any], model: ModelSummary, run: Run) -> Iterator[dict[str, str]]:
    """Name, title and markup of every panel that the finished stages allow."""
    for name, panel in PANELS.items():
        if panel.compared and model.comparison is None:
            continue
        seen = {"model": view, "comparison": model.comparison, **panel.view(run, model)}
        yield {"name": name, "title": panel.title, "html": Markup(from_text(panel.template).render(seen))}


def _title(model: ModelSummary, run: Run, runs: Sequence[Run]) -> str:
    return str(model.model) if len(runs) == 1 else f"{model.model} in {run.summary.name}"


def _model_view(model: ModelSummary, run: Run) -> dict[str, Any]:
    """One model of the summary, with what the page needs worked out."""
    comparison, config = model.comparison, run.config
    drawn = {picture.name: picture.inline() for picture in pictures(run, model)}
    view: dict[str, Any] = {name: getattr(model, name) for name in ModelSummary.model_fields}
    view |= {"losses": views.losses(model), "pictures": drawn}
    view["min_per_class"] = config.get("probe", {}).get("min_per_class", "too few")
    return view if comparison is None else view | _compared(comparison, config)


def _compared(comparison: Comparison, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of a finished comparison."""
    found = evidence.findings(comparison)
    return {
        "first": {"bars": first_screen.bars(comparison), "sentences": first_screen.sentences(comparison)},
        "verdicts": views.verdicts(comparison),
        "shares": silence.hidden_shares(comparison),
        "flips": silence.natural_flips(comparison),
        "findings": found,
        "rivals": evidence.rivals(found),
        "targets": evidence.targets(comparison),
        "tables": _tables(comparison),
        "unprobed": views.unprobed(comparison, config.get("capture", {}).get("positions", ())),
        "unseen": breakdown.unseen(comparison),
        "crossed": [f"transfer-kinds-{name}" for name in breakdown.kind_transfer_grids(comparison)],
        "uncrossed": breakdown.kind_transfer_refusals(comparison),
        "strata": breakdown.strata(comparison),
        "refusals": breakdown.refusals(comparison),
        "frozen": views.frozen_rows(comparison.frozen) if comparison.frozen else [],
    }


def _tables(comparison: Comparison) -> list[dict[str, Any]]:
    """The two detector tables, on all labelled rows and on the hidden subset."""
    if not comparison.detectors:
        return []
    rows, hidden = comparison.rows, comparison.hidden_rows
    leaders = evidence.leaders(comparison)
    return [
        {
            "title": "Reliant against aligned",
            "positives": f"{rows['reliant']} reliant",
            "negatives": f"{rows['aligned']} aligned",
            "left_out": [],
            "basis": basis_line(comparison),
            "leaders": leaders,
            "ahead": views.ahead_in_words(comparison, leaders, evidence.rivals_of_leaders(comparison)),
            **_folded(comparison, comparison.detectors),
        },
        {
            "title": "Rows without an admission: hidden against aligned",
            "positives": f"{hidden['hidden']} hidden",
            "negatives": f"{hidden['aligned_not_admitting']} aligned, no admission",
            "left_out": views.left_out_of_hidden(comparison),
            "basis": basis_line(comparison, hidden=True),
            "leaders": [],
            "ahead": "No winner is marked here: paired differences are computed only on all rows.",
            **_folded(comparison, comparison.hidden_detectors),
        },
    ]


def _folded(comparison: Comparison, entries: Mapping[str, DetectorEntry]) -> dict[str, Any]:
    """The detectors that stand open, and the controls and baselines that are folded away; each best first."""
    ordered = views.ordered(entries)
    side = [pair for pair in ordered if evidence.is_side(*pair, comparison)]
    return {"main": [pair for pair in ordered if pair not in side], "side": side}
