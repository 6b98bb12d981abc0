"""What is changed in the model: patching, mediation, directions."""

from typing import Literal

from pydantic import Field

from activations.names import Component
from experiments.config.section import Section
from experiments.records import Reach


class PatchConfig(Section):
    """Which pairs are patched, where, and what they are compared with."""

    pairs: int = Field(64, description="at most this many pairs per comparison", gt=0)
    comparisons: tuple[Literal["swapped", "neutral", "unhinted"], ...] = Field(
        ("swapped",),
        description="whose states are put into the hinted run: those of the swapped run (strongly reliant "
        "rows, aligned token by token), or of the neutral or unhinted run (reliant rows, aligned by spans)",
        min_length=1,
    )
    directions: tuple[Literal["noising", "denoising"], ...] = Field(
        ("noising",),
        description="noising: put the other run's states into the hinted run; denoising: put the hinted "
        "run's states into the other",
        min_length=1,
    )
    readout: Literal["first_divergence", "pre_answer"] = Field(
        "first_divergence",
        description="where logits are read. first_divergence: at the token before the two completions "
        "differ; pre_answer: at the token before the answer's letter, after the hinted run's whole chain of "
        "thought",
    )
    components: tuple[Component, ...] = Field(
        ("resid_pre",), description="components to patch, in every layer", min_length=1
    )
    heads: bool = Field(False, description="patch head_z head by head")
    positions: tuple[str, ...] = Field(
        ("pointer", "hint_end", "question_end", "prompt_end", "readout-2", "readout-1", "readout"),
        description="named positions to patch; `readout` is the token at which logits are read",
    )
    controls: tuple[Literal["random_positions", "other_states", "random_directions"], ...] = Field(
        ("random_positions", "other_states", "random_directions"), description="placebos run beside every cell"
    )
    least_gap: float = Field(
        0.5,
        description="pairs whose two runs differ by less than this in logit difference (nats) are left out and counted",
        ge=0,
    )
    regenerate: int = Field(
        0,
        description="for this many cells, those with the highest recovery, also regenerate on policy: the "
        "model reads the hinted prompt under the patch and writes the text after it anew",
        ge=0,
    )
    token_budget: int = Field(8192, description="padded tokens of the runs kept in memory at a time", gt=0)


class MediateConfig(Section):
    """How the hint's effect is split into what travels through the chain of thought and what does not."""

    items: int = Field(48, description="at most this many items of each behaviour (reliant, aligned, resisted)", gt=0)
    draws: int = Field(4, description="fresh CoTs per item and condition", gt=0)
    cut: tuple[Literal["hint", "pointer"], ...] = Field(
        ("hint", "pointer"),
        description="spans to which attention is cut off: the whole hint, or the letter or mark in it",
    )
    temperature: float | None = Field(
        None,
        description="sampling temperature of the fresh CoTs; null: that of `generate`, or 0.7 where that is 0",
        gt=0,
    )
    token_budget: int = Field(32_768, description="padded tokens per batch", gt=0)


class DirectionsConfig(Section):
    """How the probes' directions are put to the test."""

    detectors: tuple[str, ...] = Field(
        ("probe_before_cot", "probe_within_cot"), description="detectors whose directions are edited; empty: no test"
    )
    items: int = Field(48, description="at most this many items of each behaviour (reliant, aligned, resisted)", gt=0)
    scales: tuple[float, ...] = Field(
        (-4.0, -2.0, 2.0, 4.0),
        description="size of an added direction, in units of the distance between reliant and aligned rows along it",
    )
    controls: int = Field(
        3, description="number of random directions, orthogonal to the probe's direction and of the same length", gt=0
    )
    reach: Reach = Field(
        "onward",
        description="which tokens are edited: all from the position on, new tokens included (`onward`), or "
        "only that token, with the text up to it kept (`token`)",
    )
