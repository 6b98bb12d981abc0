"""The test of directions at work: items completed again under every edit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from experiments.interventions.edited import Place, complete_edited
from experiments.judges.lexical import judge_lexically
from experiments.records import Behaviour, Rollout
from experiments.records.accounts import DirectionsAccount
from experiments.records.causal import DirectionEffect, DirectionRow
from experiments.records.seeds import stream
from experiments.records.stages import directions_table, edited_table, subspaces_table
from experiments.run.known_models import known_models
from experiments.run.model_run import ModelRun
from experiments.run.progress import Tick
from experiments.stages.work.knockouts import answer_shares
from experiments.stages.work.mediate import Chosen, choose
from experiments.stages.work.probe_directions import (
    ProbeDirection,
    Vectors,
    read_direction,
    subspace_effects,
    unread,
    vectors_of,
)
from experiments.transcripts import transcript_of
from probes import cluster_bootstrap

BEHAVIOURS: tuple[Behaviour, ...] = ("reliant", "aligned", "resisted")


@dataclass
class Directing:
    """The test at work. Rows are the chosen items, then the detectors, whose subspaces are patched over all pairs."""

    run: ModelRun
    folder: Path
    title: str = "directions"
    batched: bool = True

    def __post_init__(self) -> None:
        settings = self.run.config.directions
        self.chosen = choose(self.run, settings.items, BEHAVIOURS, "directions")
        read = {name: read_direction(self.run, name, self.chosen) for name in settings.detectors}
        self.refused = [found for found in read.values() if isinstance(found, str)]
        self.probes = [found for found in read.values() if isinstance(found, ProbeDirection)]
        self.keys: Sequence[str] = [c.item.question.id for c in self.chosen] + [probe.detector for probe in self.probes]
        self.edits = (2 + len(settings.scales)) * (1 + 2 * settings.controls) * len(self.probes)
        self.forwards = self.edits * len(self.chosen)
        self.tables = edited_table(self.folder), subspaces_table(self.folder)
        self.done = {_key(row): row for row in self.tables[0].resume()}
        self.subspaces = {(row.detector, row.part): row for row in self.tables[1].resume()}
        self.reasons: Counter[str] = Counter()
        self.vectors: dict[str, Vectors] = {}

    def ticks(self, rows: Sequence[int]) -> int:
        """Edits of these rows together."""
        return self.edits if min(rows) < len(self.chosen) else 0

    def vector(self, probe: ProbeDirection) -> Vectors:
        """The direction and its controls, told from all chosen rows."""
        if probe.detector not in self.vectors:
            self.vectors[probe.detector] = vectors_of(self.run, probe)
        return self.vectors[probe.detector]

    def do(self, rows: Sequence[int], tick: Tick) -> None:
        """Complete some items under every edit, and patch the subspaces of some detectors."""
        mine = {id(self.chosen[row]) for row in rows if row < len(self.chosen)}
        for probe in self.probes:
            placed = [(c, at) for c, at in probe.placed if id(c) in mine]
            for trial in _trials(self.run, self.vector(probe)) if placed else ():
                for draw, vector in enumerate(trial.vectors):
                    keys = [_key_of(c, probe, trial, draw) for c, _ in placed]
                    if not all(key in self.done for key in keys):
                        mean = self.vector(probe).mean_state if trial.edit == "mean" else None
                        new = _edited(self.run, probe, placed, trial, vector, draw, mean)
                        self.tables[0].append(new)
                        self.done.update({_key(row): row for row in new})
                    tick(1)
        for row in rows:
            if row >= len(self.chosen):
                probe = self.probes[row - len(self.chosen)]
                found = subspace_effects(self.run, probe, self.vector(probe).own, self.reasons)
                self.tables[1].append(found)
                self.subspaces.update({(record.detector, record.part): record for record in found})

    def close(self) -> dict[str, Any]:
        """Pairs that could not be patched."""
        return {"dropped": dict(self.reasons)}

    def finish(self, counts: Mapping[str, Any]) -> DirectionsAccount:
        """Answers of each behaviour's items, as they were and under each edit."""
        run, reasons, warnings = self.run, Counter(self.refused), list[str]()
        names = [probe.detector for probe in self.probes]
        effects, ordered = list[DirectionEffect](), list[DirectionRow]()
        for probe in self.probes:
            warnings += unread(run, probe)
            if unplaced := len(self.chosen) - len(probe.placed):
                reasons[f"{probe.detector}: {probe.position} is not resolved, so not edited"] += unplaced
            effects += _counted(run, probe, _AS_IT_WAS, [[_as_drawn(run, probe, c) for c, _ in probe.placed]])
            for trial in _trials(run, None):
                drawn = [
                    [self.done[_key_of(c, probe, trial, draw)] for c, _ in probe.placed]
                    for draw in range(run.config.directions.controls)
                    if _key_of(probe.placed[0][0], probe, trial, draw) in self.done
                ]
                ordered += [row for rows in drawn for row in rows]
                effects += _counted(run, probe, trial, drawn)
        self.tables[0].replace(ordered)
        self.tables[1].replace(sorted(self.subspaces.values(), key=lambda row: names.index(row.detector)))
        directions_table(self.folder).replace(effects)
        reasons.update(counts["dropped"])
        for warning in warnings:
            run.reporter.warn(f"  {warning}")
        return DirectionsAccount(tested=len(self.probes), dropped=dict(reasons), warnings=tuple(warnings))


