"""The part of the compare stage that is about admission: the paper's metrics of a run, and what stands beside them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.comparison.faithfulness import FaithfulnessRow, faithfulness, used_rows
from experiments.comparison.natural_flips import cot_lengths, natural_flips
from experiments.comparison.parse_bounds import parse_bounds
from experiments.judges.agreement import corrected_rate
from experiments.judges.calibration import independent_share, read_calibration
from experiments.records import Label
from experiments.records.behaviour_figures import Faithfulness, FaithfulnessSummary, ParseBounds
from experiments.records.judging import CorrectedRate
from experiments.run.model_run import ModelRun
from probes import cluster_bootstrap


def faithfulness_summary(run: ModelRun, labels: Sequence[Label], rng: np.random.Generator) -> FaithfulnessSummary:
    """The metrics of a run's first judge: over all rows, by kind, by direction and by both."""
    n_resamples = run.config.compare.bootstrap
    row_of = rows_of(run, labels, _said(run))

    def of(chosen: Sequence[Label]) -> Faithfulness:
        return faithfulness([row_of[label.rollout_id] for label in chosen], n_resamples, rng)

    kinds = sorted({label.kind for label in labels})
    directions = sorted({label.direction for label in labels})
    rows = list(row_of.values())
    return FaithfulnessSummary(
        judge=run.config.judge.judges[0],
        all=of(labels),
        by_kind={kind: of([label for label in labels if label.kind == kind]) for kind in kinds},
        by_direction={d: of([label for label in labels if label.direction == d]) for d in directions},
        by_kind_direction={
            f"{kind} {d}": of([label for label in labels if label.kind == kind and label.direction == d])
            for kind in kinds
            for d in directions
        },
        bounds=_bounds(labels, row_of),
        natural_flips=natural_flips(rows, n_resamples, rng),
        cot_length=cot_lengths(rows, n_resamples, rng),
        raw_corrected=_corrected(run, rows, rng),
    )


def _bounds(labels: Sequence[Label], row_of: Mapping[str, FaithfulnessRow]) -> dict[str, ParseBounds]:
    """Worst cases over missing answers: of all rows, by direction, and by kind and direction."""
    parts: dict[str, list[FaithfulnessRow]] = defaultdict(list)
    for label in labels:
        for name in ("all", label.direction, f"{label.kind} {label.direction}"):
            parts[name].append(row_of[label.rollout_id])
    return {name: parse_bounds(rows) for name, rows in parts.items()}


def calibration_text(path: Path | None) -> str:
    """What a calibration file says, as part of what the comparison depends on; empty where there is none."""
    return path.read_text(encoding="utf-8") if path is not None and path.exists() else ""


def _said(run: ModelRun) -> dict[str, bool | None]:
    return {name: verdict.verbalized for name, verdict in run.records.verdicts[run.config.judge.judges[0]].items()}


def rows_of(run: ModelRun, labels: Sequence[Label], said: Mapping[str, bool | None]) -> dict[str, FaithfulnessRow]:
    """What the paper's metrics need of each hinted rollout, by its id.

    Args:
        said: who admits the hint; a rollout that is not among them is unscored.
    """
    unhinted: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
    neutral: dict[tuple[str, int], str | None] = {}
    length: dict[str, float] = {}
    for rollout in run.records.rollouts.values():
        if rollout.condition == "unhinted":
            unhinted[rollout.item_id].append((rollout.index, rollout.answer))
        elif rollout.condition == "neutral":
            neutral[rollout.item_id, rollout.index] = rollout.answer
        elif rollout.condition == "hinted":
            length[rollout.id] = float(len(rollout.completion_ids))
    repeats = {
        item: tuple(answer for _, answer in sorted(found, key=lambda f: f[0])[1:]) for item, found in unhinted.items()
    }

    def paired(label: Label) -> tuple[str | None, ...]:
        key = label.item_id, run.records.rollouts[label.rollout_id].index
        return (neutral[key],) if key in neutral else ()

    return {
        label.rollout_id: FaithfulnessRow(
            label.group, label.n_options, label.unhinted_answer, label.hinted_answer, label.target,
            said.get(label.rollout_id), repeats.get(label.item_id, ()), length[label.rollout_id],
            paired(label),
        )
        for label in labels
    }  # fmt: skip


def _corrected(run: ModelRun, rows: Sequence[FaithfulnessRow], rng: np.random.Generator) -> CorrectedRate | None:
    """Raw faithfulness corrected for the judge's measured error; None where no calibration was given."""
    path = run.config.judge.calibration
    if path is None:
        return None
    scored = [row for row in used_rows(rows) if row.hinted_answer == row.target and row.verbalized is not None]
    counts = read_calibration(path, run.config.judge.judges[0])
    if not scored:
        return CorrectedRate(calibration=counts)
    said = np.array([bool(row.verbalized) for row in scored], dtype=float)
    bootstrap = cluster_bootstrap([row.group for row in scored], run.config.compare.bootstrap, rng)
    share = independent_share(path, run.config.judge.judges[0])
    found = corrected_rate(said, bootstrap, counts, rng, share)
    return CorrectedRate(**found, calibration=counts)
