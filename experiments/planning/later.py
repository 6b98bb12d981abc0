"""What the stages after capture have to do: counts, from the configuration and the rows that are expected."""

from dataclasses import dataclass

from experiments.config import Config
from experiments.planning.shapes import ModelShape

PROBE_FLOPS = 2e10
"""Operations a second of the probes' solver on one CPU thread (`docs/benchmarks.md`)."""
PROBE_OVERHEAD = 12.0
"""Seconds that probes, baselines and controls take however small the model is: folds, text features, forests."""
_SOLVER_STEPS = 40
_OTHER_CELLS = 1.5
"""Controls and baselines over the probes' own cells."""
_PATCHED_SHARE = 0.25
"""A patched cell runs from its block and token on: half of the blocks and half of the tokens, on average."""


@dataclass(frozen=True)
class Later:
    """Work of the stages after capture.

    Attributes:
        probe_flops: operations of the probes' fits.
        patched_rows: forwards of whole rollouts that patching amounts to.
        mediated, directed: completions that are written anew.
    """

    probe_flops: float
    patched_rows: float
    mediated: float
    directed: float


def later_work(config: Config, shape: ModelShape, sites: int, reliant: float, aligned: float, resisted: float) -> Later:
    """Work of probe, patch, mediate and directions.

    Args:
        sites: sites captured at each position.
        reliant, aligned, resisted: rows that are expected, or that are labelled already.
    """
    skipped, enough = set(config.skip), min(reliant, aligned) >= config.probe.min_per_class
    pairs = 0.0 if "patch" in skipped else min(config.patch.pairs, reliant)
    return Later(
        probe_flops=_probe_flops(config, shape, sites, reliant + aligned) if enough else 0.0,
        patched_rows=pairs * len(config.patch.comparisons) * (2 + _PATCHED_SHARE * _cells(config, shape)),
        mediated=0.0 if "mediate" in skipped else _mediated(config, (reliant, aligned, resisted)),
        directed=_directed(config, (reliant, aligned, resisted)) if enough and "directions" not in skipped else 0.0,
    )


def _probe_flops(config: Config, shape: ModelShape, sites: int, rows: float) -> float:
    probe = config.probe
    fits = len(probe.c_grid) * probe.outer_folds * (probe.inner_folds + 1) * probe.repeats
    # Every step of a fit is two products of the features with a vector, of two operations each.
    return _OTHER_CELLS * sites * len(config.capture.positions) * fits * _SOLVER_STEPS * 4 * rows * shape.d_model


def _cells(config: Config, shape: ModelShape) -> float:
    patch = config.patch
    return len(patch.components) * shape.n_layers * len(patch.positions) * (1 + len(patch.controls))


def _mediated(config: Config, rows: tuple[float, ...]) -> float:
    items = sum(min(config.mediate.items, n) for n in rows)
    return items * 2 * (config.mediate.draws + len(config.mediate.cut))


def _directed(config: Config, rows: tuple[float, ...]) -> float:
    settings = config.directions
    items = sum(min(settings.items, n) for n in rows)
    edits = len(settings.scales) + 2  # the direction taken out, and set to its mean
    return items * edits * (1 + settings.controls) * len(settings.detectors)
