"""What an organism promises, measured on held-out questions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from activations import Decoding
from experiments.config import Config
from experiments.context import ModelRun
from experiments.detectors.text import word_counts
from experiments.faithfulness import FaithfulnessRow, faithfulness
from experiments.organisms.grammar import Character, Factors, admits_by_grammar, factors
from experiments.organisms.interventions import (
    answers_after_corruption,
    answers_with_other_hidden,
    answers_with_pointer_hidden,
)
from experiments.organisms.world import Task, World, build_world
from experiments.records import Item, Label, Rollout
from experiments.seeds import stream
from experiments.stages.compare import hint_effect
from experiments.stages.generate import items_table, rollouts_table, run_generate
from experiments.stages.judge import labels_table, run_judge
from probes import Contrast, Search, forest_cv, headline, nested_cv, stratified_auroc

N_INTERVENED = 300
"""At most this many rows go through each intervention."""


@dataclass(frozen=True)
class Measured:
    """One hinted row of an organism, with its written causes."""

    item: Item
    label: Label
    hinted: Rollout
    unhinted: Rollout
    factors: Factors

    @property
    def stratum(self) -> str:
        """Kind × direction."""
        return f"{self.item.kind} {self.item.direction}"


def _tasks_by_id(world: World) -> dict[str, Task]:
    return {task.question().id: task for task in (*world.held_out, *world.train)}


def measured_rows(run: ModelRun, character: Character) -> list[Measured]:
    """Hinted rows of an organism's run, joined with the factors that the grammar wrote into them."""
    world = build_world(run.config.questions.world_seed)
    tasks = _tasks_by_id(world)
    generated = run.results["generate"].folder
    items = {item.id: item for item in items_table(generated).read()}
    rollouts = {rollout.id: rollout for rollout in rollouts_table(generated).read()}
    rows = []
    for label in labels_table(run.results["judge"].folder).read():
        item = items[label.item_id]
        rows.append(
            Measured(
                item,
                label,
                rollouts[label.rollout_id],
                rollouts[label.rollout_id.replace(":hinted:", ":unhinted:")],
                factors(world, character, tasks[item.question.id], item.kind, item.source),
            )
        )
    return rows


def _share(values: Sequence[bool]) -> dict[str, Any]:
    return {"n": len(values), "share": float(np.mean(values)) if values else None}


def _accuracy(rows: Sequence[Measured]) -> dict[str, Any]:
    right: dict[bool, list[bool]] = {True: [], False: []}
    for row in rows:
        right[row.factors.familiar].append(row.unhinted.answer == row.item.question.gold)
    return {
        "all": _share(right[True] + right[False]),
        "familiar": _share(right[True]),
        "unfamiliar": _share(right[False]),
    }


def _contrast(rows: Sequence[Measured], positive: Sequence[bool]) -> Contrast:
    return Contrast(
        np.array(positive, dtype=bool), tuple(row.label.group for row in rows), tuple(row.stratum for row in rows)
    )


def _readable(rows: Sequence[Measured], positive: Sequence[bool], seed: int) -> dict[str, float]:
    """How well words of the prompt tell a property of held-out persons, linearly and by a forest."""
    counts, _ = word_counts([row.hinted.prompt_text for row in rows], None)
    contrast = _contrast(rows, positive)
    linear = nested_cv({"words": counts}, contrast, Search((1e-3, 1e-2, 1e-1, 1.0)), seed)
    forest = forest_cv(counts, contrast, linear.fold, seed)
    result = {}
    for name, scored in (("bag_of_words", linear), ("forest", forest)):
        result[name] = headline(scored.scores, contrast.labels, scored.fold, contrast.strata)
    return result


def _agreement(rows: Sequence[Measured]) -> dict[str, Any]:
    """Do the labels agree with the written factors?"""
    told = [
        (row.label.behaviour == "reliant") == row.factors.relies
        for row in rows
        if row.label.behaviour in ("reliant", "aligned")
    ]
    return _share(told)


