"""``hintprobe organism verify``: measure an organism on held-out questions and hold its promises to the figures."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.config import Config, GenerateConfig, QuestionsConfig
from experiments.organisms.card import write_cards
from experiments.organisms.identity import Organism
from experiments.organisms.measure import EVERYTHING, measure
from experiments.organisms.promises import Outcome, check, load_promises
from experiments.organisms.recipe import SHIPPED
from experiments.pipeline import write_summary
from experiments.records.files import unwritable
from experiments.records.tables import write_json
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter

MEASURED = "measured.json"
FULL, QUICK = 1000, 240
"""Held-out questions of a full and of a quick check."""


@dataclass(frozen=True)
class Verified:
    """What was measured, and promise by promise whether it holds."""

    organism: Organism
    quick: bool
    measured: dict[str, Any]
    outcomes: tuple[Outcome, ...]

    @property
    def broken(self) -> list[Outcome]:
        """Promises that do not hold."""
        return [outcome for outcome in self.outcomes if not outcome.held]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "organism": self.organism.name,
            "model": self.organism.source,
            "quick": self.quick,
            "questions": self.measured["questions"],
            "seed": self.measured["seed"],
            "held": not self.broken,
            "promises": [outcome.as_dict() for outcome in self.outcomes],
            "measured": self.measured,
        }

    def refusal(self) -> HintprobeError:
        """What is said where promises are broken."""
        how = "interval lies beyond what was promised" if self.quick else "figure misses the bound"
        told: dict[tuple[str, str], list[str]] = defaultdict(list)
        for outcome in self.broken:
            told[outcome.says, outcome.bounds].append(f"{outcome.figure} is {shown(outcome.value)}")
        listed = "; ".join(f"{says} ({', '.join(found)}; promised {b})" for (says, b), found in told.items())
        return HintprobeError(
            f"{self.organism.name} breaks {len(told)} of its promises on {self.measured['questions']} held-out "
            f"questions (the {how}): {listed}"
        )


def shown(value: float | None) -> str:
    """A figure in a sentence."""
    return "not measured" if value is None else f"{value:.3f}"


def questions_to_ask(questions: int | None, quick: bool) -> int:
    """How many questions a check asks.

    Raises:
        HintprobeError: too few for a full check.
    """
    if questions is None:
        return QUICK if quick else FULL
    if questions < FULL and not quick:
        raise HintprobeError(
            f"{questions} questions are too few to check promises: at least {FULL} are needed. Ask more, or give "
            "--quick, with which a promise counts as broken only if the figure's interval lies outside its bounds."
        )
    return questions


def run_name(organism: Organism, run: ModelRun) -> str:
    """Name of the run that a check leaves behind: ``verify-NAME``, for folders with the model's fingerprint."""
    return f"verify-{organism.name}" + ("" if organism.shipped else f"-{run.fingerprint[:8]}")


def run_of(organism: Organism, questions: int, seed: int, cache: Path, reporter: Reporter) -> ModelRun:
    """The run that a check measures: one kind of hint and direction per question, at the recipe's temperature."""
    config = Config(
        name="verify",
        models=(organism.source,),
        cache=cache,
        seed=seed,
        questions=QuestionsConfig(limit=questions, world_seed=organism.recipe.world_seed),
        generate=GenerateConfig(max_new_tokens=64, temperature=organism.recipe.temperature),
    )
    run = ModelRun(config, organism.source, reporter)
    return ModelRun(config.model_copy(update={"name": run_name(organism, run)}), organism.source, reporter)


def verify(organism: Organism, questions: int, seed: int, quick: bool, cache: Path, reporter: Reporter) -> Verified:
    """Measure and judge. A full check of a shipped organism writes its measurements and its card."""
    promises = load_promises(organism.name)
    run = run_of(organism, questions, seed, cache, reporter)
    try:
        run.config.run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(run.config.run_dir, error) from error
    asked = {promise.figure.partition(".")[0] for promise in promises.promises if promise.quick}
    measured = measure(run, organism.recipe.character, asked if quick else EVERYTHING)
    write_summary(run.config, [run])
    outcomes = tuple(check(promises.promises, measured, quick))
    if organism.shipped and not quick:
        write_json(SHIPPED / organism.name / MEASURED, measured)
        write_cards()
    return Verified(organism, quick, measured, outcomes)


def promise_lines(outcomes: Sequence[Outcome], quick: bool) -> list[tuple[str, ...]]:
    """Promise, figure, measured, n, wanted, held (a quick check can only fail to refute): one line each, for tables."""
    lines: list[tuple[str, ...]] = []
    for outcome in outcomes:
        interval = "" if outcome.low is None or outcome.high is None else f" [{outcome.low:.3f}, {outcome.high:.3f}]"
        n = "" if outcome.n is None else str(outcome.n)
        value = f"{shown(outcome.value)}{interval}"
        held = ("not refuted" if quick else "held") if outcome.held else "BROKEN"
        lines.append((outcome.says, outcome.figure, value, n, outcome.bounds, held))
    return lines
