"""Part of stage 5: does the hint reach the answer through the text of the chain of thought, or past it?

Each chosen item is read in the two by two of {hinted, unhinted prompt} × {CoT of the hinted, of the unhinted run}, on
CoTs drawn afresh, never those that selected the item. The neutral prompt in the hinted one's place is the placebo.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from experiments.interventions.redraw import Draw, draw_fresh, fresh_seed, up_to_answer
from experiments.records import LETTERS, Behaviour, Condition, Item, Label, Rollout
from experiments.records.accounts import MediateAccount
from experiments.records.causal import (
    CutPart,
    CutRedrawn,
    CutSpan,
    KnockoutEffect,
    MediationEffect,
    MediationRow,
    Outcome,
    Treatment,
)
from experiments.records.seeds import stream
from experiments.records.stages import (
    cut_table,
    effects_table,
    fresh_table,
    knockouts_table,
    mediation_table,
)
from experiments.records.summary import MediationSummary
from experiments.run.finished import FinishedParts
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.sampling import decoding_of
from experiments.run.stage import Stage
from experiments.stages.knockouts import fixed_text, plan_cuts, written_again
from probes.mediation import Continuation, Decomposition, MediationCells, MediationItem, decompose, mediate

BEHAVIOURS: tuple[Behaviour, ...] = ("reliant", "aligned", "resisted")
TREATMENTS: tuple[Treatment, ...] = ("hinted", "neutral")
CONDITIONS: tuple[Condition, ...] = ("hinted", "unhinted", "swapped", "neutral")
OUTCOMES: tuple[Outcome, ...] = ("logit_difference", "probability")
GREEDY_INSTEAD = 0.7
"""Temperature of fresh draws where the run itself was greedy: greedy draws would be those that chose the rows."""


@dataclass(frozen=True)
class Chosen:
    """An item with its label and the rollouts it was labelled by."""

    item: Item
    label: Label
    rollouts: dict[Condition, Rollout]


def run_mediate(run: ModelRun) -> StageResult:
    """Split the hint's effect for a model's items, or find that done."""
    depends = (
        run.results["judge"].signature, run.config.mediate, run.config.generate.max_new_tokens,
        run.config.compare.bootstrap, run.config.seed, run.config.numerics,
    )  # fmt: skip
    return run.stage(MediateAccount, depends, lambda folder: _mediate(run, folder), uses_model=True)


def choose(run: ModelRun, n: int, behaviours: Sequence[Behaviour], purpose: str) -> list[Chosen]:
    """At most ``n`` items of each behaviour, at random, one rollout each."""
    rng = stream(run.config.seed, purpose, run.model_name)
    labels = list(run.records.labels.values())
    chosen = []
    for behaviour in behaviours:
        first = {label.item_id: label for label in reversed(labels) if label.behaviour == behaviour}
        of_it = [first[name] for name in sorted(first)]
        for label in [of_it[i] for i in rng.permutation(len(of_it))[:n]]:
            own = {c: r for c in CONDITIONS if (r := run.records.sibling(label.rollout_id, c)) is not None}
            chosen.append(Chosen(run.records.items[label.item_id], label, own))
    return chosen


def fresh_temperature(run: ModelRun) -> float:
    """Temperature at which CoTs are drawn afresh."""
    stated = run.config.mediate.temperature
    return stated if stated is not None else decoding_of(run).temperature or GREEDY_INSTEAD


def _mediate(run: ModelRun, folder: Path) -> MediateAccount:
    chosen = choose(run, run.config.mediate.items, BEHAVIOURS, "mediate")
    fresh = _draw(run, folder, chosen)
    texts, reasons = _texts(run, chosen, fresh)
    rng = stream(run.config.seed, "mediate resamples", run.model_name)
    rows: list[MediationRow] = []
    effects: list[MediationEffect] = []
    for treatment in TREATMENTS:
        usable = [c for c in chosen if texts[c.item.id, treatment] and texts[c.item.id, "unhinted"]]
        if not usable:
            continue
        items = [_item(c, texts, treatment) for c in usable]
        cells = mediate(run.loaded, items, run.config.mediate.token_budget)
        rows += [_row(c, cells, k, treatment, items[k]) for k, c in enumerate(usable)]
        effects += _effects(usable, cells, treatment, run.config.compare.bootstrap, rng)
    parts = FinishedParts(folder)
    fixed, again = _cut_attention(run, parts, chosen, fresh)
    knockouts_table(folder).replace(fixed)
    cut_table(folder).replace(again)
    mediation_table(folder).replace(rows)
    effects_table(folder).replace(effects)
    parts.clear()
    return MediateAccount(
        items=len({row.item_id for row in rows}),
        chosen=dict(Counter(c.label.behaviour for c in chosen)),
        draws=run.config.mediate.draws,
        temperature=fresh_temperature(run),
        unread_texts=dict(reasons),
    )


def mediation_summary(run: ModelRun) -> MediationSummary:
    """What the report shows."""
    return MediationSummary(
        **run.account(MediateAccount).model_dump(),
        effects=run.records.read("mediate", effects_table),
        knockouts=run.records.read("mediate", knockouts_table),
        cut=run.records.read("mediate", cut_table),
    )


Texts = dict[tuple[str, str], list[Continuation]]


def _fresh_id(item_id: str, condition: str, index: int) -> str:
    return f"{item_id}:{condition}:fresh{index}"


def _draw(run: ModelRun, folder: Path, chosen: Sequence[Chosen]) -> dict[str, Rollout]:
    """Fresh completions of each item's hinted, unhinted and neutral prompt, by id."""
    draws = [
        Draw(_fresh_id(c.item.id, condition, index), c.item, base, fresh_seed(run, c.item, index))
        for c in chosen
        for condition, base in c.rollouts.items()
        if condition != "swapped"
        for index in range(run.config.mediate.draws)
    ]
    with run.reporter.bar("fresh CoTs", len(draws)) as tick:
        return draw_fresh(run, draws, fresh_temperature(run), fresh_table(folder), tick)


