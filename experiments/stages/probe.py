"""Stage 4: train every detector under one protocol, reliant against aligned, and freeze it for other models."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from activations import ActivationStore, Site
from activations.errors import HintprobeError
from experiments.context import ModelRun, StageResult
from experiments.detectors import DetectorCells, Rows, build_detectors, labelled_rows
from experiments.detectors.causal import causal_detectors
from experiments.detectors.cells import usable_positions, with_positions
from experiments.progress import Tick
from experiments.records import DetectorSummary, ScoreRow, Verdict
from experiments.seeds import stable_int
from experiments.stages.judge import verdicts_table
from experiments.tables import RecordTable, write_json
from probes import FrozenProbe, NestedResult, Search, forest_cv, freeze, grouped_folds, nested_cv

FROZEN_RATE = 0.05


def scores_table(folder: Path) -> RecordTable[ScoreRow]:
    """Held-out scores of every detector."""
    return RecordTable(folder / "scores.jsonl", ScoreRow)


def detectors_table(folder: Path) -> RecordTable[DetectorSummary]:
    """How every detector was trained."""
    return RecordTable(folder / "detectors.jsonl", DetectorSummary)


def run_probe(run: ModelRun) -> StageResult:
    """Train the detectors of a model, or find that done; too few rows of a class are noted and nothing is trained."""
    depends = (run.results["capture"].signature, run.results["judge"].signature, run.config.probe, run.config.seed)
    return run.stage("probe", depends, lambda folder: _probe(run, folder), uses_model=True)


def store_of(run: ModelRun) -> ActivationStore:
    """The activation store of the run's cache."""
    return ActivationStore(run.config.store_dir)


def _probe(run: ModelRun, folder: Path) -> dict[str, Any]:
    rows = labelled_rows(run)
    n_reliant = sum(label.behaviour == "reliant" for label in rows.labels)
    n_aligned = len(rows) - n_reliant
    if min(n_reliant, n_aligned) < run.config.probe.min_per_class:
        return {"trained": 0, "reliant": n_reliant, "aligned": n_aligned}
    positions = usable_positions(rows, run.config.capture.positions)
    used = with_positions(rows, positions)
    sites = [Site.parse(name) for name in run.results["capture"].account["sites"]]
    store = store_of(run).named(run.results["capture"].account["store"])
    detectors = build_detectors(store, used, sites, positions) + causal_detectors(run, used)
    scores_table(folder).replace([])  # a stopped attempt may have left some
    detectors_table(folder).replace([])
    seed = stable_int(run.config.seed, "folds") % 2**31
    n_steps = sum(len(d.cells) for d in detectors) * run.config.probe.outer_folds
    with run.reporter.bar("probe", n_steps) as tick:
        for detector in detectors:
            result, seconds = _train(detector, used, run, seed, tick)
            _keep(folder, detector.name, detector.reads, result, used, seconds + detector.seconds)
            if detector.shipped and not detector.forest:
                _freeze(folder, detector, used, run, seed)
    for judge in run.config.judge.judges:
        _keep_judge(run, folder, judge, used, seed)
    return {
        "trained": len(detectors),
        "reliant": n_reliant,
        "aligned": n_aligned,
        "unresolved_rows": len(rows) - len(used),
    }


def refuse_untrained(run: ModelRun) -> None:
    """Say that the model which detectors should be trained on gave too few rows for it.

    Raises:
        HintprobeError: nothing was trained.
    """
    probe = run.results.get("probe")
    if probe is None or probe.account["trained"]:
        return
    counts, n_reliant, n_aligned = run.results["judge"].account, probe.account["reliant"], probe.account["aligned"]
    raise HintprobeError(
        f"{run.model_name} gave {n_reliant} reliant and {n_aligned} aligned rows, and probes need at least "
        f"{run.config.probe.min_per_class} of each (`probe.min_per_class`). Of the hinted rollouts, "
        f"{counts['resisted']} resisted, {counts['overdetermined']} were overdetermined and {counts['ambiguous']} "
        "ambiguous. All records are kept, and the report in "
        f"{run.config.run_dir} has everything but probes. Ask more questions, use other hint kinds, or raise "
        "`generate.max_new_tokens` if answers were cut."
    )


def _search(run: ModelRun, permutations: int) -> Search:
    probe = run.config.probe
    return Search(probe.c_grid, probe.outer_folds, probe.inner_folds, permutations)


