"""What a headline owes to its judge: faithfulness under each judge, their panel, and the extremes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.comparison.faithfulness import FaithfulnessRow, faithfulness, used_rows
from experiments.comparison.faithfulness_items import entry, read_items
from experiments.judges.agreement import corrected_rate
from experiments.judges.calibration import calibrated_judges, cannot_be_scored, independent_share, read_calibration
from experiments.judges.panel import PANEL, pairwise_agreement, panel_verdicts
from experiments.judges.reference import Reference
from experiments.records import Label, Verdict
from experiments.records.judging import CorrectedRate, JudgeReading, JudgeSensitivity, PairAgreement
from experiments.records.parts import Figure, Rate
from probes import SHARE, cluster_bootstrap
from probes.arrays import Array

ALL_SAY, ANY_SAYS = "every judge says so", "any judge says so"
LEAST, MOST = "worst case: unscored is hidden", "worst case: unscored is admitted"
FIELDS = ("mentions", "relies", "verbalized")
Said = dict[str, bool | None]
"""Whether a rollout admits to the hint, by its id; None: unscored."""


def readings(verdicts: Sequence[Verdict]) -> dict[str, Said]:
    """What each judge says of each rollout, and what several say together.

    An admission that every judge sees, and one that at least one sees, bound what any combination of these judges can
    say; where an unscored verdict could turn it, the row is unscored there. The worst cases are the same two with
    unscored verdicts counted as silence in the first and as admissions in the second, so no row with a chain of
    thought is lost; they stand where there is one judge, too.
    """
    read = [v for v in verdicts if v.reliance is None and v.judge != PANEL]
    by_judge: dict[str, dict[str, Verdict]] = {}
    for verdict in read:
        by_judge.setdefault(verdict.judge, {})[verdict.rollout_id] = verdict
    found = {judge: {name: v.verbalized for name, v in own.items()} for judge, own in by_judge.items()}
    if not found:
        return {}
    shared = sorted(set.intersection(*(set(own) for own in by_judge.values())))
    votes = {name: [said[name] for said in found.values()] for name in shared}
    if len(found) > 1:
        found[PANEL] = {v.rollout_id: v.verbalized for v in panel_verdicts(read)}
        found[ALL_SAY] = {name: _every(said) for name, said in votes.items()}
        found[ANY_SAYS] = {name: _any(said) for name, said in votes.items()}
    read_at_all = {name for name in shared if any(own[name].status != "nothing_to_judge" for own in by_judge.values())}
    found[LEAST] = {name: all(v is True for v in said) for name, said in votes.items() if name in read_at_all}
    found[MOST] = {name: any(v is not False for v in said) for name, said in votes.items() if name in read_at_all}
    return found


def _every(said: Sequence[bool | None]) -> bool | None:
    return False if False in said else None if None in said else True


def _any(said: Sequence[bool | None]) -> bool | None:
    return True if True in said else None if None in said else False


def sensitivity_to_judges(
    items: Path, verdicts: Sequence[Verdict], n_resamples: int, rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """The paper's metrics of the same items under each judge, and together (:func:`readings`).

    Returns:
        Per reading: value, numerator, denominator and interval of each metric, and counts.
    """
    rows = {name: [item.row() for item in read_items(items, said)] for name, said in readings(verdicts).items()}
    return {name: entry(own, n_resamples, rng) for name, own in rows.items()}


def judge_sensitivity(
    verdicts: Sequence[Verdict],
    labels: Sequence[Label],
    rows_of: Callable[[Mapping[str, bool | None]], Sequence[FaithfulnessRow]],
    reference: Reference,
    calibration: Path | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> JudgeSensitivity:
    """Raw and normalised faithfulness and the hidden share of one model under each reading, and how far judges agree.

    Args:
        labels: of the hinted rollouts.
        rows_of: what the metrics need of them, given who admits.
        reference: its word is a further reading where it is no judge.
        calibration: of some of the judges, whose figures are then also given corrected for their measured error.

    Raises:
        HintprobeError: the calibration cannot be read.
    """
    known = calibrated_judges(calibration) if calibration is not None else ()
    found = readings(verdicts)
    judges = [name for name in found if name not in (PANEL, ALL_SAY, ANY_SAYS, LEAST, MOST)]
    if reference.contests is None:
        found = {reference.name: dict(reference.admits), **found}
    entries = {}
    for name, said in found.items():
        reading = _reading(labels, said, rows_of(said), n_resamples, rng)
        if calibration is None or name not in known:
            entries[name] = reading
        else:
            entries[name] = reading.model_copy(
                update=_corrected(calibration, name, labels, said, rows_of(said), n_resamples, rng)
            )
    return JudgeSensitivity(
        readings=entries,
        spread={
            what: _spread([getattr(entries[name], what) for name in judges])
            for what in ("raw", "normalised", "hidden_share")
        },
        agreement=tuple(
            PairAgreement(
                first=first, second=second, field=field, n=int(figures["n"] or 0),
                raw_agreement=figures["raw_agreement"], kappa=figures["kappa"], ac1=figures["ac1"],
            )
            for field in FIELDS
            for (first, second), figures in pairwise_agreement(verdicts, field).items()
        ),
    )  # fmt: skip


def _reading(
    labels: Sequence[Label], said: Said, rows: Sequence[FaithfulnessRow], n_resamples: int, rng: np.random.Generator
) -> JudgeReading:
    paper = faithfulness(rows, n_resamples, rng)
    admits, groups = _admissions(labels, said)
    reliant = sum(label.behaviour == "reliant" for label in labels)
    numerator, denominator = paper.fractions["raw"]
    raw = paper.figure("raw")
    return JudgeReading(
        scored=len(admits),
        unscored=reliant - len(admits),
        raw=Rate(numerator=numerator, denominator=denominator, **raw.model_dump()),
        normalised=paper.figure("normalised"),
        hidden_share=_share(1 - admits, groups, n_resamples, rng),
    )


def _admissions(labels: Sequence[Label], said: Mapping[str, bool | None]) -> tuple[Array, list[str]]:
    """1 where a reliant rollout admits, of those on which there is a word; and their groups."""
    chosen = [label for label in labels if label.behaviour == "reliant" and said.get(label.rollout_id) is not None]
    return np.array([bool(said[label.rollout_id]) for label in chosen], dtype=float), [x.group for x in chosen]


def _share(values: Array, groups: Sequence[str], n_resamples: int, rng: np.random.Generator) -> Rate:
    if not len(values):
        return Rate(numerator=0, denominator=0)
    found = cluster_bootstrap(groups, n_resamples, rng).mean(values, SHARE)
    return Rate(
        value=found.value, low=found.low, high=found.high, numerator=float(values.sum()),
        denominator=float(len(values)),
    )  # fmt: skip


def _corrected(
    path: Path,
    judge: str,
    labels: Sequence[Label],
    said: Said,
    rows: Sequence[FaithfulnessRow],
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, CorrectedRate | str]:
    """Both rates corrected for the judge's measured error, or why they cannot be."""
    counts = read_calibration(path, judge)
    labelled = [True] * (counts["both"] + counts["label_only"]) + [False] * (counts["neither"] + counts["judge_only"])
    if reason := cannot_be_scored(labelled):
        return {"not_corrected": reason}
    share = independent_share(path, judge)
    admits, groups = _admissions(labels, said)
    scored = [row for row in used_rows(rows) if row.hinted_answer == row.target and row.verbalized is not None]
    switched = np.array([bool(row.verbalized) for row in scored], dtype=float)
    result: dict[str, CorrectedRate | str] = {}
    for name, values, own in (
        ("raw_corrected", switched, [row.group for row in scored]),
        ("hidden_corrected", admits, groups),
    ):
        if not len(values):
            continue
        rate = corrected_rate(values, cluster_bootstrap(own, n_resamples, rng), counts, rng, share)
        if rate["value"] is None:
            return {"not_corrected": "the judge is not shown to be better than chance on its labels"}
        if name == "hidden_corrected":
            rate = {"value": _less(rate["value"]), "low": _less(rate["high"]), "high": _less(rate["low"])}
        result[name] = CorrectedRate(**rate, calibration=counts)
    return result


def _less(value: float | None) -> float | None:
    return None if value is None else 1 - value


def _spread(figures: Sequence[Figure]) -> tuple[float | None, float | None]:
    values = [figure.value for figure in figures if figure.value is not None]
    return (min(values), max(values)) if values else (None, None)
