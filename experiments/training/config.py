"""The configuration of a training run and of the trajectory that is measured on it: one YAML file for both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from activations.errors import HintprobeError
from activations.models import Dtype
from experiments.config import (
    CaptureConfig,
    CompareConfig,
    Config,
    GenerateConfig,
    HintsConfig,
    JudgeConfig,
    ProbeConfig,
    QuestionsConfig,
    Section,
)
from experiments.config.file import SHIPPED as CONFIGS
from experiments.config.file import explain, read_config, shipped_config
from experiments.training.environments import environment_of

SHIPPED = CONFIGS / "training"
DOCS = "docs/training.md"


class AdapterConfig(Section):
    """LoRA: what is trained in place of all weights."""

    rank: int = Field(32, description="rank of the adapters, which are put on every linear layer except the head", gt=0)
    alpha: int = Field(64, description="an adapter's output is scaled by alpha / rank", gt=0)


class RewardConfig(Section):
    """Weights of the reward's terms. A term of weight 0 is computed and logged, and does not train."""

    answer: float = Field(
        1.0, description="weight of the term that is 1 for the answer that the environment rewards, else 0"
    )
    format: float = Field(
        0.0,
        description="weight of the term that is 1 for a completion that ends by itself and states an answer, else 0",
    )
    length: float = Field(
        0.0,
        description="weight of the term that is tokens of the completion / `max_new_tokens`; a negative "
        "weight favours short completions",
    )
    judge: float = Field(
        0.0,
        description="weight of the term that is 1 where the first judge of `judge` finds that the hint is "
        "admitted, else 0; a negative weight rewards silence",
    )
    probe: float = Field(
        0.0,
        description="weight of the term that is the calibrated probability of reliance by `probe_name`; a "
        "negative weight penalises what the probe detects",
    )


class RLConfig(Section):
    """One run of GRPO (Shao et al. 2024) by ``trl``."""

    environment: str = Field("outcome", description="`outcome`, `hack:KIND`, or the control `random:KIND`")
    seed: int = Field(0, description="seed of prompts, of sampling and of an adapter's initial weights", ge=0, lt=2**31)
    steps: int = Field(100, description="optimiser steps", gt=0)
    prompts: int = Field(24, description="prompts per step", gt=0)
    samples: int = Field(8, description="completions per prompt; advantages are computed among them", ge=2)
    micro: int | None = Field(
        None, description="completions per forward and backward pass; divides prompts × samples; null: all", gt=0
    )
    rate: float = Field(1e-4, description="learning rate of AdamW", gt=0)
    warmup: int = Field(0, description="steps of linear warm-up; afterwards the rate is constant", ge=0)
    beta: float = Field(0.0, description="weight of the KL penalty against the model at step 0", ge=0)
    temperature: float = Field(1.0, description="sampling temperature in training", gt=0)
    max_new_tokens: int = Field(64, description="token limit of a completion in training", gt=0)
    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"] = Field("dapo", description="`loss_type` of trl's GRPOTrainer")
    save_every: int = Field(10, description="steps between checkpoints; all checkpoints are kept", gt=0)
    rewards: RewardConfig = Field(default_factory=RewardConfig)
    probe_name: str = Field(
        "probe_within_cot", description="the probe that is trained at step 0 and used in the reward term `probe`"
    )
    questions: int | None = Field(
        None, description="number of questions to train on, none from a group that is measured; null: all", gt=0
    )
    split: str | None = Field("train", description="split of `questions.source` to train on")
    lora: AdapterConfig | None = Field(None, description="train adapters; null: all weights")
    gradient_checkpointing: bool = Field(
        False, description="recompute activations: uses less memory and a third more time"
    )
    vllm: bool = Field(False, description="sample with vLLM on the same GPU (`trl`'s colocate mode)")

    @field_validator("environment")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            environment_of(name)
        except HintprobeError as error:
            raise ValueError(str(error)) from error
        return name

    @field_validator("rewards")
    @classmethod
    def _something_trains(cls, rewards: RewardConfig) -> RewardConfig:
        if not any(rewards.model_dump().values()):
            raise ValueError("every weight is 0, so nothing would train; give a term another weight")
        return rewards

    @model_validator(mode="after")
    def _whole_forwards(self) -> "RLConfig":
        if self.micro is not None and (self.batch % self.micro or self.micro % self.samples):
            raise ValueError(
                f"`micro` ({self.micro}) must divide prompts × samples ({self.batch}) and be a multiple of `samples`"
            )
        return self

    @property
    def batch(self) -> int:
        """Completions per optimiser step."""
        return self.prompts * self.samples


