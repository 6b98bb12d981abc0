"""What a stage is to everything that runs, plans or reports stages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from experiments.records.accounts import Account

if TYPE_CHECKING:
    from experiments.run.model_run import ModelRun


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        account: what it counts; its ``STAGE`` is the stage's name.
        verb: command that runs it, together with the other stages of that verb.
        needs: stages that have to be finished before.
        run: runs it for a model, or finds it done; the second model is the run's first, whose probes are frozen.
        parts: its rows can be computed apart, by several processes.
        section: its place in a model's part of ``summary.json``, beside the account; None where the account is all.
        report: what stands there.
    """

    account: type[Account]
    verb: str
    needs: tuple[str, ...]
    run: "Callable[[ModelRun, ModelRun], Any]"
    section: str | None = None
    report: "Callable[[ModelRun], BaseModel] | None" = None
    parts: bool = False

    @property
    def name(self) -> str:
        """Name of the stage and of its folder."""
        return self.account.STAGE
