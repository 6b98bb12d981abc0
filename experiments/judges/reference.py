"""Who fixes which rows are hidden: never a judge that stands in the contest, where it can be helped."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.judges.panel import PANEL
from experiments.records import Rollout
from experiments.run.known_models import known_models
from experiments.run.model_run import ModelRun


@dataclass(frozen=True)
class Reference:
    """Which rollouts admit to the hint, and who says so.

    Attributes:
        admits: per rollout id; None where the reference has no word on it.
        contests: name of the detector that made it, which must then be left out of the hidden table.
    """

    name: str
    admits: dict[str, bool | None]
    contests: str | None

    @property
    def left_out(self) -> tuple[str, ...]:
        """Detectors that stay out of the hidden table: the one that made it, and a panel in which it votes."""
        return (self.contests, f"judge_{PANEL}") if self.contests else ()


def reference_of(run: ModelRun, rollouts: Sequence[Rollout]) -> Reference:
    """The grammar for an organism; otherwise the first judge, which is then left out of the hidden table."""
    known = known_models(run.model_name)
    if known:
        # Without a chain of thought there is nothing that could admit or hide.
        said = {r.id: known.admits(r.completion_text) if (r.cot or "").strip() else None for r in rollouts}
        return Reference("grammar", said, None)
    judge = run.config.judge.judges[0]
    admits = {name: verdict.verbalized for name, verdict in run.records.verdicts.get(judge, {}).items()}
    return Reference(f"judge {judge}", admits, f"judge_{judge}")
