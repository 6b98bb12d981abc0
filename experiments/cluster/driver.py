"""A run on a Ray cluster: the driver deals parts of stages to workers, and joins them when all are there.

Parts, tables and markers are those of ``--part`` and ``hintprobe join``; a part is one unit. So whatever dies, what was
finished is there: a dead worker's part is done again by another, a dead driver's run is gone on from by the next.
"""

from collections.abc import Sequence

from experiments.cluster.crew import Crew, Piece
from experiments.cluster.ray_cluster import connected
from experiments.cluster.stage_worker import StageWorker
from experiments.config import Config
from experiments.pipeline import prepared, run_models
from experiments.records.summary import Summary
from experiments.run.lock import LOCK
from experiments.run.progress import Reporter
from experiments.stages import STAGES


def run_on_ray(
    config: Config,
    address: str = "local",
    reporter: Reporter | None = None,
    workers: int | None = None,
    wait: bool = False,
    strict: bool = False,
) -> Summary | None:
    """Run all stages on a cluster; the result is the one of a single process.

    Args:
        address: ``local`` starts a cluster of this machine, ``auto`` joins one that runs here, else ``HOST:PORT``.
        workers: how many hold a model; by default one a GPU, and where there are none, one a CPU.

    Raises:
        HintprobeError: no cluster, workers of other versions or that do not see the run's folder, or bad input.
    """
    reporter = reporter or Reporter()
    absolute = config.model_copy(update={"cache": config.cache.resolve()})
    made: dict[str, list[str]] = {}
    with prepared(absolute, LOCK, wait, reporter), connected(address, workers):
        crew = Crew(StageWorker, absolute.model_dump(mode="json"), absolute.run_dir, reporter, workers)
        try:
            crew.start()
            for model in absolute.models:
                reporter.say(model, style="bold")
                stages = [stage for stage in STAGES if stage not in absolute.skip]
                made[model] = [stage for stage in stages if _run_stage(crew, model, stage)]
        finally:
            crew.end()
        # All is found by now; the summary and the page are written.
        return run_models(config, Reporter(None, reporter.aside), strict, made=made)


def _run_stage(crew: Crew, model: str, stage: str) -> bool:
    """One stage of one model, in parts where it can be; was there anything to do?"""
    over = f"the stage {stage} of {model}"
    units: Sequence[int] = crew.ask("plan", over, model, stage) if STAGES[stage].parts else ()
    pieces = [
        Piece(f"part {index}/{len(units)} of {over}", (model, stage, index, len(units)), rows)
        for index, rows in enumerate(units)
    ]
    if found := crew.deal("part", pieces, stage).count(False):
        crew.reporter.say(f"  {found} of {len(pieces)} parts of {stage} were there already")
    done = crew.ask("whole", over, model, stage)
    made = bool(pieces or done["fresh"])
    how = f"{done['seconds']:5.1f} s" if made else "found"
    crew.reporter.say(f"  {stage:<10} {how:>8}   {done['counted']}".rstrip())
    return made