def _train(detector: DetectorCells, rows: Rows, run: ModelRun, seed: int, tick: Tick) -> tuple[NestedResult, float]:
    start = time.perf_counter()
    if detector.forest:
        (features,) = detector.cells.values()
        result = forest_cv(features, rows.contrast(), run.config.probe.outer_folds, seed)
        tick(run.config.probe.outer_folds)
    else:
        permutations = run.config.probe.permutations if detector.permuted else 0
        search = _search(run, permutations)
        result = nested_cv(detector.cells, rows.contrast(), search, seed, on_cell=lambda: tick(1))
    return result, time.perf_counter() - start


def _keep(folder: Path, name: str, reads: str, result: NestedResult, rows: Rows, seconds: float) -> None:
    scores_table(folder).append(
        ScoreRow(detector=name, rollout_id=label.rollout_id, fold=int(k), score=float(s), probability=float(p))
        for label, k, s, p in zip(rows.labels, result.fold, result.scores, result.probability, strict=True)
    )
    null = np.array([outcome.null_aurocs for outcome in result.outcomes])
    summary = DetectorSummary(
        name=name,
        reads=reads,
        seconds_per_row=seconds / len(rows),
        chosen=tuple(f"{o.cell} C={o.penalty:g}" for o in result.outcomes),
        validation=result.validation,
        null_aurocs=tuple(float(v) for v in np.nanmean(null, axis=0)) if null.size else (),
        training_negatives=tuple(
            tuple(round(float(s), 5) for s in o.inner_scores[~o.inner_labels]) for o in result.outcomes
        ),
    )
    detectors_table(folder).append([summary])


def _keep_judge(run: ModelRun, folder: Path, judge: str, rows: Rows, seed: int) -> None:
    """A judge needs no training; it stands in the table on the same rows and folds. Unscored rows count as 0.5."""
    verdicts: dict[str, Verdict] = {
        v.rollout_id: v for v in verdicts_table(run.results["judge"].folder).read() if v.judge == judge
    }
    contrast = rows.contrast()
    said = [verdicts[label.rollout_id].score for label in rows.labels]
    scores = np.array([0.5 if value is None else value for value in said])
    fold = grouped_folds(contrast, run.config.probe.outer_folds, seed)
    probability = np.zeros(len(scores))
    negatives = []
    for k in range(run.config.probe.outer_folds):
        train = fold != k
        for value in np.unique(scores):
            same = train & (scores == value)
            rate = (contrast.labels[same].sum() + 1) / (same.sum() + 2)
            probability[(fold == k) & (scores == value)] = rate
        negatives.append(tuple(scores[train & ~contrast.labels].tolist()))
    scores_table(folder).append(
        ScoreRow(
            detector=f"judge_{judge}", rollout_id=label.rollout_id, fold=int(k), score=float(s), probability=float(p)
        )
        for label, k, s, p in zip(rows.labels, fold, scores, probability, strict=True)
    )
    detectors_table(folder).append(
        [
            DetectorSummary(
                name=f"judge_{judge}",
                reads="the CoT, for an admission",
                seconds_per_row=run.results["judge"].seconds / max(1, len(verdicts)),
                chosen=(),
                validation={},
                null_aurocs=(),
                training_negatives=tuple(negatives),
            )
        ]
    )


def _freeze(folder: Path, detector: DetectorCells, rows: Rows, run: ModelRun, seed: int) -> None:
    probe = freeze(detector.cells, rows.contrast(), _search(run, 0), seed, FROZEN_RATE)
    tensors = {"mean": probe.mean, "scale": probe.scale, "coef": probe.coef}
    save_file(tensors, folder / f"frozen-{detector.name}.safetensors")
    write_json(
        folder / f"frozen-{detector.name}.json",
        {
            "detector": detector.name,
            "cell": probe.cell,
            "penalty": probe.penalty,
            "intercept": probe.intercept,
            "threshold": probe.threshold,
            "threshold_rate": FROZEN_RATE,
            "probe": detector.probe,
            "vocabulary": list(detector.vocabulary),
        },
    )


def load_frozen(folder: Path, name: str) -> tuple[FrozenProbe, dict[str, Any]]:
    """A frozen detector and its description."""
    note = json.loads((folder / f"frozen-{name}.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / f"frozen-{name}.safetensors")
    probe = FrozenProbe(
        note["cell"],
        note["penalty"],
        tensors["mean"],
        tensors["scale"],
        tensors["coef"],
        note["intercept"],
        note["threshold"],
    )
    return probe, note
