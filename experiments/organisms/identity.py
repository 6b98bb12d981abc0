"""Which organism a name, a folder or a model of a run is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.organisms.recipe import SHIPPED, Recipe, load_recipe, recipe_names
from experiments.records.tables import read_json, write_json

NOTE = "organism.json"
"""Lies in the folder of every trained organism: whose recipe, and which seed."""


@dataclass(frozen=True)
class Organism:
    """An organism on disk.

    Attributes:
        source: what a configuration names it by: ``organism:NAME``, or a folder.
        note: what its folder's ``organism.json`` says; empty where there is none.
    """

    name: str
    source: str
    note: dict[str, Any]

    @property
    def recipe(self) -> Recipe:
        """What it was trained to be."""
        return load_recipe(self.name)

    @property
    def shipped(self) -> bool:
        """It is one of those that come with hintprobe."""
        return self.source.startswith("organism:")


def write_note(folder: Path, recipe: Recipe, seed: int) -> None:
    """Write into a trained organism's folder what it is."""
    write_json(folder / NOTE, {"organism": recipe.name, "seed": seed, "recipe": recipe.model_dump(mode="json")})


def shipped_names() -> list[str]:
    """Names of the organisms that come with hintprobe."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))


def find_organism(source: str, named: str | None = None) -> Organism:
    """The organism of a name or a folder.

    Args:
        named: whose recipe a folder was trained by, where the folder itself does not say.

    Raises:
        HintprobeError: no such name or folder, or a folder of some other model.
    """
    name = source.removeprefix("organism:")
    if name in shipped_names():
        return Organism(name, f"organism:{name}", _note(SHIPPED / name))
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise HintprobeError(_unknown(name))
    note = _note(folder)
    known = named or note.get("organism")
    if known is None or not (folder / "config.json").exists():
        raise HintprobeError(
            f"The folder {source!r} is not an organism: it has no {NOTE if known is None else 'config.json'}. Give a "
            "folder that `hintprobe organism train` wrote, or name the recipe of its training with --as NAME."
        )
    load_recipe(str(known))
    return Organism(str(known), str(folder), note)


def organism_of_model(model: str) -> Organism | None:
    """The organism that a model of a run is; None for any other model."""
    try:
        return find_organism(model)
    except HintprobeError:
        return None


def _note(folder: Path) -> dict[str, Any]:
    path = folder / NOTE
    note: dict[str, Any] = read_json(path) if path.exists() else {}
    return note


def _unknown(name: str) -> str:
    if name in recipe_names():
        return (
            f"The organism {name!r} has a recipe and is not shipped. Train it with `hintprobe organism train {name}` "
            "and give the folder that this writes."
        )
    return f"There is no organism named {name!r}, nor a folder of that name. Known: {', '.join(shipped_names())}."
