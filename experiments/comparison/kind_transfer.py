"""From one kind of hint to another: probes trained on one kind alone, read on each kind."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.comparison.held import Subset
from experiments.comparison.table import auroc_figure, estimate_on, of_kinds, refusal
from experiments.detectors.training import Trained
from experiments.records import KindScores, TargetRow
from experiments.records.detector_tables import KindTransferCell
from probes import scores_by_level


def kind_scores(trained: Trained, ids: Sequence[str], kinds: Sequence[str], min_per_class: int) -> list[KindScores]:
    """Scores of a probe's rows when it is trained again on each kind alone, with the choices of its outer folds.

    Args:
        ids, kinds: of every row of the target.
        min_per_class: fewest rows of either class in a kind that is trained on.
    """
    first = np.unique(trained.index, return_index=True)[1]
    own = [kinds[i] for i in first]
    choices = [outcome.chosen for outcome in trained.result.outcomes if outcome.chosen is not None]
    cells = {chosen.cell: trained.detector.cells[chosen.cell][first] for chosen in choices}
    scores = scores_by_level(cells, trained.contrast, own, trained.result.fold, choices)
    enough = [kind for kind in scores if _smaller_class(trained, own, kind) >= min_per_class]
    return [
        KindScores(
            detector=trained.detector.name,
            rollout_id=name,
            trained_on={kind: float(scores[kind][i]) for kind in enough if np.isfinite(scores[kind][i])},
        )
        for name, i in zip(ids, trained.index, strict=True)
    ]


def _smaller_class(trained: Trained, kinds: Sequence[str], kind: str) -> int:
    labels = trained.contrast.labels[np.asarray(kinds) == kind]
    return int(min(labels.sum(), (~labels).sum()))


def kind_matrix(
    records: Sequence[KindScores], target: Sequence[TargetRow], within: Subset, min_per_class: int, min_groups: int
) -> list[KindTransferCell]:
    """AUROC of every probe, trained on one kind (``trained_on``) and read on another (``read_on``), within direction.

    On the diagonal, too, every row is held out. A cell without a figure says why it is ``refused``.

    Args:
        within: all rows of the target, with their resamples.
        min_per_class: what :func:`kind_scores` asked for, to name it.
        min_groups: fewest groups of each class in a kind that is read.
    """
    by_detector: dict[str, dict[str, Mapping[str, float]]] = defaultdict(dict)
    for record in records:
        by_detector[record.detector][record.rollout_id] = record.trained_on
    parts = of_kinds(target, within)
    fold = np.array([row.fold for row in target], dtype=np.intp)
    found = []
    for detector, scores in by_detector.items():
        for trained_on in parts:
            known = np.array([scores.get(row.rollout_id, {}).get(trained_on, np.nan) for row in target])
            untrained = f"fewer than {min_per_class} rows of a class to train on (probe.min_per_class)"
            for read_on, part in parts.items():
                reason = refusal(part, min_groups) if np.isfinite(known).any() else untrained
                entry = None if reason else auroc_figure(estimate_on(known[None], fold[None], part), part)
                if entry is not None and entry.value is None:
                    entry, reason = None, "no pair of rows shares a fold and a direction"
                found.append(
                    KindTransferCell(
                        detector=detector, trained_on=trained_on, read_on=read_on, auroc=entry, refused=reason
                    )
                )
    return found
