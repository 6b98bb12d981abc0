"""The configuration of a run: its sections, and reading it from a file."""

from experiments.config.asking import GenerateConfig, HintsConfig, QuestionsConfig
from experiments.config.intervening import DirectionsConfig, MediateConfig, PatchConfig
from experiments.config.judging import ExamplesConfig, JudgeConfig, JudgeModel, LabelsConfig
from experiments.config.measuring import CaptureConfig, CompareConfig, ProbeConfig
from experiments.config.section import Section
from experiments.config.sections import Config

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
