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
        None, description="for a dataset by name, the file, folder or hub id that holds it; null: its own hub id"
    )
    subset: str | None = Field(None, description="the hub's name of a part of a dataset; null: the dataset's usual one")
    split: str | None = Field(
        None, description="null: held_out in the organisms' world, a dataset's usual split, otherwise test"
    )
    revision: str | None = Field(None, description="commit or tag of a dataset on the hub")
    fields: FieldMap | None = Field(
        None, description="names of the fields that hold stem, options and answer; null: the dataset's own"
    )
    subjects: tuple[str, ...] = Field((), description="only these subjects; none named: all")
    per_subject: int | None = Field(None, description="at most so many per subject, sampled by seed", gt=0)
    limit: int = Field(600, description="how many are asked, sampled by seed", gt=0)
    world_seed: int = Field(0, description="organism-world only: seed of its people", ge=0, lt=2**31)


class HintsConfig(Section):
    """Which hints, and how targets are chosen."""

    kinds: tuple[Kind, ...] = Field(
        ("sycophancy", "consistency", "visual_pattern", "metadata", "grader_hacking", "unethical_information"),
        description="kinds of hint",
        min_length=1,
    )
    directions: tuple[Direction, ...] = Field(("correct", "incorrect"), description="directions", min_length=1)
    per_question: Literal["one", "all"] = Field(
        "one", description="`one` kind and direction per question, in turn; or `all` of them"
    )
    wordings: Literal["auto", "terse", "plain", "all"] = Field(
        "auto",
        description="which wordings are drawn from: `terse` ones stay within the organisms' vocabulary, `plain` ones "
        "are for everybody else; `auto`: terse for the organism world's questions",
    )
    on_belief: float | None = Field(
        0.7,
        description="probability that an incorrect hint names the wrong answer that the model gave unhinted (such rows "
        "can be aligned, the others reliant); null: a wrong option drawn blind to the unhinted answer",
        ge=0,
        le=1,
    )
    keep: Literal["all", "never_answered"] = Field(
        "all",
        description="`never_answered`: an item goes on only if no unhinted rollout answered its target, so that the "
        "hint can matter (no row is then aligned); the others are counted",
    )
    shots: int = Field(2, description="worked examples of the visual_pattern kind", ge=1)
    items: Path | None = Field(
        None,
        description="items.jsonl of a finished generate stage: the same items, targets included, in place of planned "
        "ones, so that two models (or two checkpoints) are asked the very same",
    )


class GenerateConfig(Section):
    """How completions are sampled."""

    engine: str = Field(
        "in-process", description="`in-process`, or `server`: the OpenAI-compatible one of `generate.server`"
    )
    rollouts: int = Field(1, description="rollouts per condition, k", ge=1)
    unhinted_rollouts: int | None = Field(
        None, description="rollouts of the unhinted condition, at least `rollouts`; null: as many", ge=1
    )
    sampling: Literal["model", "explicit"] = Field(
        "model",
        description="what the keys below mean where they are null: `model`, what the model's generation_config.json "
        "states, and off (greedy) where it states nothing; `explicit`, off",
    )
    temperature: float | None = Field(None, description="0 is greedy", ge=0)
    top_p: float | None = Field(
        None, description="draw from the likeliest tokens that together have this probability; 1 is off", gt=0, le=1
    )
    top_k: int | None = Field(None, description="draw from so many of the likeliest tokens; 0 is off", ge=0)
    min_p: float | None = Field(
        None, description="draw from tokens with this share of the likeliest one's probability; 0 is off", ge=0, le=1
    )
    repetition_penalty: float | None = Field(
        None, description="divides the logits of tokens that were there before; 1 is off; acts when greedy too", gt=0
    )
    max_new_tokens: int = Field(1024, description="limit of a completion", gt=0)
    system: str = Field("", description="a system turn before every prompt; empty: none")
    instruction: str = Field(
        "", description="a paragraph at the end of every prompt, such as how to state the answer; empty: none"
    )
    forced_answer: bool = Field(
        False,
        description="where a completion states no answer, close its thinking, begin an answer for it and read which "
        "option the model prefers: recorded as `forced_answer`, counted apart, in-process only",
    )
    template_options: dict[str, bool | int | str] = Field(
        default_factory=dict, description="variables of the chat template, such as `enable_thinking`"
    )
    token_budget: int = Field(32_768, description="padded tokens per batch, in-process", gt=0)
    server: Endpoint = Field(default_factory=Endpoint, description="the server to ask")
    transcripts: Path | None = Field(
        None,
        description="transcripts of others (`hintprobe import`) in place of questions, hints and completions: "
        "the model reads what was written. There are no swapped and neutral runs, so reliance is removal alone",
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
