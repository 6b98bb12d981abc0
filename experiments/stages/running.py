"""The stages of one model, in order."""

from collections.abc import Sequence

from activations.models import count_layers
from experiments.run.model_run import ModelRun
from experiments.stages import STAGES
from experiments.stages.capture import captured_sites


def run_stages(run: ModelRun, first: ModelRun, wanted: Sequence[str]) -> None:
    """Run the stages ``wanted`` of a model, in order; ``first`` is the model whose probes are frozen."""
    if run.config.capture.layers is not None and "capture" in wanted:
        captured_sites(run.config.capture, count_layers(run.source))  # a block that is not there is refused now
    for name in STAGES:
        stage = STAGES[name]
        if stage.verb in wanted and name not in run.config.skip:
            stage.run(run, first)