def _texts(run: ModelRun, chosen: Sequence[Chosen], fresh: dict[str, Rollout]) -> tuple[Texts, Counter[str]]:
    """Fresh CoTs of each item and condition, cut before the answer; reasons of those that cannot be."""
    item_of = {c.item.id: c.item for c in chosen}
    texts: Texts = {(c.item.id, condition): [] for c in chosen for condition in ("unhinted", *TREATMENTS)}
    reasons: Counter[str] = Counter()
    for rollout in fresh.values():
        text = up_to_answer(run.loaded.tokenizer, item_of[rollout.item_id], rollout)
        if isinstance(text, str):
            reasons[f"{rollout.condition}: {text}"] += 1
        else:
            texts[rollout.item_id, rollout.condition].append(text)
    return texts, reasons


def _cut_attention(
    run: ModelRun, parts: FinishedParts, chosen: Sequence[Chosen], fresh: dict[str, Rollout]
) -> tuple[list[KnockoutEffect], list[CutRedrawn]]:
    """Knock out attention to the hint, on the first fresh completion of each item."""
    fixed: list[KnockoutEffect] = []
    again: list[CutRedrawn] = []
    with run.reporter.bar("knockout", len(BEHAVIOURS) * len(run.config.mediate.cut)) as tick:
        for behaviour in BEHAVIOURS:
            of_it = [c for c in chosen if c.label.behaviour == behaviour]
            rows = [(c.item, c.label, fresh[_fresh_id(c.item.id, "hinted", 0)]) for c in of_it]
            for span in run.config.mediate.cut:
                part = parts.made(f"cut-{behaviour}-{span}", CutPart, partial(_cut, run, behaviour, span, rows))
                fixed += part.fixed
                again += part.again
                tick(1)
    return fixed, again


def _cut(run: ModelRun, behaviour: Behaviour, span: CutSpan, rows: Sequence[tuple[Item, Label, Rollout]]) -> CutPart:
    rng = stream(run.config.seed, "mediate cuts", run.model_name, behaviour, span)
    cuts = plan_cuts(run, span, rows, rng)
    if not cuts:
        return CutPart(fixed=(), again=())
    return CutPart(
        fixed=tuple(fixed_text(run, span, behaviour, cuts, rng)),
        again=tuple(written_again(run, span, behaviour, cuts, rng)),
    )


def _item(chosen: Chosen, texts: Texts, treatment: Treatment) -> MediationItem:
    label = chosen.label
    rival = label.unhinted_answer
    return MediationItem(
        treated=chosen.rollouts[treatment].prompt_ids,
        control=chosen.rollouts["unhinted"].prompt_ids,
        treated_texts=tuple(texts[label.item_id, treatment]),
        control_texts=tuple(texts[label.item_id, "unhinted"]),
        target=LETTERS.index(label.target),
        against=None if rival in (None, label.target) else LETTERS.index(str(rival)),
        group=label.group,
    )


def _row(chosen: Chosen, cells: MediationCells, index: int, treatment: Treatment, item: MediationItem) -> MediationRow:
    return MediationRow(
        item_id=chosen.item.id,
        behaviour=chosen.label.behaviour,
        treatment=treatment,
        draws=(len(item.control_texts), len(item.treated_texts)),
        logit_difference=tuple(float(v) for v in cells.logit_difference[index].ravel()),
        probability=tuple(float(v) for v in cells.probability[index].ravel()),
    )


def _effects(
    chosen: Sequence[Chosen], cells: MediationCells, treatment: Treatment, n_resamples: int, rng: np.random.Generator
) -> list[MediationEffect]:
    result = []
    for behaviour in BEHAVIOURS:
        of_it = [k for k, c in enumerate(chosen) if c.label.behaviour == behaviour]
        groups = [cells.groups[k] for k in of_it]
        for outcome in OUTCOMES if of_it else ():
            values = getattr(cells, outcome)[of_it]
            found = decompose(values, groups, n_resamples, rng, outcome)
            result += _records(found, behaviour, treatment, outcome, len(of_it))
    return result


def _records(
    found: Decomposition, behaviour: Behaviour, treatment: Treatment, outcome: Outcome, n: int
) -> list[MediationEffect]:
    records = []
    for name, estimate in found.effects.items():
        share = (found.shares or {}).get(name)
        records.append(
            MediationEffect(
                behaviour=behaviour, treatment=treatment, outcome=outcome, effect=name, n=n,
                value=estimate.value, low=estimate.low, high=estimate.high,
                share=share.value if share else None,
                no_share="" if share or name in ("total",) else found.no_shares,
                share_low=share.low if share else None,
                share_high=share.high if share else None,
            )
        )  # fmt: skip
    return records


STAGE = Stage(MediateAccount, "patch", ("judge",), lambda run, _: run_mediate(run), "mediation", mediation_summary)
