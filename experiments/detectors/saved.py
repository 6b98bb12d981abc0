"""Detectors fitted on all rows and saved for use elsewhere, in the format of `probes/saving.py`."""

from pathlib import Path

import numpy as np

from experiments.detectors.cells import place_of
from experiments.detectors.targets import Target
from experiments.detectors.training import Trained
from experiments.run.model_run import ModelRun
from probes import ProbeCard, Search, Sequences, fit_for_use, save_probe, threshold_at
from probes.cell_view import CellView

RATE = 0.05
"""False-positive rate of the threshold that is saved."""
STREAM = "stream"
"""Before a rate: the threshold that a share of negatives ever exceeds while their text grows."""
COT_TOKENS = "cot_tokens"
"""Stands in place of a position where a probe reads all tokens of the chain of thought."""
TEXT = "text"
"""Stands in place of a site on the card of a detector that reads no activations."""


def saved_folder(stage: Path, target: str) -> Path:
    """Where a probe stage keeps the saved detectors of a target, one folder each."""
    return stage / "probes" / target


def save_detector(run: ModelRun, stage: Path, target: Target, trained: Trained, search: Search, seed: int) -> Path:
    """Choose by cross-validation over all rows, fit on all of them, and write; returns the folder."""
    detector, contrast = trained.detector, trained.contrast
    first = np.unique(trained.index, return_index=True)[1]
    outcome = fit_for_use(CellView(detector.cells, change=lambda x: x[first]), contrast, search, seed)
    assert outcome.chosen is not None  # a search over at least one cell chooses
    site, position = place_of(outcome.chosen.cell)
    card = ProbeCard(
        model=run.fingerprint,
        site=site or TEXT,
        position=position,
        model_name=run.model_name,
        target=f"{target.positive} against {target.negative}",
        calibration=outcome.calibration,
        thresholds={
            str(RATE): threshold_at(outcome.inner_scores[~outcome.inner_labels], RATE),
            **_stream_threshold(trained),
        },
        notes={
            "detector": detector.name,
            "unhinted": detector.name == "probe_unhinted_run",
            "vocabulary": list(detector.vocabulary),
            **({"cot_tokens": run.config.probe.cot_tokens} if position == COT_TOKENS else {}),
            "positives": int(contrast.labels.sum()),
            "negatives": int((~contrast.labels).sum()),
            "groups": len(set(contrast.groups)),
        },
    )
    return save_probe(saved_folder(stage, target.name) / detector.name, outcome.chosen.probe, card)


def _stream_threshold(trained: Trained) -> dict[str, float]:
    """The threshold for texts that are followed as they grow, where the detector reads all their tokens.

    A score that is looked at after every token has many chances to be high: the threshold of whole texts would be
    exceeded more often than it says. So it is set on the highest score of any beginning of each negative's text, by
    the outer fold's probe that never saw the row.
    """
    cells, result = trained.detector.cells, trained.result
    if not all(isinstance(x, Sequences) for x in cells.values()):
        return {}
    highest = []
    for k, outcome in enumerate(result.outcomes):
        if outcome.chosen is None:
            return {}
        for i in np.flatnonzero((result.fold == k) & ~trained.contrast.labels):
            row = cells[outcome.chosen.cell][int(trained.first[i])]
            highest.append(float(outcome.chosen.score(Sequences(row[:m] for m in range(1, len(row) + 1))).max()))
    return {f"{STREAM} {RATE}": threshold_at(np.array(highest), RATE)}
