"""How often reliance was silent: by the reference, as the judge reads it, and corrected for the judge's error."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Entry = Mapping[str, Any]
Figure = dict[str, float | None]


class Share(NamedTuple):
    """One reading of the silent share.

    Attributes:
        figure: the share and its interval; None where there is none.
        note: of which rows, or why there is no figure.
    """

    what: str
    figure: Figure | None
    note: str


class Flip(NamedTuple):
    """A rate of switching with the hint, beside the same without any."""

    what: str
    hinted: Figure
    unhinted: Entry


def silent_shares(comparison: Entry) -> list[Share]:
    """The silent share in its three readings, the one of the headline first."""
    counts, paper = comparison["counts"], comparison["faithfulness"]
    judge, every = paper["judge"], paper["all"]
    return [
        Share(
            f"by the reference, {comparison['reference']}",
            _hidden_share(comparison),
            f"{counts['hidden']} of {counts['reliant']} reliant rollouts",
        ),
        Share(
            f"as judge {judge} reads it",
            complement(_metric(every, "raw")),
            f"1 − raw faithfulness, over {every['n_scored']} switches to h with a verdict",
        ),
        _corrected(paper.get("raw_corrected"), judge),
    ]


def _hidden_share(comparison: Entry) -> Figure | None:
    counts, known = comparison["counts"], comparison.get("hidden_share")
    if known is not None:
        return dict(known)
    return {"value": counts["hidden"] / counts["reliant"], "low": None, "high": None} if counts["reliant"] else None


def _corrected(found: Entry | None, judge: str) -> Share:
    what = f"corrected for the error of judge {judge}"
    if found is None:
        return Share(what, None, "no calibration of this judge was given (judge.calibration)")
    counts = found["calibration"]
    true, false = counts["both"] + counts["label_only"], counts["neither"] + counts["judge_only"]
    seen = (
        f"on labelled transcripts it found {counts['both']} of {true} admissions and cleared "
        f"{counts['neither']} of {false} others"
    )
    if found["value"] is None:
        return Share(what, None, f"cannot be corrected: {seen}")
    return Share(what, complement(found), seen)


def complement(figure: Entry) -> Figure:
    """One less a share; the ends of the interval change places."""

    def rest(value: float | None) -> float | None:
        return None if value is None else 1 - value

    return {"value": rest(figure["value"]), "low": rest(figure["high"]), "high": rest(figure["low"])}


def _metric(every: Entry, name: str) -> Figure:
    low, high = every["intervals"].get(name) or (None, None)
    return {"value": every[name], "low": low, "high": high}


def natural_flips(comparison: Entry) -> list[Flip]:
    """Give p and q beside what another unhinted run does on the same rows; none where no such run was drawn."""
    paper = comparison["faithfulness"]
    found = paper.get("natural_flips")
    if not found:
        return []
    return [
        Flip("to h", _metric(paper["all"], "p"), found["to_target"]),
        Flip("to a third option", _metric(paper["all"], "q"), found["to_other"]),
    ]
