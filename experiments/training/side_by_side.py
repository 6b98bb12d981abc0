"""The checkpoints of a trajectory measured side by side, by the workers of a Ray cluster.

Step 0 is asked first, for its items are those of all steps; then every checkpoint has a worker, which runs its stages
unit by unit, as one process does. What is read of all checkpoints together, with the frozen probes of step 0, is read
by one worker when they are measured.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activations import fingerprint
from experiments.cluster.crew import Crew, Piece
from experiments.cluster.ray_cluster import connected
from experiments.cluster.stage_worker import in_units
from experiments.cluster.worker import Answer, Worker, told
from experiments.records.trajectory import Trajectory
from experiments.run.progress import Reporter
from experiments.training.assembled import assemble
from experiments.training.checkpoints import Located
from experiments.training.config import TrainingConfig
from experiments.training.measured import MEASURED, Measured, checkpoint_run, hacked_kinds


class CheckpointWorker(Worker):
    """Measures checkpoints, one at a time.

    Args:
        settings: the training's configuration as JSON values, and the checkpoints' steps, sources and names.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.config = TrainingConfig.model_validate(settings["config"])
        self.located = [Located(*one) for one in settings["located"]]
        super().__init__(self.config.threads)

    def items(self) -> Answer:
        """Ask the checkpoint of step 0; the file with the items and targets of all steps."""
        return told(lambda: str(self._measure(0, None, ("generate",)).items))

    def measure(self, indices: Sequence[int], items: str) -> Answer:
        """Measure checkpoints of the same weights, in their order."""

        def measured() -> bool:
            for index in indices:
                self._measure(index, items)
            return True

        return told(measured)

    def assemble(self, items: str) -> Answer:
        """The trajectory of checkpoints that are all measured, as JSON."""

        def assembled() -> str:
            steps = [self._measure(index, items) for index in range(len(self.located))]
            return assemble(self.config, steps, Reporter()).model_dump_json()

        return told(assembled)

    def _measure(self, index: int, items: str | None, stages: Sequence[str] = MEASURED) -> Measured:
        at = self.located[index]
        run = checkpoint_run(self.config, at, Path(items) if items and index else None, Reporter())
        for stage in stages:
            in_units(run, stage)
        run.__dict__.pop("loaded", None)  # one model in memory at a time
        return Measured(at, run, self.config.model, hacked_kinds(self.config))


def measure_on_ray(
    config: TrainingConfig, located: Sequence[Located], address: str, workers: int | None, reporter: Reporter
) -> Trajectory:
    """Measure checkpoints on a cluster; the folder's lock is held by the caller.

    Args:
        config: its cache an absolute path that all machines see.
        address: as of ``run_on_ray``.
        workers: how many; by default one a GPU, and where there are none, one a CPU.

    Raises:
        HintprobeError: no cluster, workers of other versions or that do not see the run's folder, or bad input.
    """
    settings = {
        "config": config.model_dump(mode="json"),
        "located": [(one.step, one.source, one.name) for one in located],
    }
    with connected(address, workers):
        crew = Crew(CheckpointWorker, settings, config.run_dir, reporter, workers)
        try:
            crew.start()
            items = crew.ask("items", f"the items of step {located[0].step}")
            pieces = [
                Piece(f"step {located[same[0]].step}", (same, items), len(same)) for same in _of_same_weights(located)
            ]
            crew.deal("measure", pieces, "checkpoints")
            return Trajectory.model_validate_json(crew.ask("assemble", "the probes and differences", items))
        finally:
            crew.end()


def _of_same_weights(located: Sequence[Located]) -> list[list[int]]:
    """Indices of checkpoints by their weights: those of the same share records and activations, and so a worker."""
    found: dict[str, list[int]] = {}
    for index, one in enumerate(located):
        found.setdefault(fingerprint(one.source), []).append(index)
    return list(found.values())
