"""Stage 4: train every detector of every target under one protocol, and fit the probes that are shipped."""

from pathlib import Path

from activations import ActivationStore, ModelStore
from experiments.records.accounts import CaptureAccount, ProbeAccount
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.stage import Stage


def run_probe(run: ModelRun) -> StageResult:
    """Train the detectors of a model, or find that done; too few rows of a class are noted and nothing is trained."""
    depends = (run.results["capture"].signature, run.results["judge"].signature, run.config.probe, run.config.seed)

    def work(folder: Path) -> ProbeAccount:
        from experiments.stages.work.probe import train_targets

        return train_targets(run, folder)

    return run.stage(ProbeAccount, depends, work, uses_model=True)


def store_of(run: ModelRun) -> ModelStore:
    """The run's part of the activation store."""
    return ActivationStore(run.config.store_dir).named(run.account(CaptureAccount).store)


STAGE = Stage(
    ProbeAccount,
    "probe",
    (
        "judge",
        "capture",
    ),
    lambda run, _: run_probe(run),
)
