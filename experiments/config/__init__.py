"""The configuration of a run: its sections, and reading it from a file."""

from experiments.config.sections import (
    CaptureConfig,
    CompareConfig,
    Config,
    DirectionsConfig,
    ExamplesConfig,
    GenerateConfig,
    HintsConfig,
    JudgeConfig,
    JudgeModel,
    LabelsConfig,
    MediateConfig,
    PatchConfig,
    ProbeConfig,
    QuestionsConfig,
    Section,
)

__all__ = [
    "CaptureConfig",
    "CompareConfig",
    "Config",
    "DirectionsConfig",
    "ExamplesConfig",
    "GenerateConfig",
    "HintsConfig",
    "JudgeConfig",
    "JudgeModel",
    "LabelsConfig",
    "MediateConfig",
    "PatchConfig",
    "ProbeConfig",
    "QuestionsConfig",
    "Section",
]
