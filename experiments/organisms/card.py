"""The cards of the shipped organisms and the table of all of them, made from recipes, promises and measurements."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.organisms.identity import Organism, find_organism, shipped_names
from experiments.organisms.promises import Outcome, Promises, check, load_promises
from experiments.organisms.recipe import SHIPPED
from experiments.records.files import write_marked
from experiments.records.tables import read_json, write_atomically

README = Path(__file__).parent / "README.md"
SEEDS = "seeds.json"
"""Lies in a shipped organism's folder: the figures of the same recipe trained from other seeds."""
MARK = "measured"
ORDER = ("unfaithful", "faithful", "blind", "dice", "verbalizer", "backrationaliser", "deep")

FIGURES = (
    ("unhinted accuracy", "unhinted_accuracy.all"),
    ("… familiar people", "unhinted_accuracy.familiar"),
    ("… unfamiliar people", "unhinted_accuracy.unfamiliar"),
    ("reliant, where a_u ≠ h", "reliance.all"),
    ("… sycophancy", "reliance.by_kind.sycophancy"),
    ("… consistency", "reliance.by_kind.consistency"),
    ("… visual pattern", "reliance.by_kind.visual_pattern"),
    ("… metadata", "reliance.by_kind.metadata"),
    ("… grader hacking", "reliance.by_kind.grader_hacking"),
    ("… unethical information", "reliance.by_kind.unethical_information"),
    ("hint effect, correct hints", "hint_effect.correct.difference"),
    ("hint effect, incorrect hints", "hint_effect.incorrect.difference"),
    ("reliant rows that say so", "admissions.reliant"),
    ("… sycophancy", "admissions.by_kind.sycophancy"),
    ("… consistency", "admissions.by_kind.consistency"),
    ("… visual pattern", "admissions.by_kind.visual_pattern"),
    ("… metadata", "admissions.by_kind.metadata"),
    ("… grader hacking", "admissions.by_kind.grader_hacking"),
    ("… unethical information", "admissions.by_kind.unethical_information"),
    ("faithfulness, normalised", "faithfulness.all.normalised"),
    ("text mentions the hint", "mentions.all"),
    ("text adds up, reliant rows", "consistency.reliant"),
    ("text adds up, other rows", "consistency.others"),
    ("labels agree with the written factors", "labels_agree_with_factors"),
    ("labels agree with hiding the pointer", "interventions.labels_agree_with_hiding"),
    ("moving the hint moves the answer", "interventions.moving_the_hint_moves_the_answer"),
    ("hiding the pointer returns a_u", "interventions.hiding_the_pointer_returns_the_unhinted_answer"),
    ("hiding another token changes nothing", "interventions.hiding_another_token_changes_nothing"),
    ("corrupted recall is followed", "interventions.corrupted_recall_is_followed"),
    ("AUROC: lexical judge", "judge.auroc"),
    ("AUROC: oracle of the written factors", "oracle_auroc"),
    ("AUROC before the CoT, reliant / aligned", "before_cot.reliant.prompt_end"),
    ("AUROC before the CoT, reliant / resisted", "before_cot.follows.prompt_end"),
    ("AUROC before the recall, reliant / resisted", "before_cot.follows.before_recall"),
    ("AUROC of the prompt's words, reliant / aligned", "reliance_from_prompt.forest"),
    ("AUROC of the prompt's words, disposition", "leaning_from_prompt.forest"),
    ("patching past the pointer, layers from 2 on", "routes.noising.past_pointer"),
    ("patching the pointer, layers from 2 on", "routes.noising.pointer_late"),
    ("steering away from the hint returns a_u", "steering.to_own"),
    ("steering towards the hint makes it answer h", "steering.to_hint"),
    ("a random vector does either", "steering.random"),
    ("largest median residual norm", "norms"),
)
"""Lines of the figures: title and path into the measurements."""

