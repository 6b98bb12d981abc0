"""The configuration of a run: one YAML file, a section per stage, unknown keys refused."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from activations.models import Dtype
from activations.placement import DeviceMap, Quantized
from experiments.config.asking import GenerateConfig, HintsConfig, QuestionsConfig
from experiments.config.intervening import DirectionsConfig, MediateConfig, PatchConfig
from experiments.config.judging import JudgeConfig, LabelsConfig
from experiments.config.measuring import CaptureConfig, CompareConfig, ProbeConfig
from experiments.config.section import Section

Skippable = Literal["patch", "mediate", "directions"]
"""Stages that no other stage reads."""


class Config(Section):
    """Everything a run depends on."""

    name: str = Field(
        description="name of the run; its folder is CACHE/runs/NAME", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
    )
    models: tuple[str, ...] = Field(
        description="folders, hub ids or `organism:NAME`; the first is the model on which frozen probes are trained",
        min_length=1,
    )
    limits: dict[str, PositiveInt] = Field(
        default_factory=dict,
        description="number of questions for single models, by model, where it is to differ from `questions.limit`",
    )
    cache: Path = Field(Path("cache"), description="where the activation store and the runs are kept")
    seed: int = Field(0, description="seed of sampling, target choice, folds and resamples", ge=0, lt=2**31)
    dtype: Dtype = Field("auto", description="auto: bfloat16 on CUDA, float32 elsewhere")
    device: str = Field("auto", description="auto: CUDA where there is one, otherwise CPU")
    quantized: Quantized | None = Field(None, description="load the weights with fewer bits (bitsandbytes)")
    device_map: DeviceMap | None = Field(None, description="auto spreads each model over all devices (accelerate)")
    threads: PositiveInt | None = Field(
        None, description="CPU threads of a process; null: the library's default, divided by `processes`"
    )
    processes: PositiveInt = Field(
        1, description="models that run at the same time, each in its own process; all of them must fit into memory"
    )
    skip: tuple[Skippable, ...] = Field((), description="stages to leave out; no other stage needs them")
    questions: QuestionsConfig = Field(default_factory=QuestionsConfig)
    hints: HintsConfig = Field(default_factory=HintsConfig)
    generate: GenerateConfig = Field(default_factory=GenerateConfig)
    judge: JudgeConfig = Field(default_factory=JudgeConfig)
    labels: LabelsConfig = Field(default_factory=LabelsConfig)
    capture: CaptureConfig = Field(default_factory=CaptureConfig)
    probe: ProbeConfig = Field(default_factory=ProbeConfig)
    patch: PatchConfig = Field(default_factory=PatchConfig)
    mediate: MediateConfig = Field(default_factory=MediateConfig)
    directions: DirectionsConfig = Field(default_factory=DirectionsConfig)
    compare: CompareConfig = Field(default_factory=CompareConfig)

    @model_validator(mode="after")
    def _limits_name_models(self) -> "Config":
        unknown = set(self.limits) - set(self.models)
        if unknown:
            raise ValueError(f"limits names models that are not in `models`: {sorted(unknown)}")
        return self

    @model_validator(mode="after")
    def _enough_for_labels(self) -> "Config":
        k, labels = self.generate.rollouts, self.labels
        if labels.evaluation_rollouts >= k:
            raise ValueError(
                f"labels.evaluation_rollouts is {labels.evaluation_rollouts}, and of generate.rollouts ({k}) at least "
                "one has to be left for the labels"
            )
        spare = (self.generate.unhinted_rollouts or k) - k
        if labels.confidence_rollouts > spare:
            raise ValueError(
                f"labels.confidence_rollouts is {labels.confidence_rollouts}, and the unhinted rollouts exceed "
                f"generate.rollouts by {spare}: set generate.unhinted_rollouts to at least "
                f"{k + labels.confidence_rollouts}"
            )
        return self

    @property
    def numerics(self) -> str:
        """What decides a model's numbers besides the model: part of what stages depend on."""
        return self.dtype if self.quantized is None else f"{self.dtype}/{self.quantized}"

    @property
    def run_dir(self) -> Path:
        """Folder of this run."""
        return self.cache / "runs" / self.name

    @property
    def store_dir(self) -> Path:
        """Folder of the activation store, shared by all runs of a cache."""
        return self.cache / "store"
