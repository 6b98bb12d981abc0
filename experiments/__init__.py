"""THE QUESTION. Questions, hints, generation, behaviour, judges, detectors, the pipeline, the report, the organisms.

Names are loaded when first asked for, so that the command line starts without torch.
"""

from typing import TYPE_CHECKING, Any

from activations.lazy import load_name
from experiments.organisms import registration

if TYPE_CHECKING:
    from experiments.config import Config
    from experiments.config.file import load_config
    from experiments.pipeline import run_pipeline
    from experiments.report import write_report
    from experiments.report.results import ModelResults, Results, read_results
    from experiments.report.trajectory import TrajectoryResults, read_trajectory
    from experiments.scripting import TrainedProbe, capture, compare, load_model, patch, train_probe

registration.register()

__all__ = [
    "Config",
    "ModelResults",
    "Results",
    "TrainedProbe",
    "TrajectoryResults",
    "capture",
    "compare",
    "load_config",
    "load_model",
    "patch",
    "read_results",
    "read_trajectory",
    "run_pipeline",
    "train_probe",
    "write_report",
]


def __getattr__(name: str) -> Any:
    return load_name(__name__, __all__, name)
