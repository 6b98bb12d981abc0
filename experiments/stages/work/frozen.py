"""Detectors frozen on one model, tried on another."""

from collections.abc import Mapping

import numpy as np

from activations import Site
from experiments.comparison.table import figure
from experiments.detectors import MAIN, Rows
from experiments.detectors.cells import StoredCells
from experiments.detectors.covariates import of_covariates
from experiments.detectors.saved import RATE, TEXT, saved_folder
from experiments.detectors.text import TEXT_DETECTORS
from experiments.records.accounts import CaptureAccount
from experiments.records.comparison import Frozen
from experiments.records.parts import Figure
from experiments.run.model_run import ModelRun
from experiments.stages.probe import store_of
from probes import SHARE, Estimate, SavedProbe, auroc_estimate, cluster_bootstrap, load_probe


def frozen_figures(run: ModelRun, frozen_on: ModelRun, rows: Rows, rng: np.random.Generator) -> Frozen:
    """How often detectors frozen on another model fire here, at the threshold that 5% of its negatives exceeded.

    Only rows with a_h = h are scored: a detector learnt what reliance looks like among those. Where this model has
    reliant and aligned rows, the frozen scores are also held against them.
    """
    answered = rows.take(lambda i: rows.labels[i].hinted_answer == rows.labels[i].target)
    if not len(answered):
        none = f"no hinted rollout of {run.model_name} answers h"
        return Frozen(trained_on=frozen_on.model_name, rows=0, share_over_threshold={}, refused=none)
    folder = saved_folder(frozen_on.results["probe"].folder, MAIN)
    scores: dict[str, np.ndarray] = {}
    fired: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*/probe.json")):
        saved = load_probe(path.parent)
        features = _features(run, answered, saved)
        if features is not None and features.shape[1] == saved.probe.n_features_in_:
            name = path.parent.name
            scores[name] = saved.scores(features)
            fired[name] = scores[name] > saved.card.thresholds[str(RATE)]
    judge = run.config.judge.judges[0]
    said = run.records.verdicts[judge]
    fired[f"judge_{judge}"] = np.array([bool(said[label.rollout_id].verbalized) for label in answered.labels])
    bootstrap = cluster_bootstrap([label.group for label in answered.labels], run.config.compare.bootstrap, rng)
    aurocs, refused = _frozen_aurocs(run, answered, scores)
    return Frozen(
        trained_on=frozen_on.model_name,
        rows=len(answered),
        share_over_threshold={
            name: figure(bootstrap.mean(flags.astype(float), SHARE)) for name, flags in fired.items()
        },
        auroc=aurocs,
        refused=refused,
    )


def _features(run: ModelRun, rows: Rows, saved: SavedProbe) -> np.ndarray | None:
    """What a frozen detector reads of these rows; None where they lack it."""
    card, name = saved.card, saved.card.notes["detector"]
    if card.site == TEXT:
        if name in TEXT_DETECTORS:
            detector = TEXT_DETECTORS[name](rows, tuple(card.notes["vocabulary"]) or None)
        else:
            (detector,) = (one for one in of_covariates(rows, {}) if one.name == name)
        (features,) = detector.cells.values()
        return np.asarray(features)
    places = rows.unhinted_at if card.notes["unhinted"] else rows.hinted_at
    if not all(card.position in at.tokens for at in places):
        return None
    if card.site not in run.account(CaptureAccount).sites:
        return None
    (features,) = StoredCells(store_of(run), places, [Site.parse(card.site)], [card.position]).values()
    return features


def _frozen_aurocs(run: ModelRun, rows: Rows, scores: Mapping[str, np.ndarray]) -> tuple[dict[str, Figure], str | None]:
    """AUROC of frozen scores against this model's own reliant and aligned rows, or why there is none."""
    chosen = [i for i, label in enumerate(rows.labels) if label.behaviour in ("reliant", "aligned")]
    contrast = rows.at(chosen).contrast()
    for value, name in ((True, "reliant"), (False, "aligned")):
        n = contrast.groups_of(value)
        if n < run.config.compare.min_groups:
            return {}, f"{n} groups with {name} rows on this model"
    groups = np.unique(np.asarray(contrast.groups), return_inverse=True)[1]
    folds = np.zeros((1, len(chosen)), dtype=np.intp)
    found = {}
    for name, values in scores.items():
        own = auroc_estimate(values[None, chosen], folds, contrast.labels, contrast.strata, trained=False)
        low, high = own.interval(groups, contrast.labels) or (None, None)
        found[name] = figure(Estimate(own.value, low, high))
    return found, None
