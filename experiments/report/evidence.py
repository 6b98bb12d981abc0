"""What the rule for a find says of each probe, and of whom it can be said that it is ahead."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from experiments.comparison.findings import ALPHA
from experiments.records.comparison import Comparison
from experiments.records.detector_tables import DetectorEntry
from experiments.records.detector_tables import Finding as FoundOrNot
from experiments.records.parts import Figure
from experiments.report.figure_text import show
from experiments.report.terminal import detector_rows
from experiments.report.words import null_figures, typeset

SIDE = ("control", "baseline", "reference")
"""Families of detectors that stand in the table to hold a probe against."""


class Criterion(NamedTuple):
    """One thing that a find takes.

    Attributes:
        passed: None where it was not tested.
        says: the figures it rests on.
    """

    name: str
    passed: bool | None
    says: str

    @property
    def word(self) -> str:
        """The outcome in a word, for readers who do not see the mark."""
        return {True: "passed", False: "failed", None: "not tested"}[self.passed]


class Finding(NamedTuple):
    """One probe under the rule.

    Attributes:
        entry: its line of the detector table.
        differences: its AUROC less that of each baseline and control, paired.
    """

    name: str
    found: bool
    entry: DetectorEntry
    criteria: tuple[Criterion, ...]
    differences: Mapping[str, Figure]


class Target(NamedTuple):
    """A further thing that probes were trained to tell apart.

    Attributes:
        refused: why there is no table; None where there is one.
        entries: detectors, best AUROC first.
    """

    name: str
    positive: str
    negative: str
    positives: int
    negatives: int
    note: str
    refused: str | None
    entries: list[tuple[str, DetectorEntry]]


def findings(comparison: Comparison) -> list[Finding]:
    """Every probe that the rule was applied to, in the order of the run; none where nothing was trained."""
    detectors = comparison.detectors
    return [
        Finding(name, found.found, detectors[name], _criteria(name, found, detectors), found.differences)
        for name, found in (comparison.findings or {}).items()
    ]


def _criteria(name: str, found: FoundOrNot, detectors: Mapping[str, DetectorEntry]) -> tuple[Criterion, ...]:
    null = null_figures(detectors[name].null_aurocs)
    searched = f"largest AUROC {null['max']:.2f} in {null['n']} searches" if null else "none was run"
    belief = found.belief
    matched = belief.refused or f"AUROC {show(belief.auroc)} of reliant against resisted rows"
    leads = [
        Criterion(f"ahead of {rival}", _passed(lead.p), typeset(f"by {show(lead.difference)}, {_p(lead.p)}"))
        for rival, lead in found.rivals.items()
    ]
    return (
        Criterion("whole searches on permuted labels", _passed(found.p_search), f"{_p(found.p_search)}; {searched}"),
        *leads,
        Criterion("belief-matched control", _passed(belief.p), f"{_p(belief.p)}; {matched}"),
        Criterion("all of these, over all probes", found.found, f"{_p(found.p_holm)} (Holm), {ALPHA:g} is needed"),
    )


def _passed(p: float | None) -> bool | None:
    return None if p is None else p <= ALPHA


def _p(p: float | None) -> str:
    return "p undefined" if p is None else f"p = {p:.3f}"


def rivals(found: Iterable[Finding]) -> list[str]:
    """Baselines and controls that any probe was held against."""
    return list(dict.fromkeys(name for finding in found for name in finding.differences))


def targets(comparison: Comparison) -> list[Target]:
    """The further targets with their tables, or why there is none."""
    return [
        Target(
            name, about.positive, about.negative, about.rows.positives,
            about.rows.negatives, about.note, about.refused,
            [(row[0], about.detectors[row[0]]) for row in detector_rows(about.detectors)],
        )
        for name, about in (comparison.targets or {}).items()
    ]  # fmt: skip


def leaders(comparison: Comparison) -> list[str]:
    """Who is ahead of all rivals among probes, best baseline and judge, each paired interval excluding zero.

    Probes are no rivals of each other: no paired difference between them was taken, so several may be ahead.
    """
    gaps = _gaps(comparison)
    contest = dict.fromkeys(name for pair in gaps for name in pair)
    return [name for name in contest if all(_ahead(name, pair, gap) for pair, gap in gaps.items() if name in pair)]


def rivals_of_leaders(comparison: Comparison) -> list[str]:
    """The best baseline and the judge, where they stand in the table."""
    names = (comparison.best_baseline, f"judge_{comparison.faithfulness.judge}")
    return [name for name in names if name is not None and name in comparison.detectors]


def _gaps(comparison: Comparison) -> dict[tuple[str, str], Figure | None]:
    """Paired differences, the first name's less the second's: of recall at the judge's own rate, else of AUROC."""
    detectors, found = comparison.detectors, comparison.findings or {}
    best, baseline = comparison.best_probe, comparison.best_baseline
    others = rivals_of_leaders(comparison)
    gaps: dict[tuple[str, str], Figure | None] = {}
    for probe in dict.fromkeys([*([best] if best else []), *found]):
        for other in others:
            if other != baseline:
                gaps[probe, other] = _lead_over_judge(detectors[probe])
            elif probe in found:
                gaps[probe, other] = found[probe].differences.get(other)
            else:
                gaps[probe, other] = comparison.probe_minus_baseline
    if len(others) == 2:
        gaps[others[0], others[1]] = _lead_over_judge(detectors[others[0]])
    return gaps


def _lead_over_judge(entry: DetectorEntry) -> Figure | None:
    """Recall less the judge's at the judge's own false-positive rate; None where it decides nothing."""
    return entry.recall_minus_judge if entry.ahead_of_judge is not None else None


def _ahead(name: str, pair: tuple[str, str], gap: Figure | None) -> bool:
    """Whether the interval of a difference lies wholly on one detector's side of zero."""
    if gap is None or gap.low is None or gap.high is None:
        return False
    return bool(gap.low > 0 if name == pair[0] else gap.high < 0)


def is_side(name: str, entry: DetectorEntry, comparison: Comparison) -> bool:
    """Whether a detector may be folded away: a control, reference or baseline other than the best baseline."""
    return entry.family in SIDE and name != comparison.best_baseline