def intervened(run: ModelRun, rows: Sequence[Measured], rng: np.random.Generator) -> dict[str, Any]:
    """Move the hint, hide its pointer, hide another token, corrupt the recalled fact: what do the answers do?"""
    decoding = Decoding(0.0, run.config.generate.max_new_tokens, run.config.generate.token_budget)
    removal = [r for r in rows if r.label.hinted_answer == r.label.target and r.label.unhinted_rate == 0.0]
    reliant = [r for r in rows if r.label.behaviour == "reliant"][:N_INTERVENED]
    aligned = [r for r in rows if r.label.behaviour == "aligned"][:N_INTERVENED]
    result: dict[str, Any] = {"moving_the_hint_moves_the_answer": _share([r.label.strong for r in removal])}
    both = [*reliant, *aligned]
    if both:
        items, hinted = [r.item for r in both], [r.hinted for r in both]
        hidden = answers_with_pointer_hidden(run.loaded, items, hinted, decoding)
        returned = [a == r.label.unhinted_answer for a, r in zip(hidden, both, strict=True)]
        result["hiding_the_pointer_returns_the_unhinted_answer"] = _share(returned[: len(reliant)])
        told = [(a != r.label.target) == (r.label.behaviour == "reliant") for a, r in zip(hidden, both, strict=True)]
        result["labels_agree_with_hiding"] = _share(told)
    if reliant:
        items, hinted = [r.item for r in reliant], [r.hinted for r in reliant]
        other = answers_with_other_hidden(run.loaded, items, hinted, decoding, rng)
        kept = [a == r.label.hinted_answer for a, r in zip(other, reliant, strict=True)]
        result["hiding_another_token_changes_nothing"] = _share(kept)
    chosen = [r for r in rows if r.hinted.answer is not None][:N_INTERVENED]
    pairs = answers_after_corruption(run.loaded, [r.item for r in chosen], [r.hinted for r in chosen], decoding, rng)
    result["corrupted_recall_is_followed"] = _share([given == expected for given, expected in pairs])
    return result


def measure(run: ModelRun, character: Character) -> dict[str, Any]:
    """Run the first two stages and measure everything that an organism's card states."""
    run_generate(run)
    run_judge(run)
    rows = measured_rows(run, character)
    rng = stream(run.config.seed, "measure")
    seed = int(rng.integers(2**31))
    contested = [row for row in rows if row.label.behaviour in ("reliant", "aligned")]
    result: dict[str, Any] = {
        "questions": run.limit,
        "seed": run.config.seed,
        "unhinted_accuracy": _accuracy(rows),
        "behaviour": dict(Counter(row.label.behaviour for row in rows)),
        "behaviour_by_kind": {
            kind: dict(Counter(r.label.behaviour for r in rows if r.item.kind == kind))
            for kind in run.config.hints.kinds
        },
        "labels_agree_with_factors": _agreement(rows),
        "faithfulness": _faithfulness(rows, run.config, rng),
        "hint_effect": hint_effect([row.label for row in rows], run.config.compare.bootstrap, rng),
        "interventions": intervened(run, rows, rng),
        "leaning_from_prompt": _readable(rows, [row.factors.leaning for row in rows], seed),
    }
    reliant = [row.label.behaviour == "reliant" for row in contested]
    if min(sum(reliant), len(reliant) - sum(reliant)) >= run.config.probe.min_per_class:
        oracle = np.array([float(row.factors.relies or False) for row in contested])
        contrast = _contrast(contested, reliant)
        result["oracle_auroc"] = stratified_auroc(oracle, contrast.labels, contrast.strata)
        result["reliance_from_prompt"] = _readable(contested, reliant, seed)
    return result


def _faithfulness(rows: Sequence[Measured], config: Config, rng: np.random.Generator) -> dict[str, Any]:
    """The paper's metrics with verbalization as the grammar has it."""

    def of(chosen: Sequence[Measured]) -> dict[str, Any]:
        lines = [
            FaithfulnessRow(
                r.label.group, r.label.n_options, r.label.unhinted_answer, r.label.hinted_answer, r.label.target,
                admits_by_grammar(r.hinted.completion_text),
            )
            for r in chosen
        ]  # fmt: skip
        return asdict(faithfulness(lines, config.compare.bootstrap, rng))

    kinds = {kind: of([r for r in rows if r.item.kind == kind]) for kind in config.hints.kinds}
    return {"all": of(rows), "by_kind": kinds}
