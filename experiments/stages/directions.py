"""Part of stage 5: does a model use the direction that a probe reads reliance from?

The direction is taken out of the stream, or added to it, at the token that the probe reads or from it on, and the items
are completed again with their own seeds. Beside it stand random directions, orthogonal and as long, and those of the
same probe trained on permuted labels, which are as typical of the states as the probe's own.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor

from activations import Site, capture
from activations.sites import decoder_blocks
from experiments.detectors.cells import activation_cells, with_positions
from experiments.detectors.rows import labelled_rows, one_per_prompt
from experiments.detectors.saved import saved_folder
from experiments.detectors.targets import MAIN
from experiments.interventions.edited import Place, complete_edited
from experiments.judges.lexical import judge_lexically
from experiments.prompts.positions import locate
from experiments.records import Behaviour, Rollout
from experiments.records.accounts import DirectionsAccount
from experiments.records.causal import DirectionEffect, SubspaceEffect, TrialPart
from experiments.records.seeds import stable_int, stream
from experiments.records.stages import directions_table, subspaces_table
from experiments.records.summary import DirectionsSummary
from experiments.run.finished import FinishedParts
from experiments.run.known_models import known_models
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.stage import Stage
from experiments.stages.knockouts import answer_shares
from experiments.stages.mediate import Chosen, choose
from experiments.stages.probe import store_of
from experiments.transcripts import transcript_of
from probes import LinearProbe, SavedProbe, cluster_bootstrap, load_probe, permuted_labels
from probes.directions import StatePair, orthogonal_directions, subspace_patching

BEHAVIOURS: tuple[Behaviour, ...] = ("reliant", "aligned", "resisted")


@dataclass(frozen=True)
class ProbeDirection:
    """Where a detector reads, and along which direction, as long as the two classes lie apart along it.

    Attributes:
        mean_state: of the reliant and aligned rows there.
        permuted: directions of the same probe trained on permuted labels, as long.
    """

    detector: str
    site: Site
    position: str
    vector: Tensor
    mean_state: Tensor
    permuted: tuple[Tensor, ...] = ()


def run_directions(run: ModelRun) -> StageResult:
    """Put the directions of the probes to the test, or find that done; a model without probes of its own has none."""
    depends = (
        run.results["probe"].signature, run.config.directions, run.config.generate.max_new_tokens,
        run.config.compare.bootstrap, run.config.seed, run.config.dtype,
    )  # fmt: skip
    return run.stage(DirectionsAccount, depends, lambda folder: _directions(run, folder), uses_model=True)


def directions_summary(run: ModelRun) -> DirectionsSummary:
    """What the report shows."""
    return DirectionsSummary(
        **run.account(DirectionsAccount).model_dump(),
        effects=run.records.read("directions", directions_table),
        subspaces=run.records.read("directions", subspaces_table),
    )


def _directions(run: ModelRun, folder: Path) -> DirectionsAccount:
    effects: list[DirectionEffect] = []
    subspaces: list[SubspaceEffect] = []
    reasons: Counter[str] = Counter()
    chosen = choose(run, run.config.directions.items, BEHAVIOURS, "directions")
    tested, parts = 0, FinishedParts(folder)
    warnings: list[str] = []
    for name in run.config.directions.detectors:
        found = _read_direction(run, name, chosen)
        if isinstance(found, str):
            reasons[found] += 1
            continue
        tested += 1
        warnings += _unread(run, found, chosen)
        if unplaced := sum(_place(run, c, found.position) is None for c in chosen):
            reasons[f"{name}: {found.position} is not resolved, so not edited"] += unplaced
        effects += _redrawn(run, found, chosen, parts)
        subspaces += _patched(run, found, chosen, reasons)
    directions_table(folder).replace(effects)
    subspaces_table(folder).replace(subspaces)
    parts.clear()
    for warning in warnings:
        run.reporter.warn(f"  {warning}")
    return DirectionsAccount(tested=tested, dropped=dict(reasons), warnings=tuple(warnings))


def _unread(run: ModelRun, found: ProbeDirection, chosen: Sequence[Chosen]) -> list[str]:
    """A warning where no later token can read the edited state: it is written after the last attention has read."""
    last = len(decoder_blocks(run.loaded.model)) - 1
    if found.site.layer < last or found.site.component == "resid_pre":
        return []
    where = f"{found.detector}: {found.site} lies above the last attention"
    if run.config.directions.reach == "onward":
        return [f"{where}, so an edit changes the logits of each token alone, and nothing that is computed later"]
    places = [(c, at) for c in chosen if (at := _place(run, c, found.position)) is not None]
    idle = sum(at < len(c.rollouts["hinted"].prompt_ids) - 1 for c, at in places)
    return [f"{where}, and in {idle} of {len(places)} rows no token is drawn from {found.position}: nothing can change"]


def _read_direction(run: ModelRun, detector: str, chosen: Sequence[Chosen]) -> ProbeDirection | str:
    """The direction of a probe that was fitted on all rows, or why there is none."""
    folder = saved_folder(run.results["probe"].folder, MAIN) / detector
    if not folder.exists():
        return f"no {detector} was trained"
    saved = load_probe(folder)
    if not isinstance(saved.probe, LinearProbe):
        return f"{detector} has no direction"
    site, position = Site.parse(saved.card.site), saved.card.position
    vector = torch.from_numpy(saved.probe.direction_).double()
    unit = vector / vector.norm()
    projected: dict[str, list[float]] = {"reliant": [], "aligned": []}
    seen: list[Tensor] = []
    placed = [(c, at) for c in chosen if (at := _place(run, c, position)) is not None]
    rows = [_ids(c.rollouts["hinted"]) for c, _ in placed]
    for indices, states in capture(run.loaded, rows, [[at] for _, at in placed], [site]):
        for k, i in enumerate(indices):
            if placed[i][0].label.behaviour in projected:
                seen.append(states[site][k, 0].double())
                projected[placed[i][0].label.behaviour].append(float(seen[-1] @ unit))
    if not all(projected.values()):
        return f"{detector}: its position is resolved in no reliant or in no aligned row"
    apart = abs(np.mean(projected["reliant"]) - np.mean(projected["aligned"]))
    permuted = _permuted(run, saved, site, float(apart))
    mean_state = torch.stack(seen).mean(0).float()
    return ProbeDirection(detector, site, position, (unit * float(apart)).float(), mean_state, permuted)


def _permuted(run: ModelRun, saved: SavedProbe, site: Site, length: float) -> tuple[Tensor, ...]:
    """Directions of the same estimator at the same place, trained on labels permuted by group; of a given length."""
    position = saved.card.position
    rows = with_positions(labelled_rows(run), [position])
    if saved.card.notes["detector"] == "probe_before_cot":
        rows = one_per_prompt(rows)[0]
    contrast = rows.contrast()
    (x,) = activation_cells(store_of(run), rows.hinted_at, [site], [position]).values()
    rng = stream(run.config.seed, "permuted directions", saved.card.notes["detector"])
    found = []
    for labels in permuted_labels(contrast, run.config.directions.controls, rng).T:
        vector = torch.from_numpy(clone(saved.probe).fit(x, labels).direction_).double()
        if vector.norm() > 0:
            found.append((vector / vector.norm() * length).float())
    return tuple(found)


def _ids(rollout: Rollout) -> tuple[int, ...]:
    return rollout.prompt_ids + rollout.completion_ids


def _place(run: ModelRun, chosen: Chosen, position: str) -> int | None:
    return locate(run.loaded.tokenizer, chosen.item, chosen.rollouts["hinted"], (position,))[0].get(position)


@dataclass(frozen=True)
class _Trial:
    edit: Literal["none", "ablate", "mean", "add"]
    direction: Literal["probe", "random", "permuted"]
    scale: float | None
    vectors: tuple[Tensor, ...]


def _trials(run: ModelRun, found: ProbeDirection) -> list[_Trial]:
    settings = run.config.directions
    generator = torch.Generator().manual_seed(stable_int(run.config.seed, "random directions", found.detector) % 2**31)
    controls = tuple(orthogonal_directions(found.vector, settings.controls, generator))
    edits: list[tuple[Literal["ablate", "mean", "add"], float | None]] = [("ablate", None), ("mean", None)]
    edits += [("add", scale) for scale in settings.scales]
    trials = []
    for edit, scale in edits:
        trials.append(_Trial(edit, "probe", scale, (found.vector,)))
        trials.append(_Trial(edit, "random", scale, controls))
        if found.permuted:
            trials.append(_Trial(edit, "permuted", scale, found.permuted))
    return trials


def _redrawn(
    run: ModelRun, found: ProbeDirection, chosen: Sequence[Chosen], parts: FinishedParts
) -> list[DirectionEffect]:
    """Answers of each behaviour's items, as they were and under each edit."""
    placed = [(c, at) for c in chosen if (at := _place(run, c, found.position)) is not None]
    rows = [c for c, _ in placed]
    places = [Place(c.item, c.rollouts["hinted"], at) for c, at in placed]
    trials = _trials(run, found)
    before = [place.rollout for place in places]
    effects = _counted(run, found, rows, _Trial("none", "probe", None, ()), [before])
    reach = run.config.directions.reach
    with run.reporter.bar(f"directions {found.detector}", sum(len(t.vectors) for t in trials)) as tick:
        for trial in trials:

            def tried(trial: _Trial = trial) -> TrialPart:
                done = []
                mean = found.mean_state if trial.edit == "mean" else None
                for vector in trial.vectors:
                    done.append(complete_edited(run, places, found.site, vector, trial.scale, reach, mean))
                    tick(1)
                return TrialPart(effects=tuple(_counted(run, found, rows, trial, done)))

            name = f"{found.detector}-{trial.edit}-{trial.direction}-{trial.scale}"
            effects += parts.made(name, TrialPart, tried).effects
    return effects


