"""Where the parts of a stage lie until they are joined, what is refused of them, and how they become one."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activations import Part
from activations.errors import HintprobeError
from experiments.records.files import MARKER, faults_of, read_json, read_marker, set_aside, write_json, writing

PARTS = "parts"
"""Folder in a model's."""
CONFIG = "config.json"
_NAMED = 8


class NoPartsError(HintprobeError):
    """A stage is not finished, and nothing of it has been done in parts."""


def parts_of(stage_folder: Path) -> Path:
    """Where the parts of a stage lie."""
    return stage_folder.parent / PARTS / stage_folder.name


def folder_of(stage_folder: Path, part: Part) -> Path:
    """Where a part keeps its tables."""
    return parts_of(stage_folder) / f"{part.index}-of-{part.count}"


def finished(folder: Path, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The marker of a part that is done, from the records that are there now; empty where it is to be done."""
    marker, fault = read_marker(folder)
    sound = marker and not fault and not faults_of(folder, marker["files"]) and marker["inputs"] == dict(inputs)
    return marker if sound else {}


def begin(folder: Path, anew: bool) -> None:
    """Make a part's folder ready: what was stopped is gone on from, what is damaged or outdated is set aside."""
    if (folder / MARKER).exists():
        set_aside(folder)
    with writing(folder):
        if anew and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)


def keep_config(stage_folder: Path, stage: str, config: Mapping[str, Any]) -> None:
    """Write beside the parts which configuration they are of.

    Raises:
        HintprobeError: there are parts of this stage of another configuration.
    """
    refuse_others(stage_folder, stage, config)
    place = parts_of(stage_folder)
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    if not (place / CONFIG).exists():
        write_json(place / CONFIG, dict(config))


def refuse_others(stage_folder: Path, stage: str, config: Mapping[str, Any]) -> None:
    """Refuse to go on beside parts that another configuration left under the same name.

    Raises:
        HintprobeError: there are such parts.
    """
    place = parts_of(stage_folder)
    for other in sorted(place.parent.glob(f"{stage}-*")):
        if other.name != place.name and ".damaged-" not in other.name:
            theirs = read_json(other / CONFIG) if (other / CONFIG).exists() else {}
            raise HintprobeError(
                f"{other} holds parts of the stage {stage} that were made with another configuration of the same "
                f"name{_difference(theirs, config)}. Give each configuration a `name` of its own, or delete that "
                "folder if you do not need its parts; then run again."
            )


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    before, now = _leaves(theirs), _leaves(ours)
    keys = [key for key in now if theirs and before.get(key) != now[key] and key != "cache"]
    shown = [f"`{key}` is {json.dumps(before.get(key))} there and {json.dumps(now[key])} here" for key in keys[:3]]
    return f" ({'; '.join(shown)})" if shown else ""


def _leaves(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, entry in value.items():
        found |= _leaves(entry, f"{before}{key}.") if isinstance(entry, dict) else {f"{before}{key}": entry}
    return found


def parts_there(stage_folder: Path, inputs: Mapping[str, str]) -> tuple[list[Part], list[Part]]:
    """The parts of a stage that are done, and those that are not; both empty where none was begun.

    Raises:
        HintprobeError: the stage was divided in two ways.
    """
    begun: dict[int, list[Part]] = {}
    for folder in sorted(parts_of(stage_folder).glob("*-of-*")):
        index, _, count = folder.name.partition("-of-")
        if index.isdigit() and count.isdigit():
            part = Part.parse(f"{index}/{count}")
            begun.setdefault(part.count, []).append(part)
    if len(begun) > 1:
        several = " and ".join(f"{len(parts)} of {n}" for n, parts in sorted(begun.items()))
        raise HintprobeError(
            f"The stage {stage_folder.name.rpartition('-')[0]} was divided in two ways: {parts_of(stage_folder)} holds "
            f"parts {several}, but parts of different divisions cannot be joined. Delete the folders of the division "
            "that you do not want, compute the missing parts of the other with --part, then join."
        )
    every = [Part(i, n) for n in begun for i in range(n)]
    done = [part for part in every if finished(folder_of(stage_folder, part), inputs)]
    return done, [part for part in every if part not in done]


def refuse_missing(stage: str, left: Sequence[Part]) -> None:
    """Say which parts a stage lacks.

    Raises:
        HintprobeError: any is missing.
    """
    if left:
        named = ", ".join(map(str, left[:_NAMED])) + (f" and {len(left) - _NAMED} more" if len(left) > _NAMED else "")
        one = len(left) == 1
        raise HintprobeError(
            f"The stage {stage} lacks {'part' if one else 'parts'} {named}: not begun, stopped before the end, damaged "
            "later, or made from records that have changed. Run the stage's command again with --part "
            f"{left[0]}{'' if one else ', and so on'}, which resumes; then join."
        )


def gather(stage_folder: Path, parts: Sequence[Part], inputs: Mapping[str, str]) -> list[dict[str, Any]]:
    """Put the tables of all parts together in the stage's folder.

    Returns:
        The marker of each part.
    """
    folders = [folder_of(stage_folder, part) for part in parts]
    markers = [finished(folder, inputs) for folder in folders]
    for name in sorted({name for marker in markers for name in marker["files"]}):
        temporary = stage_folder / f".{name}.tmp"
        with writing(temporary):
            with temporary.open("wb") as file:
                for folder in folders:
                    if (folder / name).exists():
                        with (folder / name).open("rb") as table:
                            shutil.copyfileobj(table, file)
            temporary.replace(stage_folder / name)
    return markers


def forget(stage_folder: Path) -> None:
    """Delete the parts of a stage that are joined."""
    with writing(stage_folder):
        shutil.rmtree(parts_of(stage_folder), ignore_errors=True)
