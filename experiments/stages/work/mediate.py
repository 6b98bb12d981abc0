"""The mediation at work: texts are drawn afresh and read under both prompts, then attention to the hint is cut."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.interventions.redraw import Draw, draw_fresh, fresh_seed, up_to_answer
from experiments.records import LETTERS, Behaviour, Condition, Item, Label, Rollout
from experiments.records.accounts import MediateAccount
from experiments.records.causal import CutRow, MediationEffect, MediationRow, Outcome, Treatment
from experiments.records.seeds import stream
from experiments.records.stages import (
    cut_table,
    cuts_table,
    effects_table,
    fresh_table,
    knockouts_table,
    mediation_table,
)
from experiments.run.model_run import ModelRun
from experiments.run.progress import Tick
from experiments.run.sampling import decoding_of
from experiments.stages.work.knockouts import cut_effects, cut_rows
from probes.mediation import Continuation, Decomposition, MediationCells, MediationItem, decompose, mediate
from probes.names import KEYS, PATHS

BEHAVIOURS: tuple[Behaviour, ...] = ("reliant", "aligned", "resisted")
TREATMENTS: tuple[Treatment, ...] = ("hinted", "neutral")
CONDITIONS: tuple[Condition, ...] = ("hinted", "unhinted", "swapped", "neutral")
OUTCOMES: tuple[Outcome, ...] = ("logit_difference", "probability")
_FORWARDS = 6
"""Forwards that a fresh draw and its readings are worth, roughly."""
GREEDY_INSTEAD = 0.7
"""Temperature of fresh draws where the run itself was greedy: greedy draws would be those that chose the rows."""


@dataclass(frozen=True)
class Chosen:
    """An item with its label and the rollouts it was labelled by."""

    item: Item
    label: Label
    rollouts: dict[Condition, Rollout]


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


@dataclass
class Mediation:
    """The mediation at work. Rows are chosen items."""

    run: ModelRun
    folder: Path
    title: str = "fresh CoTs, then attention cut"
    batched: bool = True

    def __post_init__(self) -> None:
        self.settings = self.run.config.mediate
        self.chosen = choose(self.run, self.settings.items, BEHAVIOURS, "mediate")
        self.keys: Sequence[str] = [c.item.question.id for c in self.chosen]
        self.forwards = _FORWARDS * self.settings.draws * len(self.chosen)
        self.tables = fresh_table(self.folder), mediation_table(self.folder), cuts_table(self.folder)
        fresh, cells, cuts = self.tables
        self.fresh = {rollout.id: rollout for rollout in fresh.resume()}
        self.cells = {(row.item_id, row.behaviour, row.treatment): row for row in cells.resume()}
        self.cuts = {(row.item_id, row.behaviour, row.span, row.path, row.keys): row for row in cuts.resume()}

    def ticks(self, rows: Sequence[int]) -> int:
        """Completions to be drawn."""
        return len(self._draws([self.chosen[row] for row in rows]))

    def _draws(self, chosen: Sequence[Chosen]) -> list[Draw]:
        """Fresh completions of each item's hinted, unhinted and neutral prompt; an item of two behaviours has one."""
        draws = [
            Draw(_fresh_id(c.item.id, condition, index), c.item, base, fresh_seed(self.run, c.item, index))
            for c in chosen
            for condition, base in c.rollouts.items()
            if condition != "swapped"
            for index in range(self.settings.draws)
        ]
        return list({draw.id: draw for draw in draws}.values())

    def do(self, rows: Sequence[int], tick: Tick) -> None:
        """Draw texts of some items, read them in their four cells, and cut attention to the hint."""
        run, (fresh_rows, cell_rows, cut_rows_) = self.run, self.tables
        chosen = [self.chosen[row] for row in rows]
        fresh = draw_fresh(run, self._draws(chosen), fresh_temperature(run), fresh_rows, self.fresh, tick)
        texts, _ = _texts(run, chosen, fresh)
        for treatment in TREATMENTS:
            usable = [c for c in chosen if texts[c.item.id, treatment] and texts[c.item.id, "unhinted"]]
            if all((c.item.id, c.label.behaviour, treatment) in self.cells for c in usable):
                continue
            items = [_item(c, texts, treatment) for c in usable]
            cells = mediate(run.loaded, items, self.settings.token_budget)
            found = [_row(c, cells, k, treatment, items[k]) for k, c in enumerate(usable)]
            cell_rows.append(found)
            self.cells.update({(row.item_id, row.behaviour, row.treatment): row for row in found})
        first = [(c.item, c.label, fresh[_fresh_id(c.item.id, "hinted", 0)]) for c in chosen]
        done = {(item, behaviour, span) for item, behaviour, span, _, _ in self.cuts}
        for span in self.settings.cut:
            if not all((c.item.id, c.label.behaviour, span) in done for c in chosen):
                cuts = cut_rows(run, span, first)
                cut_rows_.append(cuts)
                self.cuts.update({(row.item_id, row.behaviour, row.span, row.path, row.keys): row for row in cuts})

    def close(self) -> dict[str, Any]:
        """Nothing that the tables do not tell."""
        return {}

    def finish(self, counts: Mapping[str, Any]) -> MediateAccount:
        """Effects over all items."""
        run, (fresh_rows, cell_rows, cut_rows_) = self.run, self.tables
        rng = stream(run.config.seed, "mediate resamples", run.model_name)
        n_resamples = run.config.compare.bootstrap
        fresh = {draw.id: self.fresh[draw.id] for draw in self._draws(self.chosen)}
        fresh_rows.replace(fresh.values())
        order = {(c.item.id, c.label.behaviour): k for k, c in enumerate(self.chosen)}
        place = {treatment: k for k, treatment in enumerate(TREATMENTS)}
        cells = sorted(self.cells.values(), key=lambda r: (place[r.treatment], order[r.item_id, r.behaviour]))
        cell_rows.replace(cells)
        cuts = sorted(self.cuts.values(), key=lambda r: _cut_order(run, r, order))
        cut_rows_.replace(cuts)
        labels = {(c.item.id, c.label.behaviour): c.label for c in self.chosen}
        effects = [e for treatment in TREATMENTS for e in _effects(cells, labels, treatment, n_resamples, rng)]
        effects_table(self.folder).replace(effects)
        fixed, again = cut_effects(cuts, labels, n_resamples, rng)
        knockouts_table(self.folder).replace(fixed)
        cut_table(self.folder).replace(again)
        return MediateAccount(
            items=len({row.item_id for row in cells}),
            chosen=dict(Counter(c.label.behaviour for c in self.chosen)),
            draws=self.settings.draws,
            temperature=fresh_temperature(run),
            unread_texts=dict(_texts(run, self.chosen, fresh)[1]),
        )


