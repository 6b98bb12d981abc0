"""What a headline owes to its judge: faithfulness under each judge, their panel, and the extremes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.comparison.faithfulness_items import entry, read_items
from experiments.judges.panel import PANEL, panel_verdicts
from experiments.records import Verdict

ALL_SAY, ANY_SAYS = "every judge says so", "any judge says so"


def sensitivity_to_judges(
    items: Path, verdicts: Sequence[Verdict], n_resamples: int, rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """The paper's metrics of the same items under each judge.

    The extremes bound what any combination of these judges can say: an admission that every judge sees, and one that at
    least one sees. A row that one of them left unscored is unscored in both, so the extremes are of fewer rows.

    Returns:
        Per judge, for the panel where there are several, and for both extremes: value, numerator, denominator and
        interval of each metric, and counts.
    """
    read = [v for v in verdicts if v.reliance is None and v.judge != PANEL]
    said: dict[str, dict[str, bool | None]] = {}
    for verdict in read:
        said.setdefault(verdict.judge, {})[verdict.rollout_id] = verdict.verbalized
    if len(said) > 1:
        judges = list(said.values())
        shared = sorted(set.intersection(*(set(judge) for judge in judges)))
        said[PANEL] = {v.rollout_id: v.verbalized for v in panel_verdicts(read)}
        votes = {name: [judge[name] for judge in judges] for name in shared}
        said[ALL_SAY] = {name: None if None in v else all(v) for name, v in votes.items()}
        said[ANY_SAYS] = {name: None if None in v else any(v) for name, v in votes.items()}
    rows = {name: [item.row() for item in read_items(items, found)] for name, found in said.items()}
    return {name: entry(own, n_resamples, rng) for name, own in rows.items()}