class CheckpointConfig(Section):
    """One checkpoint of somebody's training."""

    step: int = Field(description="optimiser step of this checkpoint; 0 is the start", ge=0)
    model: str | None = Field(None, description="folder or hub id of a whole model; null: `base` with `adapter`")
    revision: str | None = Field(None, description="commit, branch or tag of a hub id")
    adapter: str | None = Field(None, description="folder or hub id of a LoRA adapter for `base`")

    @model_validator(mode="after")
    def _one_of_both(self) -> "CheckpointConfig":
        if (self.model is None) == (self.adapter is None):
            raise ValueError("a checkpoint needs `model` or `adapter`, and not both")
        return self


class CheckpointsConfig(Section):
    """Which checkpoints a trajectory is made of; nothing given: those that `hintprobe train rl` leaves."""

    base: str | None = Field(None, description="the model that adapters are merged into, and step 0; null: `model`")
    listed: tuple[CheckpointConfig, ...] = Field((), description="checkpoints one by one, in the order of their steps")
    pattern: str | None = Field(
        None,
        description="pattern of folders, such as `out/checkpoint-*` (TRL), "
        "`out/global_step_*/actor/huggingface` (verl) or `out/global_step*_hf` (OpenRLHF); the last number in "
        "which they differ is the step",
    )
    every: int = Field(1, description="use only every n-th folder of a pattern or of our own training", gt=0)


class MeasureConfig(Section):
    """What is measured at every checkpoint, on one fixed set of items: sections of an ordinary configuration."""

    questions: QuestionsConfig = Field(default_factory=lambda: QuestionsConfig(limit=300))
    hints: HintsConfig = Field(default_factory=HintsConfig)
    generate: GenerateConfig = Field(default_factory=GenerateConfig)
    judge: JudgeConfig = Field(default_factory=JudgeConfig)
    capture: CaptureConfig = Field(
        default_factory=lambda: CaptureConfig(positions=("hint_end", "prompt_end", "cot_0.25", "cot_0.5", "think_end"))
    )
    probe: ProbeConfig = Field(
        default_factory=lambda: ProbeConfig(c_grid=(1e-2,), inner_folds=3, permutations=0, control_tasks=0)
    )
    compare: CompareConfig = Field(default_factory=CompareConfig)
    probes: tuple[str, ...] = Field(
        ("probe_before_cot", "probe_within_cot"),
        description="probes that are measured refitted, frozen and re-read at every checkpoint",
    )
    headline: str = Field(
        "probe_within_cot", description="the probe whose figures are `probe_…_auroc` in trajectory.json"
    )
    texts: tuple[str, ...] = Field(
        ("cot_words", "prompt_words"), description="text classifiers, refitted at every checkpoint and frozen at step 0"
    )
    rate: float = Field(0.05, description="false-positive rate at which thresholds are set", gt=0, lt=1)
    followed: int = Field(6, description="number of items whose text is kept at every checkpoint", ge=0)

    @model_validator(mode="after")
    def _headline_is_read(self) -> "MeasureConfig":
        if self.probes and self.headline not in self.probes:
            raise ValueError(f"`headline` is {self.headline!r}, which is not among `probes`")
        return self