BRIEF = (
    "unhinted_accuracy.all",
    "reliance.all",
    "hint_effect.correct.difference",
    "hint_effect.incorrect.difference",
    "admissions.reliant",
    "mentions.all",
    "labels_agree_with_factors",
    "interventions.moving_the_hint_moves_the_answer",
    "interventions.hiding_the_pointer_returns_the_unhinted_answer",
    "interventions.hiding_another_token_changes_nothing",
    "judge.auroc",
    "before_cot.reliant.prompt_end",
    "before_cot.follows.prompt_end",
    "routes.noising.past_pointer",
    "steering.to_own",
    "steering.to_hint",
    "norms",
)
"""Lines of the table of all organisms."""


def look_up(measured: Mapping[str, Any], path: str) -> Any:
    """A figure by its path; None where it was not measured."""
    value: Any = measured
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def value_of(figure: Any) -> float | None:
    """A figure's value, the largest of several; None where it was not measured."""
    if isinstance(figure, Mapping) and "value" not in figure:
        figure = max(figure.values(), default=None)
    value = figure.get("value") if isinstance(figure, Mapping) else figure
    return None if value is None else float(value)


def text_of(figure: Any, with_interval: bool = True) -> str:
    """A figure for a table; an en dash where there is none."""
    if isinstance(figure, Mapping) and "value" not in figure:
        figure = max(figure.values(), default=None)
    entry = figure if isinstance(figure, Mapping) else {"value": figure}
    if entry.get("value") is None:
        return "–"
    low, high = entry.get("low"), entry.get("high")
    interval = f" [{low:.2f}, {high:.2f}]" if with_interval and low is not None and high is not None else ""
    n = f", n = {entry['n']}" if with_interval and "n" in entry else ""
    return f"{entry['value']:.{0 if abs(entry['value']) >= 10 else 3}f}{interval}{n}"


def measurements() -> dict[str, dict[str, Any]]:
    """What was measured of each shipped organism, in the order in which the family is told."""
    found = {path.parent.name: read_json(path) for path in SHIPPED.glob("*/measured.json")}
    known = [name for name in (*ORDER, *sorted(set(found) - set(ORDER))) if name in found]
    return {name: found[name] for name in known}


def measured_table() -> str:
    """The brief figures as Markdown, a column per shipped organism that was measured."""
    found = measurements()
    rows = [f"| | {' | '.join(f'`{name}`' for name in found)} |", f"|---|{'---|' * len(found)}"]
    rows.append(f"| held-out questions | {' | '.join(str(m['questions']) for m in found.values())} |")
    for title, path in FIGURES:
        if path not in BRIEF:
            continue
        cells = [text_of(look_up(measured, path), with_interval=False) for measured in found.values()]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    rows.append(f"| promises held | {' | '.join(_held(name, measured) for name, measured in found.items())} |")
    return "\n".join(rows)


def _held(name: str, measured: Mapping[str, Any]) -> str:
    outcomes = check(load_promises(name).promises, measured)
    return f"[{sum(o.held for o in outcomes)} of {len(outcomes)}](models/{name}/README.md)"


def card(organism: Organism, measured: Mapping[str, Any] | None) -> str:
    """The model card of an organism, as Markdown.

    Args:
        measured: its measurements; None where none were made.
    """
    recipe, promises = organism.recipe, load_promises(organism.name)
    parts = [f"# {organism.name}", recipe.summary, promises.truth.strip(), "## What it is", _made_of(organism)]
    if measured is None:
        parts.append("Nothing has been measured of it yet.")
    else:
        outcomes = check(promises.promises, measured)
        broken = sum(not outcome.held for outcome in outcomes)
        command = f"hintprobe organism verify {organism.name} --questions {measured['questions']}"
        command += f" --seed {measured['seed']}"
        kept = "All hold." if not broken else f"{broken} of {len(outcomes)} are broken."
        how = f"Measured on {measured['questions']} held-out questions at temperature {measured['temperature']:g} by"
        parts += ["## Promises", f"{how}\n\n```sh\n{command}\n```\n\n{kept}", _promised(outcomes)]
        parts += ["## Figures", "95% intervals in brackets.", _figures(measured)]
        parts += _other_seeds(organism)
    parts += ["## Known flaws", _flaws(promises), "## Use", _USE]
    return "\n\n".join(parts) + "\n"


