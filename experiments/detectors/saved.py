"""Detectors fitted on all rows and saved for use elsewhere, in the format of `probes/saving.py`."""

from pathlib import Path

import numpy as np

from experiments.detectors.cells import place_of
from experiments.detectors.targets import Target
from experiments.detectors.training import Trained
from experiments.run.model_run import ModelRun
from probes import ProbeCard, Search, fit_for_use, save_probe, threshold_at

RATE = 0.05
"""False-positive rate of the threshold that is saved."""
TEXT = "text"
"""Stands in place of a site on the card of a detector that reads no activations."""


def saved_folder(stage: Path, target: str) -> Path:
    """Where a probe stage keeps the saved detectors of a target, one folder each."""
    return stage / "probes" / target


def save_detector(run: ModelRun, stage: Path, target: Target, trained: Trained, search: Search, seed: int) -> Path:
    """Choose by cross-validation over all rows, fit on all of them, and write; returns the folder."""
    detector, contrast = trained.detector, trained.contrast
    first = np.unique(trained.index, return_index=True)[1]
    outcome = fit_for_use({name: x[first] for name, x in detector.cells.items()}, contrast, search, seed)
    assert outcome.chosen is not None  # a search over at least one cell chooses
    site, position = place_of(outcome.chosen.cell)
    card = ProbeCard(
        model=run.fingerprint,
        site=site or TEXT,
        position=position,
        model_name=run.model_name,
        target=f"{target.positive} against {target.negative}",
        calibration=outcome.calibration,
        thresholds={str(RATE): threshold_at(outcome.inner_scores[~outcome.inner_labels], RATE)},
        notes={
            "detector": detector.name,
            "unhinted": detector.name == "probe_unhinted_run",
            "vocabulary": list(detector.vocabulary),
            "positives": int(contrast.labels.sum()),
            "negatives": int((~contrast.labels).sum()),
            "groups": len(set(contrast.groups)),
        },
    )
    return save_probe(saved_folder(stage, target.name) / detector.name, outcome.chosen.probe, card)
