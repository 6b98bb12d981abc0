"""``hintprobe trajectory``: the ordinary stages at every checkpoint, on one set of items, and what changes."""

from collections.abc import Sequence
from pathlib import Path

from activations.errors import HintprobeError
from experiments.pipeline import check_names
from experiments.records import Kind
from experiments.records.tables import write_atomically
from experiments.records.trajectory import Trajectory
from experiments.run.lock import LOCK, holding
from experiments.run.progress import Reporter
from experiments.run.threads import limited_threads
from experiments.training.assembled import assemble, provenance_of
from experiments.training.checkpoints import Located, locate_checkpoints
from experiments.training.config import TrainingConfig
from experiments.training.grpo import EMPTY
from experiments.training.measured import Measured, hacked_kinds, measure

FILE = "trajectory.json"


def run_trajectory(
    config: TrainingConfig, reporter: Reporter | None = None, ray: tuple[str, int | None] | None = None
) -> Trajectory:
    """Measure all checkpoints, or find that done, and write ``trajectory.json``.

    Args:
        ray: address of a cluster that measures them side by side, as of ``run_on_ray``, and how many workers.

    Raises:
        HintprobeError: bad checkpoints, before anything is measured; or, after everything was written, a checkpoint
            whose completions are all empty.
    """
    reporter = reporter or Reporter()
    check_names(config.measured([config.model]))
    located = locate_checkpoints(config)
    hacked = hacked_kinds(config)
    config.run_dir.mkdir(parents=True, exist_ok=True)
    with holding(config.run_dir, LOCK, False, reporter.say), limited_threads(config.threads):
        trajectory = (
            _here(config, located, hacked, reporter) if ray is None else _on_ray(config, located, ray, reporter)
        )
    write_atomically(config.run_dir / FILE, trajectory.model_dump_json(indent=1) + "\n")
    _refuse_empty(trajectory)
    return trajectory


def _here(
    config: TrainingConfig, located: Sequence[Located], hacked: tuple[Kind, ...], reporter: Reporter
) -> Trajectory:
    steps: list[Measured] = []
    for at in located:
        steps.append(measure(config, at, hacked, steps[0].items if steps else None, reporter))
    return assemble(config, steps, reporter)


def _on_ray(
    config: TrainingConfig, located: Sequence[Located], ray: tuple[str, int | None], reporter: Reporter
) -> Trajectory:
    """The same on workers, who find everything under absolute paths."""
    from experiments.training.side_by_side import measure_on_ray

    absolute = config.model_copy(update={"cache": config.cache.resolve()})
    places = [
        Located(one.step, str(Path(one.source).resolve()) if Path(one.source).exists() else one.source, one.name)
        for one in located
    ]
    found = measure_on_ray(absolute, places, *ray, reporter)
    return found.model_copy(update={"provenance": provenance_of(config)})


def _refuse_empty(trajectory: Trajectory) -> None:
    empty = [point.step for point in trajectory.checkpoints if (point.empty_share or 0.0) > EMPTY]
    if empty:
        raise HintprobeError(
            f"The policy collapsed: at step{'s' * (len(empty) > 1)} {', '.join(map(str, empty))}, over nine tenths of "
            "the completions are empty, so most figures of those checkpoints are undefined. All measurements are kept "
            "and reported. Leave these steps out (`checkpoints.every`, `checkpoints.listed`), or train with a lower "
            "rate or a higher beta."
        )