Key = tuple[str, str, str, str, str, float | None, int]


def _key(row: DirectionRow) -> Key:
    return row.item_id, row.behaviour, row.detector, row.edit, row.direction, row.scale, row.draw


def _key_of(chosen: Chosen, probe: ProbeDirection, trial: "_Trial", draw: int) -> Key:
    behaviour = chosen.label.behaviour
    return chosen.item.id, behaviour, probe.detector, trial.edit, trial.direction, trial.scale, draw


@dataclass(frozen=True)
class _Trial:
    edit: Literal["none", "ablate", "mean", "add"]
    direction: Literal["probe", "random", "permuted"]
    scale: float | None
    vectors: tuple[Tensor, ...]


_AS_IT_WAS = _Trial("none", "probe", None, ())


def _trials(run: ModelRun, found: Vectors | None) -> list[_Trial]:
    """Every edit along every kind of direction; without vectors, those that may have been made."""
    edits: list[tuple[Literal["ablate", "mean", "add"], float | None]] = [("ablate", None), ("mean", None)]
    edits += [("add", scale) for scale in run.config.directions.scales]
    trials = []
    for edit, scale in edits:
        trials.append(_Trial(edit, "probe", scale, (found.own,) if found else ()))
        trials.append(_Trial(edit, "random", scale, found.random if found else ()))
        trials.append(_Trial(edit, "permuted", scale, found.permuted if found else ()))
    return trials


def _edited(
    run: ModelRun,
    found: ProbeDirection,
    placed: Sequence[tuple[Chosen, int]],
    trial: _Trial,
    vector: Tensor,
    draw: int,
    mean_state: Tensor | None,
) -> list[DirectionRow]:
    """Items completed again under one edit."""
    places = [Place(c.item, c.rollouts["hinted"], at) for c, at in placed]
    drawn = complete_edited(run, places, found.site, vector, trial.scale, run.config.directions.reach, mean_state)
    return [_as_row(run, found, c, rollout, trial, draw) for (c, _), rollout in zip(placed, drawn, strict=True)]


def _as_drawn(run: ModelRun, found: ProbeDirection, chosen: Chosen) -> DirectionRow:
    """An item as it was, nothing edited."""
    return _as_row(run, found, chosen, chosen.rollouts["hinted"], _AS_IT_WAS, 0)


def _as_row(
    run: ModelRun, found: ProbeDirection, chosen: Chosen, rollout: Rollout, trial: _Trial, draw: int
) -> DirectionRow:
    return DirectionRow(
        item_id=chosen.item.id,
        behaviour=chosen.label.behaviour,
        detector=found.detector,
        edit=trial.edit,
        direction=trial.direction,
        scale=trial.scale,
        draw=draw,
        answer=rollout.answer,
        verbalized=_admits(run, chosen, rollout),
    )


def _counted(
    run: ModelRun,
    found: ProbeDirection,
    trial: _Trial,
    drawn: Sequence[Sequence[DirectionRow]],
) -> list[DirectionEffect]:
    """Per behaviour, the answers over all its items and all directions of a trial."""
    effects = []
    named = (trial.edit, trial.direction, trial.scale)
    rng = stream(run.config.seed, "directions resamples", run.model_name, found.detector, *named)
    label_of = [c.label for c, _ in found.placed]
    for behaviour in BEHAVIOURS:
        of_it = [k for k, label in enumerate(label_of) if label.behaviour == behaviour]
        labels = [label_of[k] for _ in drawn for k in of_it]
        if not labels:
            continue
        rows = [done[k] for done in drawn for k in of_it]
        bootstrap = cluster_bootstrap([label.group for label in labels], run.config.compare.bootstrap, rng)
        scored = [row.verbalized for row in rows if row.verbalized is not None]
        before = [label.hinted_answer for label in labels]
        effects.append(
            DirectionEffect(
                behaviour=behaviour,
                detector=found.detector,
                site=str(found.site),
                position=found.position,
                reach=run.config.directions.reach,
                edit=trial.edit,
                direction=trial.direction,
                scale=trial.scale,
                verbalized=float(np.mean(scored)) if scored else None,
                **answer_shares(labels, [row.answer for row in rows], before, bootstrap),
            )
        )
    return effects


def _admits(run: ModelRun, chosen: Chosen, rollout: Rollout) -> bool | None:
    """Does a redrawn completion admit to the hint? By the grammar of an organism, otherwise by the lexical judge."""
    known = known_models(run.model_name)
    if known:
        return known.admits(rollout.completion_text)
    return judge_lexically(transcript_of(chosen.item, rollout)).verbalized
