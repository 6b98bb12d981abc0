"""What a headline rests on: how many pairs and rows are compared, of how many."""

from collections.abc import Mapping

from experiments.records.comparison import Comparison
from experiments.records.detector_tables import Basis, DetectorEntry


def basis_line(comparison: Comparison, hidden: bool = False) -> str | None:
    """Pairs and rows behind the figures of the best probe (else of the first detector); None where it is unknown.

    Args:
        hidden: of the table of the hidden subset.
    """
    entries = comparison.hidden_detectors if hidden else comparison.detectors
    found = _first(entries, comparison.best_probe)
    return None if found is None else f"{found[0]}: {said(found[1])}"


def _first(entries: Mapping[str, DetectorEntry], best: str | None) -> tuple[str, Basis] | None:
    names = [best, *entries] if best in entries else list(entries)
    for name in names:
        if name is not None and (basis := entries[name].basis) is not None:
            return name, basis
    return None


def said(basis: Basis) -> str:
    """One sentence."""
    return (
        f"AUROC over {basis.pairs_used:,} of {basis.pairs:,} pairs and {basis.rows_used} of {basis.rows} rows: a "
        f"pair has one fold, kind and direction. Recall over {basis.recall_positives} positive and "
        f"{basis.recall_negatives} negative rows, of the {basis.strata_used} of {basis.strata} kinds × directions that "
        f"have both classes."
    )
