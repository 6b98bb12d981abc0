"""Several seeds of one organism, trained and measured alike: does each keep the promises, how far do they spread?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.organisms.card import FIGURES, SEEDS, look_up, measurements, value_of, write_cards
from experiments.organisms.identity import find_organism
from experiments.organisms.promises import check, load_promises
from experiments.organisms.recipe import SHIPPED
from experiments.organisms.verify import verify
from experiments.records.tables import write_json
from experiments.run.progress import Reporter


def compare_seeds(
    name: str, folders: Sequence[Path], questions: int, seed: int, cache: Path, reporter: Reporter
) -> dict[str, Any]:
    """Hold each folder to the promises of a shipped organism, and write all their figures beside its own.

    Args:
        folders: the same recipe, trained from other seeds.
        seed: of the questions asked.

    Returns:
        ``by_seed``: per training seed, what was measured and which promises are broken; also written to the shipped
        organism's ``seeds.json`` and onto its card.

    Raises:
        HintprobeError: no such shipped organism, one that was not measured, a folder of another organism, a seed twice.
    """
    shipped = find_organism(name)
    measured = measurements().get(shipped.name)
    if not shipped.shipped or measured is None:
        raise HintprobeError(
            f"{name!r} is not a shipped organism with measurements. Give the name of one, and run `hintprobe organism "
            f"verify {name}` first."
        )
    by_seed = {str(shipped.note.get("seed", "shipped")): _entry(name, measured)}
    for folder in folders:
        other = find_organism(str(folder))
        trained = str(other.note.get("seed"))
        if other.name != shipped.name or trained in by_seed:
            raise HintprobeError(
                f"{folder} holds {other.name!r} of seed {trained}; expected {shipped.name!r} of a seed other than "
                f"{', '.join(by_seed)}. Train one with `hintprobe organism train {name} --seed S --out FOLDER`."
            )
        by_seed[trained] = _entry(name, verify(other, questions, seed, False, cache, reporter).measured)
    found = {"organism": shipped.name, "by_seed": by_seed}
    write_json(SHIPPED / shipped.name / SEEDS, found)
    write_cards()
    return found


def _entry(name: str, measured: Mapping[str, Any]) -> dict[str, Any]:
    outcomes = check(load_promises(name).promises, measured)
    figures = {path: value_of(look_up(measured, path)) for _, path in FIGURES}
    return {
        "questions": measured["questions"],
        "promises": len(outcomes),
        "broken": [outcome.figure for outcome in outcomes if not outcome.held],
        "figures": {path: value for path, value in figures.items() if value is not None},
    }