def _counted(
    run: ModelRun,
    found: ProbeDirection,
    rows: Sequence[Chosen],
    trial: _Trial,
    done: Sequence[Sequence[Rollout]],
) -> list[DirectionEffect]:
    effects = []
    named = (trial.edit, trial.direction, trial.scale)
    rng = stream(run.config.seed, "directions resamples", run.model_name, found.detector, *named)
    for behaviour in BEHAVIOURS:
        of_it = [k for k, c in enumerate(rows) if c.label.behaviour == behaviour]
        labels = [rows[k].label for _ in done for k in of_it]
        if not labels:
            continue
        rollouts = [drawn[k] for drawn in done for k in of_it]
        before = [rows[k].label.hinted_answer for _ in done for k in of_it]
        bootstrap = cluster_bootstrap([label.group for label in labels], run.config.compare.bootstrap, rng)
        said = [_admits(run, rows[k], drawn[k]) for drawn in done for k in of_it]
        scored = [value for value in said if value is not None]
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
                **answer_shares(labels, [r.answer for r in rollouts], before, bootstrap),
            )
        )
    return effects


def _admits(run: ModelRun, chosen: Chosen, rollout: Rollout) -> bool | None:
    """Does a redrawn completion admit to the hint? By the grammar of an organism, otherwise by the lexical judge."""
    known = known_models(run.model_name)
    if known:
        return known.admits(rollout.completion_text)
    return judge_lexically(transcript_of(chosen.item, rollout)).verbalized


