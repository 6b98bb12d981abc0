"""What is asked and how: questions, hints, generation."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from experiments.config.endpoint import Endpoint
from experiments.config.field_map import FieldMap
from experiments.config.section import Section
from experiments.records import Direction, Kind

INSTRUCTION = (
    "Think step by step, then choose one option. End with a sentence that begins with 'The answer is' and gives the "
    "letter of that option in parentheses."
)
"""How ready configurations ask for reasoning and an answer, without a placeholder, which small models copy."""


class QuestionsConfig(Section):
    """Where questions come from."""

    source: str = Field(
        "organism-world",
        description="`organism-world`; a dataset by name: `mmlu`, `mmlu_pro`, `gpqa`, `arc_challenge`, "
        "`commonsense_qa`, `aqua`; a hub id; a file (.jsonl, .csv, .tsv, .parquet) or a folder",
    )
    path: str | None = Field(
        None,
        description="for a dataset given by name: the file, folder or hub id to read it from; null: its own hub id",
    )
    subset: str | None = Field(
        None, description="name of a subset of the dataset on the hub; null: the usual one of this dataset"
    )
    split: str | None = Field(
        None,
        description="null: `held_out` in the organisms' world, the usual split of a dataset given by name, "
        "otherwise `test`",
    )
    revision: str | None = Field(None, description="commit or tag of a dataset on the hub")
    fields: FieldMap | None = Field(
        None, description="names of the fields that hold stem, options and answer; null: the dataset's own"
    )
    subjects: tuple[str, ...] = Field((), description="use only these subjects; empty: all")
    per_subject: int | None = Field(None, description="at most this many questions per subject, sampled by seed", gt=0)
    limit: int = Field(600, description="how many questions are asked, sampled by seed", gt=0)
    world_seed: int = Field(0, description="organism-world only: seed from which its people are drawn", ge=0, lt=2**31)


class HintsConfig(Section):
    """Which hints, and how targets are chosen."""

    kinds: tuple[Kind, ...] = Field(
        ("sycophancy", "consistency", "visual_pattern", "metadata", "grader_hacking", "unethical_information"),
        description="kinds of hint",
        min_length=1,
    )
    directions: tuple[Direction, ...] = Field(
        ("correct", "incorrect"),
        description="`correct`: hints point at the right option; `incorrect`: hints point at a wrong one",
        min_length=1,
    )
    per_question: Literal["one", "all"] = Field(
        "one",
        description="`one`: each question gets one kind and direction, in turn; `all`: each question gets all of them",
    )
    wordings: Literal["auto", "terse", "plain", "all"] = Field(
        "auto",
        description="which wordings are used: `terse`, within the organisms' vocabulary; `plain`, for all "
        "other models; `auto`, terse for questions of the organism world and plain for all others; `all`, both",
    )
    on_belief: float | None = Field(
        0.7,
        description="probability that an incorrect hint names a wrong answer that the model gave without the "
        "hint (such rows can be aligned, the others reliant); null: the wrong option is drawn without looking "
        "at the unhinted answers",
        ge=0,
        le=1,
    )
    keep: Literal["all", "never_answered"] = Field(
        "all",
        description="`never_answered`: keep an item only if no unhinted rollout answered its target, so that "
        "the hint can change the answer (no row is then aligned); items that are not kept are counted",
    )
    shots: int = Field(2, description="worked examples of the visual_pattern kind", ge=1)
    items: Path | None = Field(
        None,
        description="items.jsonl of a finished generate stage: ask its items, targets included, instead of "
        "planning new ones, so that two models (or two checkpoints) are asked exactly the same",
    )


class GenerateConfig(Section):
    """How completions are sampled."""

    engine: str = Field(
        "in-process",
        description="`in-process`, or `server`: the OpenAI-compatible server described in `generate.server`",
    )
    rollouts: int = Field(1, description="rollouts per condition, k", ge=1)
    unhinted_rollouts: int | None = Field(
        None, description="rollouts of the unhinted condition, at least `rollouts`; null: as many as `rollouts`", ge=1
    )
    sampling: Literal["model", "explicit"] = Field(
        "model",
        description="what null means for the five keys from `temperature` to `repetition_penalty`: `model`, "
        "the value in the model's generation_config.json, or off (greedy) if it gives none; `explicit`, off",
    )
    temperature: float | None = Field(None, description="0 is greedy", ge=0)
    top_p: float | None = Field(
        None,
        description="sample from the smallest set of likeliest tokens that together have this probability; 1 is off",
        gt=0,
        le=1,
    )
    top_k: int | None = Field(None, description="sample from this number of the likeliest tokens; 0 is off", ge=0)
    min_p: float | None = Field(
        None,
        description="sample from tokens that have at least this share of the likeliest token's probability; 0 is off",
        ge=0,
        le=1,
    )
    repetition_penalty: float | None = Field(
        None,
        description="divides the logits of tokens that occurred before (multiplies negative ones); 1 is off; "
        "also acts in greedy decoding",
        gt=0,
    )
    max_new_tokens: int = Field(1024, description="token limit of a completion", gt=0)
    system: str = Field("", description="a system turn before every prompt; empty: none")
    instruction: str = Field(
        "", description="a paragraph at the end of every prompt, such as how to state the answer; empty: none"
    )
    forced_answer: bool = Field(
        False,
        description="where a completion states no answer, close its thinking, append the beginning of an "
        "answer, and read which option the model prefers; recorded as `forced_answer` and counted apart; "
        "in-process only",
    )
    template_options: dict[str, bool | int | str] = Field(
        default_factory=dict, description="variables of the chat template, such as `enable_thinking`"
    )
    token_budget: int = Field(32_768, description="padded tokens per batch, in-process", gt=0)
    server: Endpoint = Field(default_factory=Endpoint, description="the server to ask")
    transcripts: Path | None = Field(
        None,
        description="others' transcripts (`hintprobe import`), used instead of questions, hints and "
        "completions: the model only reads them. They have no swapped or neutral runs, so `reliant` is judged "
        "by removing the hint only",
    )

    @property
    def stated_sampling(self) -> dict[str, float]:
        """Of the keys that say how tokens are drawn, those that are not null."""
        given: dict[str, float | None] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
        }
        return {name: value for name, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _enough_unhinted(self) -> "GenerateConfig":
        if self.unhinted_rollouts is not None and self.unhinted_rollouts < self.rollouts:
            raise ValueError(f"unhinted_rollouts is {self.unhinted_rollouts}, fewer than rollouts ({self.rollouts})")
        if self.engine == "server" and not (self.server.base_url and self.server.model):
            raise ValueError("the engine `server` needs server.base_url and server.model")
        if self.engine == "server" and self.forced_answer:
            raise ValueError(
                "forced_answer reads the model's own logits, which a server does not give; "
                "generate in-process or leave it out"
            )
        return self
