"""The result as Markdown: the page's numbers for notes, papers and issue threads."""

from collections.abc import Iterable, Iterator, Sequence

from experiments.records.comparison import Comparison
from experiments.records.judging import JudgeSensitivity
from experiments.report import breakdown, evidence, interventions, judges, monitoring, silence
from experiments.report.answered import answer_lines
from experiments.report.basis import basis_line
from experiments.report.figure_text import number, show
from experiments.report.figures import Grid
from experiments.report.runs import Run
from experiments.report.terminal import HEADERS, detector_rows, headline, verdict
from experiments.report.words import metric

TABLES = {"detectors": "Reliant against aligned", "hidden_detectors": "Hidden against aligned without an admission"}
METRICS = ("p", "q", "alpha", "raw", "normalised")


def as_markdown(runs: Sequence[Run]) -> str:
    """Headline, hidden share, findings and tables of every model."""
    parts = []
    for run in runs:
        parts.append(f"# {run.summary.name}\n")
        for model in run.summary.models:
            parts.append(f"## {model.model}\n\n{headline(model)}\n")
            if model.comparison is not None:
                parts += _compared(model.comparison)
            parts += [f"{line}  \n" for line in answer_lines(model)]
            parts += [_table(*table) for table in interventions.tables(model)]
    return "\n".join(parts)


def _compared(comparison: Comparison) -> Iterator[str]:
    yield _table("Hidden share", ("decided by", "share", "of"), _shares(comparison))
    if comparison.judges is not None:
        yield from _judges(comparison.judges)
    if flips := silence.natural_flips(comparison):
        rows = [(flip.what, show(flip.hinted), show(flip.unhinted)) for flip in flips]
        yield _table("Natural flips", ("switches", "with the hint", flips[0].source), rows)
    if found := evidence.findings(comparison):
        head = ("probe", "found", *(criterion.name for criterion in found[0].criteria), "selectivity")
        yield _table("What counts as found (all four must hold)", head, map(_finding, found))
    for key, title in TABLES.items():
        if entries := getattr(comparison, key):
            yield _table(title, HEADERS, detector_rows(entries))
            if said := basis_line(comparison, hidden=key == "hidden_detectors"):
                yield f"{said}\n"
    yield from _monitoring(comparison)
    if comparison.detectors and (sentence := verdict(comparison)):
        yield f"{sentence}\n"
    head = ("kind, direction", "rows used", *METRICS, "reliant", "aligned", "in no AUROC")
    yield _table("Kind and direction", head, _strata(comparison))
    yield from _transfer(comparison)
    for target in evidence.targets(comparison):
        yield _target(target)


def _shares(comparison: Comparison) -> list[tuple[str, ...]]:
    return [(share.what, show(share.figure), share.note) for share in silence.hidden_shares(comparison)]


def _judges(found: JudgeSensitivity) -> Iterator[str]:
    figures = ("raw", "normalised", "hidden_share", "raw_corrected", "hidden_corrected")
    rows = [
        (name, str(reading.scored), *(show(getattr(reading, figure)) for figure in figures))
        for name, reading in found.readings.items()
    ]
    yield _table("The headline under each judge", judges.HEAD, rows)
    if found.agreement:
        yield _table("Agreement of judges", judges.PAIRS, judges.pair_rows(found))


def _monitoring(comparison: Comparison) -> Iterator[str]:
    entries = dict(comparison.detectors)
    if rows := list(monitoring.monitor_rows(entries)):
        yield _table("Detectors as monitors (g-mean² is sensitivity times specificity)", monitoring.HEAD, rows)
        if reason := monitoring.not_confirmed(entries):
            yield f"No row is confirmed: {reason}.\n"
    for title, points in monitoring.curves(comparison):
        yield _table(title, monitoring.CURVE, points)


def _finding(finding: evidence.Finding) -> tuple[str, ...]:
    criteria = (f"{criterion.word}: {criterion.says}" for criterion in finding.criteria)
    return finding.name, "yes" if finding.found else "no", *criteria, number(finding.entry.selectivity)


def _strata(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    for row in breakdown.strata(comparison):
        figures = (show(metric(row.paper, name)) for name in METRICS)
        counts = ("-" if n is None else str(n) for n in (row.reliant, row.aligned))
        name = f"– {row.name}" if row.part else row.name
        yield name, str(row.paper.n_used), *figures, *counts, row.refused or ""


def _transfer(comparison: Comparison) -> Iterator[str]:
    if probes := breakdown.unseen(comparison):
        rows = [
            (probe.name, show(probe.seen.auroc),
             *(show(probe.variants[f].auroc) if f in probe.variants else "-" for f in breakdown.FACTORS))
            for probe in probes
        ]  # fmt: skip
        head = ("probe", "all seen", *(f"new {factor}" for factor in breakdown.FACTORS))
        yield _table("AUROC with kind, direction or source left out of training", head, rows)
    for kinds in breakdown.kind_transfer_grids(comparison).values():
        yield _crossed("From kind to kind", kinds)
    if grid := breakdown.position_grid(comparison):
        yield _crossed("From position to position", grid)


def _crossed(title: str, grid: Grid) -> str:
    ((heading, columns),) = grid.groups
    cells = ((row, *(number(grid.values.get((row, column))) for column in columns)) for row in reversed(grid.rows))
    return _table(f"{title}: {heading}", ("", *columns), cells)


def _target(target: evidence.Target) -> str:
    title = f"Target {target.name}: {target.positives} {target.positive}, {target.negatives} {target.negative} rows"
    if target.refused:
        return f"{title}. Not trained: {target.refused}.\n"
    return _table(f"{title} ({target.note})", HEADERS, detector_rows(dict(target.entries)))


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return f"{title}:\n\n" + "".join("| " + " | ".join(_cell(text) for text in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