def _cut_order(run: ModelRun, row: CutRow, order: Mapping[tuple[str, Behaviour], int]) -> tuple[int, ...]:
    """By behaviour, span, path and keys, then by item."""
    place = BEHAVIOURS.index(row.behaviour), run.config.mediate.cut.index(row.span)
    return *place, PATHS.index(row.path), KEYS.index(row.keys), order[row.item_id, row.behaviour]


Texts = dict[tuple[str, str], list[Continuation]]


def _fresh_id(item_id: str, condition: str, index: int) -> str:
    return f"{item_id}:{condition}:fresh{index}"


def _texts(run: ModelRun, chosen: Sequence[Chosen], fresh: dict[str, Rollout]) -> tuple[Texts, Counter[str]]:
    """Fresh CoTs of each item and condition, cut before the answer; reasons of those that cannot be."""
    item_of = {c.item.id: c.item for c in chosen}
    texts: Texts = {(c.item.id, condition): [] for c in chosen for condition in ("unhinted", *TREATMENTS)}
    reasons: Counter[str] = Counter()
    for rollout in fresh.values():
        text = up_to_answer(run.tokenizer, item_of[rollout.item_id], rollout)
        if isinstance(text, str):
            reasons[f"{rollout.condition}: {text}"] += 1
        else:
            texts[rollout.item_id, rollout.condition].append(text)
    return texts, reasons


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
    cells: Sequence[MediationRow],
    label_of: Mapping[tuple[str, Behaviour], Label],
    treatment: Treatment,
    n_resamples: int,
    rng: np.random.Generator,
) -> list[MediationEffect]:
    result = []
    for behaviour in BEHAVIOURS:
        of_it = [row for row in cells if (row.treatment, row.behaviour) == (treatment, behaviour)]
        groups = [label_of[row.item_id, row.behaviour].group for row in of_it]
        for outcome in OUTCOMES if of_it else ():
            values = np.array([getattr(row, outcome) for row in of_it]).reshape(-1, 2, 2)
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
