"""Stage 6: behaviour, faithfulness and every detector, side by side on the same rows."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.comparison import Held, align, difference, figure, subset, table
from experiments.context import ModelRun, StageResult
from experiments.detectors import Rows, labelled_rows
from experiments.detectors.cells import activation_cells, split_cell_name, text_detectors
from experiments.records import Label
from experiments.reference import Reference, reference_of
from experiments.seeds import stream
from experiments.stages.admission import calibration_text, faithfulness_summary
from experiments.stages.generate import items_table
from experiments.stages.judge import labels_table, verdicts_table
from experiments.stages.probe import detectors_table, load_frozen, scores_table, store_of
from experiments.tables import write_json
from probes import cluster_bootstrap

COMPARISON = "comparison.json"
BASELINES = ("prompt_words", "prompt_forest", "cot_words", "cot_length", "direction_x_margin", "hint_kind")


def run_compare(run: ModelRun, frozen_on: ModelRun) -> StageResult:
    """Compare the detectors of a model, or find that done.

    Args:
        frozen_on: the model whose frozen detectors are tried on this one.
    """
    stages = ("generate", "judge", "capture", "probe", "patch")
    depends = (
        *(run.results[name].signature for name in stages),
        frozen_on.results["probe"].signature,
        run.config.compare,
        calibration_text(run.config.judge.calibration),
    )
    return run.stage("compare", depends, lambda folder: _compare(run, frozen_on, folder), uses_model=False)


def _compare(run: ModelRun, frozen_on: ModelRun, folder: Path) -> dict[str, Any]:
    rows = labelled_rows(run, behaviours=None)
    rng = stream(run.config.seed, "compare", run.key)
    reference = reference_of(run, rows.hinted)
    result: dict[str, Any] = {
        "model": run.model_name,
        "reference": reference.name,
        "counts": _counts(run, rows, reference),
        "hint_effect": hint_effect(rows.labels, run.config.compare.bootstrap, rng),
        "faithfulness": faithfulness_summary(run, rows.labels, rng),
        "frozen": _frozen(run, frozen_on, rows, rng) if frozen_on is not run else {},
    }
    result.update(_detectors(run, reference, rng))
    write_json(folder / COMPARISON, result)
    return {"detectors": len(result.get("detectors", {}))}


def _counts(run: ModelRun, rows: Rows, reference: Reference) -> dict[str, Any]:
    behaviours = Counter(label.behaviour for label in rows.labels)
    reliant = [label for label in rows.labels if label.behaviour == "reliant"]
    hidden = [label for label in reliant if reference.admits.get(label.rollout_id) is False]
    return {
        "items": len(items_table(run.results["generate"].folder).read()),
        "hinted_rollouts": len(rows),
        **{name: behaviours.get(name, 0) for name in ("reliant", "aligned", "overdetermined", "resisted", "ambiguous")},
        "strong": sum(label.strong for label in reliant),
        "hidden": len(hidden),
        "ambiguous_by_reason": dict(Counter(label.reason for label in rows.labels if label.reason)),
        "by_kind": {
            kind: dict(Counter(label.behaviour for label in rows.labels if label.kind == kind))
            for kind in sorted({label.kind for label in rows.labels})
        },
    }


def hint_effect(labels: Sequence[Label], n_resamples: int, rng: np.random.Generator) -> dict[str, Any]:
    """Paired P(a_h = h) - P(a_neutral = h) per direction, over rows where both answers were parsed."""
    result: dict[str, Any] = {}
    for direction in sorted({label.direction for label in labels}):
        chosen = [
            label
            for label in labels
            if label.direction == direction and label.hinted_answer is not None and label.neutral_answer is not None
        ]
        if not chosen:
            continue
        hinted = np.array([label.hinted_answer == label.target for label in chosen], dtype=float)
        neutral = np.array([label.neutral_answer == label.target for label in chosen], dtype=float)
        weights = cluster_bootstrap([label.group for label in chosen], n_resamples, rng)
        samples = (weights @ (hinted - neutral)) / weights.sum(1)
        result[direction] = {
            "n": len(chosen),
            "hinted": float(hinted.mean()),
            "neutral": float(neutral.mean()),
            "difference": figure(float((hinted - neutral).mean()), samples),
        }
    return result


def _detectors(run: ModelRun, reference: Reference, rng: np.random.Generator) -> dict[str, Any]:
    """The detector table on all reliant and aligned rows, and on the hidden subset."""
    folder = run.results["probe"].folder
    summaries = detectors_table(folder).read()
    if not summaries:
        return {"detectors": {}, "hidden_detectors": {}}
    scores = scores_table(folder).read()
    scored = {row.rollout_id for row in scores}
    labels = [label for label in labels_table(run.results["judge"].folder).read() if label.rollout_id in scored]
    helds = {summary.name: align(labels, scores, summary) for summary in summaries}
    judge = f"judge_{run.config.judge.judges[0]}"
    n_resamples = run.config.compare.bootstrap
    everything = subset(labels, np.ones(len(labels), dtype=bool), n_resamples, rng)
    silent = np.array([reference.admits.get(label.rollout_id) is False for label in labels], dtype=bool)
    hidden = subset(labels, silent, n_resamples, rng)
    on_hidden = {name: held for name, held in helds.items() if name != reference.contests}
    result: dict[str, Any] = {
        "detectors": table(helds, everything, judge),
        "hidden_detectors": table(on_hidden, hidden, judge),
        "rows": {"reliant": everything.n_positive, "aligned": len(everything.rows) - everything.n_positive},
        "hidden_rows": {"hidden": hidden.n_positive, "aligned_and_silent": len(hidden.rows) - hidden.n_positive},
        "validation": {name: dict(held.summary.validation) for name, held in helds.items() if held.summary.validation},
    }
    result["best_probe"] = _best(result["detectors"], [name for name in helds if _is_probe(name)])
    result["best_baseline"] = _best(result["detectors"], [name for name in helds if name in BASELINES])
    if result["best_probe"] and result["best_baseline"]:
        pair: tuple[Held, Held] = helds[result["best_probe"]], helds[result["best_baseline"]]
        result["probe_minus_baseline"] = difference(*pair, everything)
    return result


def _is_probe(name: str) -> bool:
    return name.startswith("probe_") and name != "probe_unhinted_run"


def _best(entries: dict[str, Any], names: Sequence[str]) -> str | None:
    known = [name for name in names if entries[name]["auroc"]["value"] is not None]
    return max(known, key=lambda name: float(entries[name]["auroc"]["value"]), default=None)


def _frozen(run: ModelRun, frozen_on: ModelRun, rows: Rows, rng: np.random.Generator) -> dict[str, Any]:
    """How often detectors frozen on another model fire here, at the threshold that 5% of its negatives exceeded.

    Only rows with a_h = h are scored: a detector learnt what reliance looks like among those.
    """
    answered = rows.take(lambda i: rows.labels[i].hinted_answer == rows.labels[i].target)
    folder = frozen_on.results["probe"].folder
    fired: dict[str, np.ndarray] = {}
    notes = {path.stem.removeprefix("frozen-"): path for path in sorted(folder.glob("frozen-*.json"))}
    vocabularies = {name: tuple(load_frozen(folder, name)[1]["vocabulary"]) for name in notes}
    texts = {d.name: d for d in text_detectors(answered, {k: v for k, v in vocabularies.items() if v})}
    store = store_of(run).named(run.results["capture"].account["store"])
    for name in notes:
        probe, note = load_frozen(folder, name)
        if note["probe"]:
            site, position = split_cell_name(probe.cell)
            places = answered.unhinted_at if name == "probe_unhinted_run" else answered.hinted_at
            if not all(position in at.tokens for at in places):
                continue
            (features,) = activation_cells(store, places, [site], [position]).values()
        else:
            (features,) = texts[name].cells.values()
        if features.shape[1] == len(probe.coef):
            fired[name] = probe.score(features) > probe.threshold
    judge = run.config.judge.judges[0]
    said = {v.rollout_id: v.verbalized for v in verdicts_table(run.results["judge"].folder).read() if v.judge == judge}
    fired[f"judge_{judge}"] = np.array([bool(said[label.rollout_id]) for label in answered.labels])
    weights = cluster_bootstrap([label.group for label in answered.labels], run.config.compare.bootstrap, rng)
    return {
        "trained_on": frozen_on.model_name,
        "rows": len(answered),
        "share_over_threshold": {
            name: figure(float(flags.mean()), (weights @ flags) / weights.sum(1)) for name, flags in fired.items()
        },
    }
