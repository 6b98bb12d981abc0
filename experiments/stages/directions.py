"""Part of stage 5: does a model use the direction that a probe reads reliance from?

The direction is taken out of the stream, or added to it, at the token that the probe reads or from it on, and the items
are completed again with their own seeds. Beside it stand random directions, orthogonal and as long, and those of the
same probe trained on permuted labels, which are as typical of the states as the probe's own.
"""

from pathlib import Path

from experiments.records.accounts import DirectionsAccount
from experiments.records.stages import directions_table, subspaces_table
from experiments.records.summary import DirectionsSummary
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.parts import Work
from experiments.run.sharing import split
from experiments.run.stage import Stage


def run_directions(run: ModelRun) -> StageResult | None:
    """Put the directions of the probes to the test, or find that done; a model without probes of its own has none."""
    depends = (
        run.results["probe"].signature, run.config.directions, run.config.generate.max_new_tokens,
        run.config.compare.bootstrap, run.config.seed, run.config.dtype,
    )  # fmt: skip

    def work(folder: Path) -> Work:
        from experiments.stages.work.directions import Directing

        return Directing(run, folder)

    return split(run, DirectionsAccount, depends, work, uses_model=True)


def directions_summary(run: ModelRun) -> DirectionsSummary:
    """What the report shows."""
    return DirectionsSummary(
        **run.account(DirectionsAccount).model_dump(),
        effects=run.records.read("directions", directions_table),
        subspaces=run.records.read("directions", subspaces_table),
    )


STAGE = Stage(
    DirectionsAccount,
    "patch",
    ("probe",),
    lambda run, _: run_directions(run),
    "directions",
    directions_summary,
    parts=True,
)
