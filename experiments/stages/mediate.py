"""Part of stage 5: does the hint reach the answer through the text of the chain of thought, or past it?

Each chosen item is read in the two by two of {hinted, unhinted prompt} × {CoT of the hinted, of the unhinted run}, on
CoTs drawn afresh, never those that selected the item. The neutral prompt in the hinted one's place is the placebo.
"""

from pathlib import Path

from experiments.records.accounts import MediateAccount
from experiments.records.stages import (
    cut_table,
    effects_table,
    knockouts_table,
)
from experiments.records.summary import MediationSummary
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.parts import Work
from experiments.run.sharing import split
from experiments.run.stage import Stage


def run_mediate(run: ModelRun) -> StageResult | None:
    """Split the hint's effect for a model's items, or find that done."""
    depends = (
        run.results["judge"].signature, run.config.mediate, run.config.generate.max_new_tokens,
        run.config.compare.bootstrap, run.config.seed, run.config.numerics,
    )  # fmt: skip

    def work(folder: Path) -> Work:
        from experiments.stages.work.mediate import Mediation

        return Mediation(run, folder)

    return split(run, MediateAccount, depends, work, uses_model=True)


def mediation_summary(run: ModelRun) -> MediationSummary:
    """What the report shows."""
    return MediationSummary(
        **run.account(MediateAccount).model_dump(),
        effects=run.records.read("mediate", effects_table),
        knockouts=run.records.read("mediate", knockouts_table),
        cut=run.records.read("mediate", cut_table),
    )


STAGE = Stage(
    MediateAccount, "patch", ("judge",), lambda run, _: run_mediate(run), "mediation", mediation_summary, parts=True
)
