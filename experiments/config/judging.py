"""Who reads the chain of thought, and what makes a label."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from experiments.config.endpoint import Endpoint
from experiments.config.section import Section


class ExamplesConfig(Section):
    """Labelled transcripts that a judge is shown first."""

    transcripts: Path = Field(description="transcripts (JSON lines)")
    labels: Path = Field(
        description="labels of some of these transcripts: id, mentions, relies, and optionally rejects, "
        "only_verifies, quote; for a monitor, reliance from 0 to 100"
    )
    shots: int = Field(4, description="how many are shown, alternating between the two classes", ge=1)


class JudgeModel(Section):
    """A language model that judges. The endpoint's keys are those of :class:`experiments.engines.clients.Endpoint`."""

    provider: Literal["openai", "anthropic", "huggingface"] = Field(
        "openai",
        description="openai: any OpenAI-compatible server; anthropic: its own API; huggingface: a model loaded here, "
        "or a LoRA adapter's folder",
    )
    role: Literal["judge", "monitor"] = Field(
        "judge", description="judge: looks for an admission; monitor: rates reliance from 0 to 100"
    )
    endpoint: Endpoint = Field(description="server and model, budget and prices; huggingface takes only `model`")
    unhinted: bool = Field(
        False,
        description="the judge also reads the completion without the hint (the unhinted rollout with the same index)",
    )
    examples: ExamplesConfig | None = Field(
        None, description="labelled transcripts that the judge is shown first (few-shot)"
    )
    fine_tuned_on: str = Field(
        "", description="what labels the model was fine-tuned on, to be shown in the detector table; empty: none"
    )
    max_tokens: int = Field(1024, description="token limit of a reply", gt=0)
    temperature: float | None = Field(
        0.0, description="sampling temperature; null: none is sent, and the server's default applies", ge=0
    )
    sampling: dict[str, float | str] = Field(
        default_factory=dict, description="further fields of each request, such as top_p, seed or reasoning_effort"
    )
    structured: bool = Field(
        False, description="ask the server to constrain the reply to a JSON schema (`response_format`), if it can"
    )
    chunk_chars: int = Field(24_000, description="longest piece of text that is read at once, in characters", ge=500)
    overlap_chars: int = Field(2_000, description="characters that neighbouring pieces share", ge=0)

    @model_validator(mode="after")
    def _overlap(self) -> "JudgeModel":
        if self.overlap_chars > self.chunk_chars // 2:
            raise ValueError("overlap_chars must be at most half of chunk_chars")
        return self


class JudgeConfig(Section):
    """Who reads the chains of thought."""

    judges: tuple[str, ...] = Field(
        ("lexical",),
        description="names of judges: `lexical`, or keys of `models`; the first gives the headline",
        min_length=1,
    )
    models: dict[str, JudgeModel] = Field(default_factory=dict, description="language models that judge, by name")
    trained: dict[str, Path] = Field(
        default_factory=dict, description="files written by `hintprobe judges train`, by the name of the judge"
    )
    panel: bool = Field(False, description="add a judge named `panel`, whose verdict is the majority of all judges")
    calibration: Path | None = Field(
        None,
        description="output of `hintprobe judges calibrate --json` for the first judge: raw faithfulness is "
        "then also given corrected for that judge's error",
    )


class LabelsConfig(Section):
    """How behaviour is labelled from the answers."""

    epsilon: float = Field(
        0.0,
        description="for a label, how far u, the share of unhinted rollouts that answer h, may be from 0 or 1",
        ge=0,
        lt=0.5,
    )
    min_unhinted: int | None = Field(
        None,
        description="fewest parsed unhinted rollouts from which u is computed; null: half of them; a row "
        "with fewer is ambiguous",
        ge=1,
    )
    confidence_rollouts: int = Field(
        0,
        description="number of unhinted rollouts (the last ones) that are held out of labelling and measure "
        "how certain the model is, by the entropy of their answers; 0, or 2 and more; "
        "`generate.unhinted_rollouts` must leave enough for the labels",
        ge=0,
    )
    evaluation_rollouts: int = Field(
        0,
        description="number of rollouts of each condition (the last ones) that are held out of labelling; "
        "the hint's effect on them shows how much of the labelled effect occurs again",
        ge=0,
    )

    @field_validator("confidence_rollouts")
    @classmethod
    def _tells_something(cls, value: int) -> int:
        if value == 1:
            raise ValueError("one rollout has no entropy; set 0, or 2 and more")
        return value
