"""Looking a finished stage up: its marker, its files, and what it was made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.records.accounts import Account
from experiments.records.files import MARKER, faults_of, read_marker

StillThere = Callable[[Path, Any], bool]
"""Given a finished stage's folder and account: is what it keeps elsewhere still there?"""


@dataclass(frozen=True)
class Found:
    """What there is of a stage.

    Attributes:
        marker: what the marker of a finished stage says; empty where the stage is to run.
        account: what the finished stage counted.
        faults: files of a finished stage that are not as it wrote them, and in which way.
        outdated: the stage was made from other records of the stages before than there are now.
    """

    marker: dict[str, Any]
    account: Account | None = None
    faults: dict[str, str] = field(default_factory=dict)
    outdated: bool = False


def found_in(
    folder: Path, account: type[Account], still_there: StillThere, inputs: Mapping[str, str] | None = None
) -> Found:
    """Look a stage up: its marker, and whether its files are what the marker says.

    Args:
        account: what the stage counts.
        inputs: contents of the stages before, by name.

    Raises:
        HintprobeError: a file is there and cannot be read.
    """
    done, fault = read_marker(folder)
    if fault:
        return Found({}, faults={MARKER: fault})
    if not done:
        return Found({})
    try:
        counted = account.model_validate(done["account"])
    except ValidationError:
        return Found({}, faults={MARKER: "holds an account that is not this stage's"})
    if faults := faults_of(folder, done.get("files", {})):
        return Found({}, faults=faults)
    made_from = done.get("inputs", {})
    if any(made_from.get(name, now) != now for name, now in (inputs or {}).items()):
        return Found({}, outdated=True)
    return Found(done, counted) if still_there(folder, counted) else Found({})