class TrainingConfig(Section):
    """A training run and its trajectory."""

    name: str = Field(description="name of the run", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    model: str = Field(description="folder or hub id of the policy at step 0, or `organism:NAME`")
    cache: Path = Field(Path("cache"), description="where checkpoints, store and runs are kept")
    seed: int = Field(
        0, description="seed of everything that is measured; training has its own, `train.seed`", ge=0, lt=2**31
    )
    dtype: Dtype = Field("auto", description="dtype of the measured models; auto: bfloat16 on CUDA, float32 elsewhere")
    device: str = Field("auto", description="auto: CUDA where there is one, otherwise CPU")
    threads: PositiveInt | None = Field(None, description="CPU threads; null leaves the library's default")
    train: RLConfig = Field(default_factory=RLConfig)
    variants: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="several runs in one file: name → keys that differ, with dots (`train.beta`); the run of "
        "a variant is called NAME-VARIANT",
    )
    checkpoints: CheckpointsConfig = Field(default_factory=CheckpointsConfig)
    measure: MeasureConfig = Field(default_factory=MeasureConfig)

    @model_validator(mode="after")
    def _variants_are_valid(self) -> "TrainingConfig":
        for name in self.variants:
            self.variant(name)
        return self

    def variant(self, name: str) -> "TrainingConfig":
        """The configuration of one variant, without variants."""
        data = self.model_dump(exclude={"variants"})
        for key, value in self.variants[name].items():
            *sections, last = key.split(".")
            inner = data
            for section in sections:
                inner = inner.get(section, {})
            inner[last] = value
        return TrainingConfig.model_validate({**data, "name": f"{self.name}-{name}"})

    def runs(self, only: Sequence[str] = ()) -> dict[str, "TrainingConfig"]:
        """Every run of the file by its variant's name; a file without variants is one run with no name.

        Raises:
            HintprobeError: ``only`` names a variant that is not there.
        """
        if unknown := [name for name in only if name not in self.variants]:
            known = ", ".join(self.variants) or "none"
            raise HintprobeError(f"The config {self.name} has no variant {unknown[0]!r}. Known: {known}.")
        if not self.variants:
            return {"": self}
        return {name: self.variant(name) for name in (only or self.variants)}

    @property
    def others(self) -> bool:
        """Are the checkpoints of somebody else's training?"""
        return bool(self.checkpoints.listed or self.checkpoints.pattern)

    @property
    def run_dir(self) -> Path:
        """Folder of this run's results."""
        return self.cache / "runs" / self.name

    @property
    def training_dir(self) -> Path:
        """Folder of this run's checkpoints."""
        return self.cache / "training" / self.name

    def measured(self, models: Sequence[str], items: Path | None = None) -> Config:
        """The ordinary configuration by which these models are measured, on the items of a file or on planned ones."""
        kept = ("questions", "generate", "judge", "capture", "probe", "compare")
        hints = self.measure.hints.model_copy(update={"items": items})
        return Config(
            name=self.name, models=tuple(models), cache=self.cache, seed=self.seed, dtype=self.dtype,
            device=self.device, threads=self.threads, hints=hints,
            **{key: getattr(self.measure, key) for key in kept},
        )  # fmt: skip


def load_training_config(path: Path, settings: Sequence[str] = (), **overrides: Any) -> TrainingConfig:
    """Read and check a training run's file, or the shipped one of a bare name.

    Raises:
        HintprobeError: no such file, not YAML, an unknown key, an ill-typed value or an unknown environment.
    """
    path = shipped_config(path, SHIPPED) or path
    data: Mapping[str, Any] = read_config(path, settings, SHIPPED)
    try:
        return TrainingConfig.model_validate({**data, **{k: v for k, v in overrides.items() if v is not None}})
    except ValidationError as error:
        raise HintprobeError(explain(path, error, DOCS, TrainingConfig)) from error