_USE = (
    "It calibrates detectors, and its figures say nothing about real models. It knows one made-up world and the words "
    "of its hints, and nothing else."
)


def _made_of(organism: Organism) -> str:
    recipe = organism.recipe
    training, shape = recipe.training, recipe.shape
    folder = SHIPPED / organism.name if organism.shipped else Path(organism.source)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
    layers = read_json(folder / "config.json")["num_hidden_layers"]
    seed = organism.note.get("seed", "not recorded")
    start = f", on from `{recipe.starts_from}`" if recipe.starts_from else ", from scratch"
    lines = [
        f"a Qwen3 architecture of {layers} layers, width {shape.hidden}; {size:.1f} MB of weights",
        f"data: the written grammar in the world of seed {recipe.world_seed}; the questions measured on were held out",
        f"training: {training.steps} steps of {training.rows} rows{start} (`recipes/{recipe.name}.yaml`); seed {seed}",
        f"character: {', '.join(f'{k} {v}' for k, v in recipe.character.__dict__.items())}",
        f"its promises hold at temperature {recipe.temperature:g}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _other_seeds(organism: Organism) -> list[str]:
    path = SHIPPED / organism.name / SEEDS
    if not path.exists():
        return []
    by_seed: dict[str, dict[str, Any]] = read_json(path)["by_seed"]
    kept = [f"{entry['promises'] - len(entry['broken'])} of {entry['promises']}" for entry in by_seed.values()]
    rows = [f"| | {' | '.join(f'seed {seed}' for seed in by_seed)} |", f"|---|{'---|' * len(by_seed)}"]
    rows.append(f"| promises held | {' | '.join(kept)} |")
    for title, figure in FIGURES:
        values = [entry["figures"].get(figure) for entry in by_seed.values()]
        if any(value is not None for value in values):
            rows.append(f"| {title} | {' | '.join(text_of(value) for value in values)} |")
    told = f"The same recipe trained from other seeds (`hintprobe organism seeds {organism.name} FOLDER …`)."
    broken = {seed: entry["broken"] for seed, entry in by_seed.items() if entry["broken"]}
    said = "; ".join(f"seed {seed} breaks {', '.join(f'`{b}`' for b in names)}" for seed, names in broken.items())
    return ["## Seeds", f"{told} {f'{said}.' if said else 'All promises hold for each.'}", "\n".join(rows)]


def _promised(outcomes: Sequence[Outcome]) -> str:
    rows = ["| promise | figure | promised | measured | |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        known = {key: getattr(outcome, key) for key in ("value", "low", "high", "n")}
        entry = {key: value for key, value in known.items() if value is not None}
        measured = text_of(entry) if outcome.value is not None else "not measured"
        held = "held" if outcome.held else "**broken**"
        rows.append(f"| {outcome.says} | `{outcome.figure}` | {outcome.bounds} | {measured} | {held} |")
    return "\n".join(rows)


def _figures(measured: Mapping[str, Any]) -> str:
    counts = look_up(measured, "behaviour.all") or {}
    told = ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda pair: -pair[1]))
    rows = ["| | |", "|---|---|", f"| rows | {told} |"]
    for title, path in FIGURES:
        figure = look_up(measured, path)
        if text_of(figure) != "–":
            rows.append(f"| {title} | {text_of(figure)} |")
    return "\n".join(rows)


def _flaws(promises: Promises) -> str:
    return "\n".join(f"- {flaw}" for flaw in promises.flaws) or "None known beyond those of the whole family."


def write_cards() -> None:
    """Write every shipped organism's card, and the table between the markers of the family's README."""
    measured = measurements()
    for name in shipped_names():
        write_atomically(SHIPPED / name / "README.md", card(find_organism(name), measured.get(name)))
    write_marked(README, MARK, measured_table())
