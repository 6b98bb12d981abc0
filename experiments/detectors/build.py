"""All trained detectors of a target. To add one, append it to its list (`docs/adding_a_detector.md`)."""

from collections.abc import Sequence

import numpy as np

from activations import ModelStore, Site
from experiments.detectors.activation import activation_controls, probe_families
from experiments.detectors.cells import DetectorCells
from experiments.detectors.covariates import covariate_detectors
from experiments.detectors.rows import Rows
from experiments.detectors.targets import MAIN, Target
from experiments.detectors.text import text_detectors

_READS_PROMPT = ("prompt_words", "direction", "margin", "direction_x_margin", "hint_kind")
"""What stands beside a probe of another target; none of it reads what was generated."""


def build_detectors(
    store: ModelStore,
    rows: Rows,
    sites: Sequence[Site],
    positions: Sequence[str],
    target: Target,
    rng: np.random.Generator,
) -> list[DetectorCells]:
    """Probes, controls and baselines; every one of them for the main target, the probes' necessary company for others.

    Args:
        rng: draws the random directions.

    Raises:
        HintprobeError: no position is resolved in enough rows.
    """
    probes = [probe for probe in probe_families(store, rows, sites, positions) if probe.name in target.families]
    baselines = [*text_detectors(rows), *covariate_detectors(rows)]
    if target.name != MAIN:
        return probes + [baseline for baseline in baselines if baseline.name in _READS_PROMPT]
    return [*probes, *activation_controls(store, rows, sites, positions, probes, rng), *baselines]