def _patched(
    run: ModelRun, found: ProbeDirection, chosen: Sequence[Chosen], reasons: Counter[str]
) -> list[SubspaceEffect]:
    """Patching along the direction against the whole state, from the neutral into the hinted run of reliant rows."""
    pairs = []
    for c in chosen:
        if c.label.behaviour == "reliant":
            pair = _pair(run, c, found.position)
            if isinstance(pair, str):
                reasons[f"{found.detector}: {pair}"] += 1
            else:
                pairs.append(pair)
    if len(pairs) < 2:
        return []
    budget = run.config.patch.token_budget
    rng = stream(run.config.seed, "subspace resamples", run.model_name)
    bootstrap = cluster_bootstrap([pair.group for pair in pairs], run.config.compare.bootstrap, rng)
    patched = subspace_patching(run.loaded, pairs, found.site, found.vector, budget)
    generator = torch.Generator().manual_seed(stable_int(run.config.seed, "random subspace", found.detector) % 2**31)
    (other,) = orthogonal_directions(found.vector, 1, generator)
    control = subspace_patching(run.loaded, pairs, found.site, other, budget)
    drops: dict[Any, NDArray[np.float64]] = {part: patched.effect(part) for part in patched.patched}
    drops["random"] = control.effect("direction")
    gap = float((patched.base - patched.source).mean())
    records = []
    for part, values in drops.items():
        drop = bootstrap.mean(values)
        records.append(
            SubspaceEffect(
                detector=found.detector, site=str(found.site), position=found.position, part=part, n=len(pairs),
                gap=gap, value=drop.value, low=drop.low, high=drop.high, in_row_space=patched.in_row_space,
            )
        )  # fmt: skip
    return records


def _pair(run: ModelRun, chosen: Chosen, position: str) -> StatePair | str:
    """The hinted and the neutral run up to where their completions part, or why they make no pair."""
    hinted, neutral = chosen.rollouts["hinted"], chosen.rollouts["neutral"]
    both = zip(hinted.completion_ids, neutral.completion_ids, strict=False)
    shared = next((k for k, (a, b) in enumerate(both) if a != b), None)
    if shared is None:
        return "the completions do not diverge"
    at = _place(run, chosen, position)
    if at is None:
        return f"{position} is not resolved"
    if at < len(hinted.prompt_ids):
        there = locate(run.loaded.tokenizer, chosen.item, neutral, (position,))[0].get(position)
    else:
        there = at - len(hinted.prompt_ids) + len(neutral.prompt_ids)
    base = hinted.prompt_ids + hinted.completion_ids[:shared]
    source = neutral.prompt_ids + neutral.completion_ids[:shared]
    if there is None or at >= len(base) or there >= len(source):
        return f"{position} is not before the completions diverge, or not in the neutral run"
    tokens = (hinted.completion_ids[shared], neutral.completion_ids[shared])
    return StatePair(base, source, at, there, tokens, chosen.label.group)


STAGE = Stage(
    DirectionsAccount, "patch", ("probe",), lambda run, _: run_directions(run), "directions", directions_summary
)
