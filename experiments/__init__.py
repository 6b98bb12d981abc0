"""THE QUESTION. Questions, hints, generation, behaviour, judges, detectors, the pipeline, the report, the organisms.

Names are loaded when first asked for, so that the command line starts without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.config import Config, load_config
    from experiments.pipeline import run_pipeline
    from experiments.report import write_report
    from experiments.results import ModelResults, Results, read_results

__all__ = ["Config", "ModelResults", "Results", "load_config", "read_results", "run_pipeline", "write_report"]

_MODULES = ("experiments.config", "experiments.pipeline", "experiments.report", "experiments.results")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in map(import_module, _MODULES):
            if name in vars(module):
                return getattr(module, name)
    raise AttributeError(f"module 'experiments' has no attribute {name!r}")
