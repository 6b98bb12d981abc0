"""What ``summary.json`` holds: per model, every stage's account and what the report shows of it."""

from typing import Any, Literal, TypeVar

from pydantic import Field, SerializeAsAny, model_validator

from experiments.records.accounts import ACCOUNTS, Account, DirectionsAccount, MediateAccount
from experiments.records.causal import (
    CutRedrawn,
    DirectionEffect,
    KnockoutEffect,
    MediationEffect,
    PatchCell,
    PatchRedrawn,
    SubspaceEffect,
)
from experiments.records.comparison import Comparison
from experiments.records.parts import Part

A = TypeVar("A", bound=Account)
SUMMARY = "summary.json"
SUMMARY_FORMAT = "hintprobe-summary"
SUMMARY_VERSION = 1
_ACCOUNT_OF = {account.STAGE: account for account in ACCOUNTS}


class PatchSummary(Part):
    """The first comparison of the patch stage; every cell is in the stage's own table."""

    pairs: int = Field(description="pairs of runs")
    dropped: dict[str, int] = Field(description="rows that gave no pair, by reason")
    best: PatchCell | None = Field(
        description="the cell with the highest recovery, without the readout and the two tokens before it"
    )
    best_by_divergence: dict[str, PatchCell] = Field(
        default_factory=dict,
        description="the same cell over the pairs that first differ at the answer's letter, and over the other pairs",
    )
    at_letter: int | None = Field(None, description="pairs of this comparison that first differ at the answer's letter")
    redrawn: tuple[PatchRedrawn, ...] = Field((), description="answers regenerated under a patch (`patch.regenerate`)")
    placebo: PatchCell | None = Field(description="the placebo with the highest recovery")
    cells: tuple[PatchCell, ...] = Field(
        description="the cells, and for each site the largest of each placebo, with the placebo's name in "
        "place of the position"
    )


class MediationSummary(MediateAccount):
    """What the mediate stage found."""

    effects: tuple[MediationEffect, ...] = Field(description="the decomposition of the hint's effect")
    knockouts: tuple[KnockoutEffect, ...] = Field(description="effects of attention knockout with the text fixed")
    cut: tuple[CutRedrawn, ...] = Field(description="answers under attention knockout with the text regenerated")


class DirectionsSummary(DirectionsAccount):
    """What the directions stage found."""

    effects: tuple[DirectionEffect, ...] = Field(description="answers under each edit")
    subspaces: tuple[SubspaceEffect, ...] = Field(
        description="patching along the direction, compared with patching the whole state"
    )


class StageSummary(Part):
    """One finished stage."""

    seconds: float = Field(description="wall-clock time of the run that finished the stage")
    forwards: int = Field(description="model forwards of that run")
    fresh: bool = Field(description="the stage was run by the run that wrote this summary, not found finished")
    folder: str = Field(description="name of the stage's folder in the model's folder")
    account: SerializeAsAny[Account] = Field(description="the account of the stage")


class Provenance(Part):
    """What a reader needs to run the same thing again."""

    commit: str | None = Field(description="commit of hintprobe; null if it does not run from a checkout")
    dirty: bool | None = Field(description="the checkout had uncommitted changes")
    python: str = Field(description="version of Python")
    versions: dict[str, str] = Field(description="versions of the libraries that affect numbers")
    config: dict[str, Any] = Field(description="the configuration with every key")


class ModelSummary(Part):
    """One model of a run."""

    model: str = Field(description="the model's name in the configuration")
    folder: str = Field(description="the model's folder within the run")
    fingerprint: str = Field(description="identity of the model")
    missing_stages: tuple[str, ...] = Field(description="stages that are not finished")
    stages: dict[str, StageSummary] = Field(description="the finished stages by name, in the order they ran")
    comparison: Comparison | None = Field(None, description="the content of `comparison.json`; null before it is made")
    patch: PatchSummary | None = Field(None, description="results of the patch stage")
    directions: DirectionsSummary | None = Field(None, description="results of the directions stage")
    mediation: MediationSummary | None = Field(None, description="results of the mediate stage")

    @model_validator(mode="before")
    @classmethod
    def _type_accounts(cls, data: Any) -> Any:
        """An account is read as its stage's own."""
        if not isinstance(data, dict) or not isinstance(data.get("stages"), dict):
            return data
        stages = {}
        for name, stage in data["stages"].items():
            typed = isinstance(stage, dict) and isinstance(stage.get("account"), dict) and name in _ACCOUNT_OF
            stages[name] = {**stage, "account": _ACCOUNT_OF[name].model_validate(stage["account"])} if typed else stage
        return {**data, "stages": stages}

    def account(self, account: type[A]) -> A | None:
        """What a stage counted; None where it is not finished."""
        found = self.stages.get(account.STAGE)
        return found.account if found is not None and isinstance(found.account, account) else None


class Summary(Part):
    """A run, finished or not."""

    format: Literal["hintprobe-summary"] = Field("hintprobe-summary", description="what this file is")
    version: int = Field(SUMMARY_VERSION, description="version of the format")
    name: str = Field(description="name of the run")
    models: tuple[ModelSummary, ...] = Field(description="the models whose run has begun")
    provenance: Provenance = Field(description="what a reader needs to run the same thing again")
