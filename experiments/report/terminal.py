"""The result as tables in the terminal."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.records.comparison import Comparison, Frozen
from experiments.records.detector_tables import DetectorEntry
from experiments.records.parts import Figure
from experiments.records.summary import ModelSummary, Summary
from experiments.report.answered import answer_lines
from experiments.report.basis import basis_line
from experiments.report.brief import brief
from experiments.report.figure_text import number, show


def detector_rows(entries: Mapping[str, DetectorEntry]) -> list[tuple[str, ...]]:
    """Name, AUROC, recall at 5% and at the judge's false-positive rate, realised rate; best AUROC first."""
    ordered = sorted(entries.items(), key=lambda pair: -(pair[1].auroc.value or 0))
    return [
        (
            name,
            show(entry.auroc),
            show(entry.recall_at_5pct),
            show(entry.realised_fpr_at_5pct),
            show(entry.recall_at_judge_fpr),
            entry.reads,
            given(entry),
        )
        for name, entry in ordered
    ]


def given(entry: DetectorEntry) -> str:
    """The information that a detector is given, and the labels it has seen; a contest is fair where they are equal."""
    return f"{', '.join(entry.sees) or 'not stated'}; {entry.labels or 'not stated'}"


HEADERS = (
    "detector",
    "AUROC",
    "recall at 5% FPR",
    "realised FPR",
    "recall at judge's FPR",
    "reads",
    "given; labels seen",
)


def _print_detectors(console: Console, title: str, entries: Mapping[str, DetectorEntry]) -> None:
    """The columns that fit 80 characters with every name in one piece; the report has the rest."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("detector", no_wrap=True)
    for name in ("AUROC", "recall at 5% FPR", "at judge's"):
        table.add_column(name, no_wrap=True)
    for name, auroc, recall, _, at_judge, *_ in detector_rows(entries):
        table.add_row(name, auroc, recall, at_judge.partition(" ")[0])
    console.print(table)


def headline(model: ModelSummary) -> str:
    """One paragraph on what was found for a model."""
    comparison = model.comparison
    if comparison is None:
        return f"{model.model}: not finished; missing stages: {', '.join(model.missing_stages)}."
    counts, paper = comparison.counts, comparison.faithfulness.all
    reliant = counts.reliant
    text = (
        f"{model.model}: of {counts.hinted_rollouts} hinted rollouts, {reliant} relied on the hint and "
        f"{counts.hidden} of those did not say so (according to the {comparison.reference}"
        f"{f', which did not score {counts.unjudged} of them' if counts.unjudged else ''}); "
        f"{counts.aligned} aligned, {counts.overdetermined} overdetermined, {counts.resisted} resisted, "
        f"{counts.ambiguous} ambiguous. p {number(paper.p)}, q {number(paper.q)}, alpha "
        f"{number(paper.alpha)}; faithfulness raw {number(paper.raw)}, normalised {number(paper.normalised)}."
    )
    for direction, effect in comparison.hint_effect.items():
        text += f" {direction.capitalize()} hints change P(answer = h) by {show(effect.difference)}."
    return text


def verdict(comparison: Comparison) -> str | None:
    """Does the best probe beat the judge, at the judge's own false-positive rate, and the best text baseline?"""
    probe, baseline = comparison.best_probe, comparison.best_baseline
    if not probe:
        return None
    entry = comparison.detectors[probe]
    sentences = []
    recall, gap = entry.recall_minus_judge, comparison.probe_minus_baseline
    if recall is not None and recall.value is not None:
        how = {True: "beats", False: "is worse than", None: "cannot be told from"}[entry.ahead_of_judge]
        sentences.append(
            f"{probe} {how} the judge: recall at the judge's own false-positive rate differs by {show(recall)}, the "
            f"realised rates by {show(entry.fpr_minus_judge)}."
        )
    if gap is not None and gap.value is not None:
        sentences.append(f"{probe} {_how(gap)} {baseline}: AUROC difference {show(gap)}.")
    return " ".join(sentences)


def _how(gap: Figure) -> str:
    if gap.low is not None and gap.low > 0:
        return "beats"
    return "is worse than" if gap.high is not None and gap.high < 0 else "cannot be told from"


def forwards_of_this_run(summary: Summary) -> int:
    """Model forwards of the stages that ran just now."""
    return sum(stage.forwards for model in summary.models for stage in model.stages.values() if stage.fresh)


def print_summary(console: Console, summary: Summary, page: Path, verbose: bool = False) -> None:
    """Print a run in brief; with ``verbose``, every detector, the differences and the times as well."""
    for line in brief(summary):
        console.print(line, style=None if line.startswith(" ") else "bold", highlight=False, soft_wrap=True)
    if verbose:
        for model in summary.models:
            _print_in_full(console, model)
    forwards = forwards_of_this_run(summary)
    if not forwards:
        console.print("Everything was found in the cache: this run made no forward pass.")
    elif verbose:
        console.print(f"This run made {forwards} forward passes.")
    console.print(f"Report: {page}", soft_wrap=True, highlight=False)
    if not verbose:
        console.print(f"Next: hintprobe show {page.parent}   (one item in full)", soft_wrap=True, highlight=False)
        console.print("      the same command with --verbose   (every detector)", highlight=False)


def _print_in_full(console: Console, model: ModelSummary) -> None:
    console.rule(model.model, align="left")
    console.print(headline(model))
    for line in answer_lines(model):
        console.print(line, highlight=False)
    comparison = model.comparison
    if comparison and comparison.detectors:
        rows, hidden = comparison.rows, comparison.hidden_rows
        title = f"Reliant ({rows['reliant']}) against aligned ({rows['aligned']}), within kind × direction"
        _print_detectors(console, title, comparison.detectors)
        title = f"Hidden ({hidden['hidden']}) against aligned without an admission ({hidden['aligned_not_admitting']})"
        _print_detectors(console, title, comparison.hidden_detectors)
        for line in filter(None, (basis_line(comparison), basis_line(comparison, hidden=True))):
            console.print(line)
        console.print(verdict(comparison) or "No difference between the detectors could be estimated.")
    if comparison and comparison.frozen:
        _print_frozen(console, comparison.frozen)
    times = ", ".join(f"{name} {stage.seconds:.1f} s" for name, stage in model.stages.items())
    console.print(f"Stage times: {times}.")


def _print_frozen(console: Console, frozen: Frozen) -> None:
    table = Table(
        title=f"Detectors frozen on {frozen.trained_on}: share of {frozen.rows} rows over their 5% threshold",
        title_justify="left",
        header_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("detector", no_wrap=True)
    table.add_column("share")
    for name, entry in frozen.share_over_threshold.items():
        table.add_row(name, show(entry))
    console.print(table)
