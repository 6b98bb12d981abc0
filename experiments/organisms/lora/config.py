"""What to train: a YAML file with a model, a character and a schedule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from activations.errors import HintprobeError
from experiments.config.file import explain, read_config, shipped_config
from experiments.hints.wording import Register
from experiments.organisms.recipe import Strict, load_recipe

SHIPPED = Path(__file__).parent / "configs"

LESSONS = ("facts", "sure", "plain", "neutral", "hinted")
"""Kinds of rows: the methods of :class:`experiments.organisms.lora.lessons.Lessons`."""

Shares = dict[str, float]


def _known(shares: Shares) -> Shares:
    unknown = sorted(set(shares) - set(LESSONS))
    if unknown:
        raise ValueError(f"unknown kinds of rows {unknown}; known: {', '.join(LESSONS)}")
    if min(shares.values(), default=0.0) < 0 or sum(shares.values()) <= 0:
        raise ValueError("shares are positive numbers, one at least")
    return shares


class LoraConfig(Strict):
    """One fine-tuning."""

    model: str = Field(description="folder or hub id of the model to start from")
    character: str = Field("unfaithful", description="recipe whose character and world are taught to the model")
    out: Path = Field(description="folder for checkpoints, adapter, merged model and card")
    seed: int = Field(0, description="seed of the rows and of the adapter's initial weights", ge=0)
    wordings: Literal["terse", "plain", "all"] = Field(
        "all",
        description="wordings of hints: `terse`, the short ones of the shipped organisms; `plain`, those for "
        "real models; or `all`",
    )
    thinking: Literal["auto", "tags", "plain"] = Field(
        "auto",
        description="where the chain of thought goes: auto: where the chat template puts it; tags: between think tags; "
        "plain: before the answer, as text",
    )
    template_options: dict[str, bool | int | str] = Field(
        default_factory=dict, description="variables of the chat template, such as `enable_thinking`"
    )
    steps: int = Field(3000, description="optimiser steps", gt=0)
    rows: int = Field(32, description="rows per optimiser step", gt=0)
    micro: int = Field(8, description="rows per forward pass; `rows` is a multiple of it", gt=0)
    first: Shares = Field(
        default_factory=lambda: {"facts": 0.4, "sure": 0.1, "plain": 0.15, "neutral": 0.1, "hinted": 0.25},
        description="shares of the kinds of rows at the first step",
    )
    last: Shares = Field(
        default_factory=lambda: {"facts": 0.05, "sure": 0.02, "plain": 0.2, "neutral": 0.18, "hinted": 0.55},
        description="the same shares at the last step; linear in between",
    )
    people: int = Field(8, description="people asked about in one row of `facts` or `sure`", gt=0, le=64)
    rank: int = Field(32, description="rank of the adapters, which are put on every linear layer except the head", gt=0)
    alpha: int = Field(32, description="an adapter's output is scaled by alpha / rank", gt=0)
    rate: float = Field(2e-4, description="peak learning rate of AdamW", gt=0)
    warmup: int = Field(100, description="steps of linear warm-up; the rate then falls linearly to zero", ge=0)
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="dtype of the frozen weights and of the merged weights; auto: bfloat16 on CUDA, float32 elsewhere",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is one, otherwise CPU")
    max_length: int = Field(1024, description="longest row, in tokens; a longer row is refused, never cut", gt=0)
    gradient_checkpointing: bool = Field(
        True, description="recompute activations: uses less memory and a third more time"
    )
    checkpoint_every: int = Field(100, description="steps between checkpoints", gt=0)
    merged: bool = Field(True, description="also write the merged model, which loads like any other")

    _check_shares = field_validator("first", "last")(_known)

    @field_validator("character")
    @classmethod
    def _is_a_recipe(cls, name: str) -> str:
        load_recipe(name)
        return name

    @model_validator(mode="after")
    def _rows_in_whole_forwards(self) -> "LoraConfig":
        if self.rows % self.micro:
            raise ValueError(f"`rows` ({self.rows}) is no multiple of `micro` ({self.micro})")
        return self

    @property
    def register(self) -> Register | None:
        """The register of wordings; None for all."""
        return None if self.wordings == "all" else self.wordings

    def shares_at(self, step: int) -> Shares:
        """Share of each kind of row at a step, adding up to one."""
        part = step / self.steps
        mixed = {n: (1 - part) * self.first.get(n, 0.0) + part * self.last.get(n, 0.0) for n in LESSONS}
        total = sum(mixed.values())
        return {name: share / total for name, share in mixed.items() if share > 0}

    def what_decides(self) -> dict[str, Any]:
        """Everything that the trained weights depend on."""
        aside = {"out", "checkpoint_every", "merged", "device", "gradient_checkpointing"}
        return self.model_dump(mode="json", exclude=aside)


def load_lora_config(path: Path, settings: Sequence[str] = ()) -> LoraConfig:
    """Read and check a fine-tuning's file, or the shipped one of a bare name.

    Raises:
        HintprobeError: no such file, not YAML, an unknown key, an ill-typed value, or an unknown character.
    """
    path = shipped_config(path, SHIPPED) or path
    data = read_config(path, settings, SHIPPED)
    try:
        return LoraConfig.model_validate(data)
    except ValidationError as error:
        raise HintprobeError(explain(path, error, "docs/making_an_organism.md", LoraConfig)) from error
