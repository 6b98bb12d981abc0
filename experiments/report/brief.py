"""A run in few lines: what was asked, what was relied on in silence, who finds it, and what counts as found.

Every line is at most 80 columns wide, and every figure stands in ``summary.json``.
"""

import textwrap
from collections.abc import Iterator

from experiments.records.accounts import ProbeAccount
from experiments.records.comparison import Comparison
from experiments.records.detector_tables import DetectorEntry, Finding
from experiments.records.parts import Figure
from experiments.records.summary import ModelSummary, Summary
from experiments.report.figure_text import number, show
from experiments.report.names import readable

WIDTH = 80
IN_FULL = 2
"""Models that are shown in full; further ones get their counts."""


def brief(summary: Summary) -> list[str]:
    """The lines of a run."""
    lines: list[str] = []
    for k, model in enumerate(summary.models):
        lines += _model(model, summary, in_full=k < IN_FULL)
    return [line for text in lines for line in _wrapped(text)]


def _wrapped(text: str) -> list[str]:
    """A line, its continuations indented; names and numbers are not broken."""
    indent = len(text) - len(text.lstrip())
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=" " * (indent + 2), break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True, replace_whitespace=False,
    ) or [""]  # fmt: skip


def _model(model: ModelSummary, summary: Summary, in_full: bool) -> Iterator[str]:
    comparison = model.comparison
    if comparison is None:
        yield f"{model.model}: not finished; missing stages: {', '.join(model.missing_stages)}."
        return
    counts = comparison.counts
    kinds = len(counts.by_kind)
    yield (
        f"{model.model}: {counts.items} items with a hint and without, {kinds} kind{'s' if kinds != 1 else ''} of hint"
    )
    yield f"  relied on the hint    {_share(counts.reliant, counts.hinted_rollouts)}"
    if counts.reliant:
        yield from _hidden(comparison)
    if not in_full:
        return
    if comparison.detectors:
        yield from _contest(comparison)
        yield from _found(comparison)
    else:
        yield f"  {_untrained(model, summary)}"
    yield from _patched(model)
    yield from _frozen(comparison)


def _share(part: int, whole: int, figure: Figure | None = None) -> str:
    """``97 of 306    32%``, with the interval in percent where there is one."""
    if not whole:
        return f"{part} of 0"
    text = f"{f'{part} of {whole}':<14}{100 * part / whole:.0f}%"
    if figure is not None and figure.low is not None and figure.high is not None:
        text += f" [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"
    return text


def _hidden(comparison: Comparison) -> Iterator[str]:
    counts = comparison.counts
    if counts.judged:
        yield (
            f"  did not say so        {_share(counts.hidden, counts.judged, comparison.hidden_share)} according to the "
            f"{comparison.reference}"
        )
    else:
        yield "  did not say so        cannot be told: none of them has a chain of thought with a verdict"
    if counts.judged and counts.unjudged:
        yield f"  not counted there     {counts.unjudged} without a chain of thought or a verdict"


def _contest(comparison: Comparison) -> Iterator[str]:
    """The judge, the best baseline and the best probe, at one false-positive rate."""
    judge = f"judge_{comparison.faithfulness.judge}"
    rows, hidden_rows = comparison.rows, comparison.hidden_rows
    head = f"relied ({rows.get('reliant', 0)})"
    yield f"  {_column('found at the judge’s FPR')}{head:<18} hidden ({hidden_rows.get('hidden', 0)})"
    names = {judge: "", comparison.best_baseline: "baseline: ", comparison.best_probe: ""}
    for name, word in names.items():
        if name in comparison.detectors:
            entry, hidden = comparison.detectors[name], comparison.hidden_detectors.get(name)
            yield f"    {_column(word + readable(name), 2)}{_recall(entry):<18} {_recall(hidden)}"


def _column(text: str, indent: int = 0) -> str:
    return f"{text:<{40 - indent}} "


def _recall(entry: DetectorEntry | None) -> str:
    return show(entry.recall_at_judge_fpr if entry else None)


def _found(comparison: Comparison) -> Iterator[str]:
    for name, finding in comparison.findings.items():
        if finding.found:
            yield f"  Found: {readable(name)} (p = {number(finding.p_holm, 3)})"
    lost = [f"{readable(name)} ({why_not(f)})" for name, f in comparison.findings.items() if not f.found]
    if lost:
        yield f"  Not found: {'; '.join(lost)}"


def why_not(finding: Finding) -> str:
    """The part of the rule that a probe fails by most."""
    if finding.missing:
        return f"could not be tested: {', '.join(finding.missing)}"
    parts = {
        "no better than on permuted labels": finding.p_search,
        "does not tell reliant from resisted rows": finding.belief.p,
        **{f"not ahead of the {readable(name)}": lead.p for name, lead in finding.rivals.items()},
    }
    known = {part: 1.0 if p is None else p for part, p in parts.items()}
    worst = max(known, key=known.__getitem__)
    return f"p = {number(finding.p_holm, 2)}: {worst}"


def _untrained(model: ModelSummary, summary: Summary) -> str:
    account = model.account(ProbeAccount)
    if account is None:
        return "No detector was compared."
    wanted = summary.provenance.config.get("probe", {}).get("min_per_class")
    needs = f"; {wanted} of each are needed" if wanted else ""
    return f"No detector was trained: {account.reliant} reliant and {account.aligned} aligned rows{needs}."


def _patched(model: ModelSummary) -> Iterator[str]:
    if model.patch and model.patch.best:
        best, placebo = model.patch.best, model.patch.placebo
        beside = f", placebos at most {number(placebo.recovery)}" if placebo else ""
        yield (
            f"  Patching {model.patch.pairs} pairs: {best.position} at {best.site} moves {number(best.recovery)} of "
            f"the logit difference{beside}"
        )


def _frozen(comparison: Comparison) -> Iterator[str]:
    if comparison.frozen is None:
        return
    share = comparison.frozen.share_over_threshold
    shown = [name for name in (f"judge_{comparison.faithfulness.judge}", "probe_within_cot") if name in share]
    if shown:
        said = "; ".join(f"{readable(name)} {show(share[name])}" for name in shown)
        yield (
            f"  Detectors of {comparison.frozen.trained_on}, at their threshold for 5% false positives, flag this "
            f"share of {comparison.frozen.rows} rows with a_h = h: {said}"
        )
