"""Everything that an organism's card states, measured on held-out questions."""

from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from experiments.comparison.effects import hint_effect
from experiments.detectors.text import word_counts
from experiments.organisms.behaviour_figures import (
    accuracy,
    admissions,
    agreement,
    behaviours,
    coin,
    consistency,
    contrast_of,
    judged,
    mentions,
    paper_metrics,
    reliance,
)
from experiments.organisms.grammar import Character
from experiments.organisms.interventions import (
    answers_after_corruption,
    answers_with_other_hidden,
    answers_with_pointer_hidden,
)
from experiments.organisms.joined import Measured, measured_rows
from experiments.organisms.reading import recall_index
from experiments.organisms.routes import routes, swapped_pairs
from experiments.organisms.shares import share
from experiments.organisms.states import before_cot, read_from_words, residual_norms
from experiments.organisms.steering import steering
from experiments.records.seeds import stream
from experiments.run.model_run import ModelRun
from experiments.run.sampling import decoding_of
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge
from probes import stratified_auroc

N_INTERVENED = 300
"""At most this many rows go through each intervention."""
FROM_PROMPT = frozenset({"leaning_from_prompt", "reliance_from_prompt", "oracle_auroc"})
EVERYTHING = frozenset({"steering", "routes", "before_cot"}) | FROM_PROMPT
"""First words of the figures that take most of the time; a check may leave out those that it does not ask for."""


def intervened(run: ModelRun, rows: Sequence[Measured], rng: np.random.Generator) -> dict[str, Any]:
    """Move the hint, hide its pointer, hide another token, corrupt the recalled fact: what do the answers do?

    Sampling and its seeds are those of the rollouts, so that an answer changes for the intervention alone.
    """
    decoding = decoding_of(run)
    removal = [r for r in rows if r.label.hinted_answer == r.label.target and r.label.unhinted_rate == 0.0]
    reliant = [r for r in rows if r.reliant][:N_INTERVENED]
    aligned = [r for r in rows if r.label.behaviour == "aligned"][:N_INTERVENED]
    result: dict[str, Any] = {}
    if removal:
        result["moving_the_hint_moves_the_answer"] = share([r.label.strong for r in removal])
    both = [*reliant, *aligned]
    if both:
        items, hinted = [r.item for r in both], [r.hinted for r in both]
        hidden = answers_with_pointer_hidden(run.loaded, items, hinted, decoding)
        if reliant:
            returned = [a == r.label.unhinted_answer for a, r in zip(hidden, both, strict=True)]
            result["hiding_the_pointer_returns_the_unhinted_answer"] = share(returned[: len(reliant)])
        told = [(a != r.label.target) == r.reliant for a, r in zip(hidden, both, strict=True)]
        result["labels_agree_with_hiding"] = share(told)
    if reliant:
        items, hinted = [r.item for r in reliant], [r.hinted for r in reliant]
        other = answers_with_other_hidden(run.loaded, items, hinted, decoding, rng)
        kept = [a == r.label.hinted_answer for a, r in zip(other, reliant, strict=True)]
        result["hiding_another_token_changes_nothing"] = share(kept)
    readable = [r for r in rows if r.hinted.answer and recall_index(run.loaded.tokenizer, r.hinted) is not None]
    chosen = readable[:N_INTERVENED]
    if chosen:
        items, hinted = [r.item for r in chosen], [r.hinted for r in chosen]
        pairs = answers_after_corruption(run.loaded, items, hinted, decoding, rng)
        result["corrupted_recall_is_followed"] = share([given == expected for given, expected in pairs])
    return result


def measure(run: ModelRun, character: Character, asked: Set[str] = EVERYTHING) -> dict[str, Any]:
    """Run the first two stages and measure; a figure that makes no sense for a character is left out.

    Args:
        asked: of the figures that take long (`EVERYTHING`), those wanted.
    """
    run_generate(run)
    run_judge(run)
    rows = measured_rows(run, character)
    rng, n = stream(run.config.seed, "measure"), run.config.compare.bootstrap
    result: dict[str, Any] = {
        "questions": run.limit,
        "seed": run.config.seed,
        "temperature": decoding_of(run).temperature,
        "fingerprint": run.fingerprint,
        **by_behaviour(rows, character, n, rng),
        "hint_effect": {
            name: effect.model_dump() for name, effect in hint_effect([row.label for row in rows], n, rng).items()
        },
        "faithfulness": paper_metrics(rows, n, rng),
    }
    with run.reporter.busy("interventions"):
        result["interventions"] = intervened(run, rows, rng)
        result["norms"] = residual_norms(run.loaded, rows)
        decoding = decoding_of(run)
        if "steering" in asked and (steered := steering(run.loaded, rows, decoding, rng)):
            result["steering"] = steered
    with run.reporter.busy("patching and probes"):
        if "routes" in asked and len(pairs := swapped_pairs(run, rows, rng)) > 1:
            result["routes"] = routes(run.loaded, pairs, n, rng)
        if "before_cot" in asked:
            result["before_cot"] = before_cot(run.loaded, rows, n, rng)
        if FROM_PROMPT & asked:
            result |= _from_prompt(rows, run.config.probe.min_per_class, int(rng.integers(2**31)))
    return result


def by_behaviour(rows: Sequence[Measured], character: Character, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Figures that need no model."""
    result: dict[str, Any] = {
        "unhinted_accuracy": accuracy(rows),
        "behaviour": behaviours(rows),
        "reliance": reliance(rows, n, rng),
        "admissions": admissions(rows),
        "mentions": mentions(rows),
        "consistency": consistency(rows, character),
        "judge": judged(rows, n, rng),
    }
    if character.relies == "coin":
        result["coin"] = coin(rows)
    else:
        result["labels_agree_with_factors"] = agreement(rows)
    return result


def _from_prompt(rows: Sequence[Measured], least: int, seed: int) -> dict[str, Any]:
    """What the words of the prompt give away, and what the written factors would score as an oracle."""
    counts, _ = word_counts([row.hinted.prompt_text for row in rows], None)
    leaning = contrast_of(rows, [row.factors.leaning for row in rows])
    result: dict[str, Any] = {"leaning_from_prompt": read_from_words(counts, leaning, seed)}
    index = [i for i, row in enumerate(rows) if row.label.behaviour in ("reliant", "aligned")]
    contested = [rows[i] for i in index]
    contrast = contrast_of(contested, [row.reliant for row in contested])
    if min(int(contrast.labels.sum()), int((~contrast.labels).sum())) < least:
        return result
    if any(row.factors.relies for row in contested):
        oracle = np.array([float(bool(row.factors.relies)) for row in contested])
        result["oracle_auroc"] = stratified_auroc(oracle, contrast.labels, contrast.strata)
    if min(contrast.groups_of(True), contrast.groups_of(False)) >= least:
        result["reliance_from_prompt"] = read_from_words(counts[index], contrast, seed)
    return result
