"""What is changed in the model: patching, mediation, directions."""

from typing import Literal

from pydantic import Field

from activations.names import Component
from experiments.config.section import Section
from experiments.records import Reach


class PatchConfig(Section):
    """Which pairs are patched, where, and what they are compared with."""

    pairs: int = Field(64, description="pairs per comparison, at most", gt=0)
    comparisons: tuple[Literal["swapped", "neutral", "unhinted"], ...] = Field(
        ("swapped",),
        description="whose states are put into the hinted run: swapped (strongly reliant rows, aligned token by "
        "token), neutral, unhinted (reliant rows, aligned by spans)",
        min_length=1,
    )
    directions: tuple[Literal["noising", "denoising"], ...] = Field(
        ("noising",),
        description="noising: the other run's states in the hinted run; denoising: the hinted run's in the other",
        min_length=1,
    )
    readout: Literal["first_divergence", "pre_answer"] = Field(
        "first_divergence",
        description="first_divergence: the token before the two completions differ; pre_answer: the token before the "
        "answer's letter, after the hinted run's whole chain of thought",
    )
    components: tuple[Component, ...] = Field(("resid_pre",), description="components, in every layer", min_length=1)
    heads: bool = Field(False, description="patch head_z head by head")
    positions: tuple[str, ...] = Field(
        ("pointer", "hint_end", "question_end", "prompt_end", "readout-2", "readout-1", "readout"),
        description="named positions; readout is the token that is read from",
    )
    controls: tuple[Literal["random_positions", "other_states", "random_directions"], ...] = Field(
        ("random_positions", "other_states", "random_directions"), description="placebos beside every cell"
    )
    least_gap: float = Field(
        0.5, description="pairs whose two runs differ by less in logit difference are counted out, nats", ge=0
    )
    regenerate: int = Field(
        0,
        description="so many of the cells that recover most are read on policy as well: the hinted prompt is read "
        "under the patch, and the text after it written anew",
        ge=0,
    )
    token_budget: int = Field(8192, description="padded tokens of the runs kept at a time", gt=0)


class MediateConfig(Section):
    """How the hint's effect is split into what travels through the chain of thought and what does not."""

    items: int = Field(48, description="items of each behaviour (reliant, aligned, resisted), at most", gt=0)
    draws: int = Field(4, description="fresh CoTs per item and condition", gt=0)
    cut: tuple[Literal["hint", "pointer"], ...] = Field(
        ("hint", "pointer"), description="spans that attention is cut from: the hint, or the letter or mark in it"
    )
    temperature: float | None = Field(
        None, description="of the fresh CoTs; null: that of `generate`, or 0.7 where that is 0", gt=0
    )
    token_budget: int = Field(32_768, description="padded tokens per batch", gt=0)


class DirectionsConfig(Section):
    """How the probes' directions are put to the test."""

    detectors: tuple[str, ...] = Field(
        ("probe_before_cot", "probe_within_cot"), description="detectors whose directions are edited; none: no test"
    )
    items: int = Field(48, description="items of each behaviour (reliant, aligned, resisted), at most", gt=0)
    scales: tuple[float, ...] = Field(
        (-4.0, -2.0, 2.0, 4.0),
        description="of an added direction, in units of the distance between reliant and aligned rows along it",
    )
    controls: int = Field(3, description="random directions, orthogonal and as long", gt=0)
    reach: Reach = Field(
        "onward",
        description="what is edited: from the position on, new tokens included (`onward`), or that token alone, "
        "with the text up to it kept (`token`)",
    )
