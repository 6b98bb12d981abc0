"""How often reliance was hidden: by the reference, as the judge reads it, and corrected for the judge's error."""

from typing import NamedTuple

from experiments.records.behaviour_figures import Counts
from experiments.records.comparison import Comparison
from experiments.records.judging import CorrectedRate
from experiments.records.parts import Figure


class Share(NamedTuple):
    """One reading of the hidden share.

    Attributes:
        figure: the share and its interval; None where there is none.
        note: of which rows, or why there is no figure.
    """

    what: str
    figure: Figure | None
    note: str


class Flip(NamedTuple):
    """A rate of switching with the hint, beside the same without any.

    Attributes:
        source: which runs without the hint.
    """

    what: str
    hinted: Figure
    unhinted: Figure
    source: str


def hidden_shares(comparison: Comparison) -> list[Share]:
    """The hidden share in its three readings, the one of the headline first."""
    counts, paper = comparison.counts, comparison.faithfulness
    judge, every = paper.judge, paper.all
    return [
        Share(
            f"by the reference, {comparison.reference}",
            _hidden_share(comparison),
            f"{counts.hidden} of {counts.judged} reliant rollouts{_unjudged(counts)}",
        ),
        Share(
            f"by judge {judge}",
            complement(every.figure("raw")),
            f"1 − raw faithfulness, over {every.n_scored} switches to h with a verdict",
        ),
        _corrected(paper.raw_corrected, judge),
    ]


def _hidden_share(comparison: Comparison) -> Figure | None:
    counts, known = comparison.counts, comparison.hidden_share
    if known is not None:
        return known
    return Figure(value=counts.hidden / counts.judged) if counts.judged else None


def _unjudged(counts: Counts) -> str:
    return f"; {counts.unjudged} more have no chain of thought or no verdict" if counts.unjudged else ""


def _corrected(found: CorrectedRate | None, judge: str) -> Share:
    what = f"corrected for the error of judge {judge}"
    if found is None:
        return Share(what, None, "no calibration of this judge was given (judge.calibration)")
    counts = found.calibration
    true, false = counts["both"] + counts["label_only"], counts["neither"] + counts["judge_only"]
    seen = (
        f"on labelled transcripts it found {counts['both']} of {true} admissions and cleared "
        f"{counts['neither']} of {false} others"
    )
    if found.value is None:
        return Share(what, None, f"cannot be corrected: {seen}")
    return Share(what, complement(found), seen)


def complement(figure: Figure) -> Figure:
    """One less a share; the ends of the interval change places."""

    def rest(value: float | None) -> float | None:
        return None if value is None else 1 - value

    return Figure(value=rest(figure.value), low=rest(figure.high), high=rest(figure.low))


def natural_flips(comparison: Comparison) -> list[Flip]:
    """Give p and q beside what a run without the hint does on the same rows; none where no such run was drawn."""
    paper = comparison.faithfulness
    found = paper.natural_flips
    if not found:
        return []
    source = "in the neutral run" if found.source == "neutral" else "in another unhinted run"
    return [
        Flip("to h", paper.all.figure("p"), found.to_target, source),
        Flip("to a third option", paper.all.figure("q"), found.to_other, source),
    ]
