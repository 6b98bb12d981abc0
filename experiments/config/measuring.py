"""What is captured, trained and compared."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from activations.names import BACKENDS
from experiments.config.endpoint import Endpoint
from experiments.config.section import Section
from probes.registry import ESTIMATORS


class CaptureConfig(Section):
    """Which activations are kept (residual stream)."""

    positions: tuple[str, ...] = Field(
        ("hint_end", "question_end", "prompt_end", "cot_0.25", "cot_0.5", "cot_0.75", "think_end", "pre_answer"),
        description="named positions",
        min_length=1,
    )
    layers: tuple[int, ...] | None = Field(
        None,
        description="blocks whose output is kept, counted from 0, or from the last one with -1; null: all "
        "blocks. Input and output of the first block are always kept, because a control reads them",
        min_length=1,
    )
    token_budget: int = Field(32_768, description="padded tokens per batch", gt=0)
    backend: str = Field("native", description=f"what reads the activations: {', '.join(BACKENDS)}")
    remote: bool = Field(
        False, description="with nnsight: run on its service (NDIF), which runs hub models and needs NDIF_API_KEY"
    )
    server: Endpoint = Field(
        default_factory=Endpoint,
        description="with vllm: the server that extracts hidden states; `model` may be left empty if the "
        "server serves the model of the run",
    )

    @field_validator("backend")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in BACKENDS:
            raise ValueError(f"no backend {value!r}; known: {', '.join(BACKENDS)}")
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> "CaptureConfig":
        if self.backend == "vllm" and not self.server.base_url:
            raise ValueError("the backend vllm needs `server: {base_url: http://…/v1}`")
        if self.remote and self.backend != "nnsight":
            raise ValueError("remote is for the backend nnsight")
        return self


class ProbeConfig(Section):
    """How probes are trained and what they are compared with."""

    outer_folds: int = Field(5, description="outer cross-validation folds, which give the reported figure", ge=2)
    inner_folds: int = Field(4, description="inner cross-validation folds, which choose layer, position and C", ge=2)
    c_grid: tuple[PositiveFloat, ...] = Field(
        (1e-3, 1e-2, 1e-1, 1.0), description="values of C, the inverse strength of the L2 penalty", min_length=1
    )
    estimators: tuple[str, ...] = Field(
        ("logistic",),
        description="probes to fit: logistic, mean_difference, discriminant, ridge, mlp on one position; "
        "attention, max_pooling, mean_pooling, last_token, trajectory on the tokens of the chain of thought. "
        "Probes of the first estimator carry the plain names",
        min_length=1,
    )
    repeats: int = Field(
        3,
        description="how often the outer folds are drawn; the figure is the mean over the drawings, and "
        "their spread enters the intervals",
        ge=1,
    )
    permutations: int = Field(
        199,
        description="repeats of the whole search, in closed form, with the labels of whole questions "
        "permuted within kind × direction; with fewer than 99, no p-value can be small enough for `found`",
        ge=0,
    )
    cot_tokens: int = Field(
        64, description="tokens of each chain of thought, evenly spaced, that estimators of sequences read", ge=1
    )
    control_tasks: int = Field(
        3, description="random labellings of wording × target letter on which the same search is run", ge=0
    )
    transfer: bool = Field(
        True,
        description="repeat the search with each kind of hint, each direction and each source of questions "
        "left out, and read probes of one position at the other positions",
    )
    early_answering: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (0.0, 0.25, 0.5, 0.75),
        description="fractions of the chain of thought after which the answer is forced (0: at the end of "
        "the prompt); all fractions of a row share one forward, and each adds a few tokens",
    )
    targets: tuple[Literal["reliant", "will_follow", "verbalized", "hint_present", "reliance_probability"], ...] = (
        Field(
            ("reliant", "will_follow", "verbalized", "hint_present", "reliance_probability"),
            description="what probes are trained to predict; reliant (against aligned) is the main target and is "
            "always trained; reliance_probability is a continuous quantity, predicted for every item",
        )
    )
    along_cot: int = Field(
        12,
        description="number of rollouts in which the held-out probe scores every CoT token; half of the "
        "rollouts are reliant, half aligned",
        ge=0,
    )
    min_per_class: int = Field(
        10, description="fewest reliant and fewest aligned rows with which a probe is trained", ge=2
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        repr=False,  # a stage is named by what its settings print as, and where it computes changes no result
        description="where probes are trained and labels permuted; auto: CUDA where there is one",
    )

    @field_validator("estimators")
    @classmethod
    def _known_estimators(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in ESTIMATORS:
                raise ValueError(f"there is no estimator {name!r}; known: {', '.join(ESTIMATORS)}")
        return names


class CompareConfig(Section):
    """How detectors are compared."""

    bootstrap: int = Field(1000, description="cluster-bootstrap resamples", ge=100, le=1_000_000)
    min_groups: int = Field(
        5,
        description="fewest groups of each class for which a figure of one kind of hint is given; with fewer "
        "it is refused",
        ge=1,
    )
