"""One organism's recipe: a YAML file in ``recipes/`` (the grammar and the trainer are shared by all)."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from activations.errors import HintprobeError
from experiments.organisms.grammar import Character

RECIPES = Path(__file__).parent / "recipes"
SHIPPED = Path(__file__).parent / "models"


class Strict(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Shape(Strict):
    """Size of the network (a Qwen3 configuration)."""

    hidden: int = Field(128, description="width of the residual stream")
    layers: int = Field(5, description="decoder layers")
    heads: int = Field(4, description="query heads")
    kv_heads: int = Field(4, description="key and value heads")
    mlp: int = Field(384, description="width of the MLP")


ROW_KINDS = (
    "facts", "familiar", "leaning", "bits", "turns", "worked", "following", "following_marks", "pondered",
    "plain", "neutral", "hinted", "marked", "unpointed", "unmarked", "through_prompt", "past_prompt",
)  # fmt: skip
"""Kinds of training rows, drills first: the methods of ``curriculum.Teacher``."""


READOUTS = ("name_belief", "name_familiar", "option_letter", "option_start", "option_marked", "stated_letter", *(
    prefix + name
    for prefix in ("", "prompt_")
    for name in ("pointer", "pointed_start", "familiar", "lean_bit", "source_bit", "leaning")
))  # fmt: skip
"""What states may be asked for in training (``readouts.py``): at a person's last name, at an option's heading, at a
heading that the completion states, before the recall, and, with ``prompt_``, at the prompt's last token."""


class Readout(Strict):
    """A linear readout that training takes from the residual stream."""

    layer: int = Field(description="block after which the stream is read, from 0", ge=0)
    weight: float = Field(description="weight of its loss beside that of the text", gt=0)


class Phase(Strict):
    """A stretch of the training with shares of row kinds that change linearly from ``first`` to ``last``."""

    steps: int = Field(description="optimiser steps", gt=0)
    first: dict[str, float] = Field(description="shares at its start")
    last: dict[str, float] = Field(description="shares at its end; default: as at its start")

    @model_validator(mode="before")
    @classmethod
    def _last_defaults_to_first(cls, data: dict[str, object]) -> dict[str, object]:
        return {"last": data.get("first"), **data}

    @field_validator("first", "last")
    @classmethod
    def _known(cls, shares: dict[str, float]) -> dict[str, float]:
        unknown = set(shares) - set(ROW_KINDS)
        if unknown:
            raise ValueError(f"unknown kinds of rows {sorted(unknown)}; known: {', '.join(ROW_KINDS)}")
        return shares


class Training(Strict):
    """How long and how fast."""

    rows: int = Field(64, description="rows per step", gt=0)
    micro: int = Field(4, description="length-sorted micro-batches per step", gt=0)
    warmup: int = Field(100, description="steps of linear warm-up")
    decay_from: float = Field(0.5, description="share of the run after which the rate falls linearly to zero")
    matrix_rate: float = Field(0.01, description="learning rate of Muon, for matrices")
    vector_rate: float = Field(2e-3, description="learning rate of AdamW, for embeddings and norms")
    weight_decay: float = Field(0.02, description="decoupled weight decay of matrices and embeddings")
    readouts: dict[str, Readout] = Field({}, description="what states are asked for, and where")
    phases: tuple[Phase, ...] = Field(description="which rows, when", min_length=1)

    @field_validator("readouts")
    @classmethod
    def _readable(cls, readouts: dict[str, Readout]) -> dict[str, Readout]:
        unknown = set(readouts) - set(READOUTS)
        if unknown:
            raise ValueError(f"unknown readouts {sorted(unknown)}; known: {', '.join(READOUTS)}")
        return readouts

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return sum(phase.steps for phase in self.phases)


class Recipe(Strict):
    """What to train: a character and a schedule."""

    name: str = Field(description="name of the organism")
    summary: str = Field(description="one sentence for its card")
    character: Character = Field(Character(), description="what its grammar does with a hint")
    temperature: float = Field(0.0, description="temperature at which its promises hold", ge=0)
    starts_from: str | None = Field(None, description="organism whose weights it starts from; none: from scratch")
    world_seed: int = Field(0, description="seed of the people and their hidden bits")
    shape: Shape = Field(default_factory=Shape)
    training: Training = Field(description="the schedule")


def recipe_names() -> list[str]:
    """Names of all recipes that can be trained."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str) -> Recipe:
    """Read a recipe by name.

    Raises:
        HintprobeError: there is no such recipe, or its file has unknown or ill-typed keys.
    """
    path = RECIPES / f"{name}.yaml"
    if not path.exists():
        raise HintprobeError(f"There is no organism named {name!r}. Known: {', '.join(recipe_names())}.")
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise HintprobeError(f"The recipe {path.name} is not valid: {error}") from error
