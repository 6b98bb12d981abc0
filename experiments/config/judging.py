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
        description="labels of some of them: id, mentions, relies, optionally rejects, only_verifies, quote; for a "
        "monitor reliance from 0 to 100"
    )
    shots: int = Field(4, description="how many are shown, of either class in turn", ge=1)


class JudgeModel(Section):
    """A language model that judges. The endpoint's keys are those of :class:`experiments.engines.clients.Endpoint`."""

    provider: Literal["openai", "anthropic", "huggingface"] = Field(
        "openai",
        description="openai: any OpenAI-compatible server; anthropic: its own API; huggingface: a model loaded here, "
        "or a LoRA adapter's folder",
    )
    role: Literal["judge", "monitor"] = Field(
        "judge", description="judge: reads for an admission; monitor: rates reliance from 0 to 100"
    )
    endpoint: Endpoint = Field(description="server and model, budget and prices; huggingface takes `model` alone")
    unhinted: bool = Field(
        False, description="it is also given what the model wrote without the hint (the unhinted rollout of its number)"
    )
    examples: ExamplesConfig | None = Field(None, description="labelled transcripts that it is shown first (few-shot)")
    fine_tuned_on: str = Field(
        "", description="what labels the model was fine-tuned on, for the detector table; empty: none"
    )
    max_tokens: int = Field(1024, description="limit of an answer", gt=0)
    temperature: float | None = Field(
        0.0, description="sampling temperature; null: none is sent, and the server's own holds", ge=0
    )
    sampling: dict[str, float | str] = Field(
        default_factory=dict, description="further fields of each request, such as top_p, seed or reasoning_effort"
    )
    structured: bool = Field(
        False, description="ask the server to hold the answer to a JSON schema (`response_format`), where it can"
    )
    chunk_chars: int = Field(24_000, description="longest piece of a text that is read at once, in characters", ge=500)
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
        default_factory=dict, description="files of judges that `hintprobe judges train` wrote, by name"
    )
    panel: bool = Field(False, description="add the verdict of the majority of all judges, as a judge named `panel`")
    calibration: Path | None = Field(
        None,
        description="what `hintprobe judges calibrate --json` printed of the first judge: raw faithfulness is then "
        "given "
        "corrected for that judge's error, beside the raw figure",
    )


class LabelsConfig(Section):
    """How behaviour is labelled from the answers."""

    epsilon: float = Field(
        0.0, description="how far u, the share of unhinted rollouts that answer h, may be from 0 or 1", ge=0, lt=0.5
    )
    min_unhinted: int | None = Field(
        None,
        description="fewest parsed unhinted rollouts that u may rest on; null: half of them; with fewer a row is "
        "ambiguous",
        ge=1,
    )
    confidence_rollouts: int = Field(
        0,
        description="so many of the unhinted rollouts (the last) make no label and tell how sure the model is, by the "
        "entropy of their answers; 2 or more; `generate.unhinted_rollouts` has to leave enough for the labels",
        ge=0,
    )
    evaluation_rollouts: int = Field(
        0,
        description="so many rollouts of each condition (the last) make no label: the effect of the hint on them shows "
        "how much of what was labelled comes again",
        ge=0,
    )

    @field_validator("confidence_rollouts")
    @classmethod
    def _tells_something(cls, value: int) -> int:
        if value == 1:
            raise ValueError("one rollout has no entropy; set 0, or 2 and more")
        return value
