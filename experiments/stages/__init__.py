"""The stages of a run, thin: each asks the rooms below for its work. To add one, write its file and its line here."""

from activations.registry import Registry
from experiments.run.stage import Stage

STAGES: Registry[Stage] = Registry(
    "stage",
    {
        "generate": "experiments.stages.generate:STAGE",
        "judge": "experiments.stages.judge:STAGE",
        "capture": "experiments.stages.capture:STAGE",
        "probe": "experiments.stages.probe:STAGE",
        "patch": "experiments.stages.patch:STAGE",
        "mediate": "experiments.stages.mediate:STAGE",
        "directions": "experiments.stages.directions:STAGE",
        "compare": "experiments.stages.compare:STAGE",
    },
)
"""In the order in which they run."""

VERBS = ("generate", "judge", "capture", "probe", "patch", "compare", "report")
"""The commands that run stages, in order; ``patch`` runs three, ``report`` writes the page."""
