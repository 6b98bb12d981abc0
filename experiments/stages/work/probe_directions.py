"""Where a probe reads and along which direction, and what patching along that direction does."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor

from activations import Site, capture
from activations.models import count_layers
from experiments.detectors.cells import StoredCells, with_positions
from experiments.detectors.rows import labelled_rows, one_per_prompt
from experiments.detectors.saved import saved_folder
from experiments.detectors.targets import MAIN
from experiments.prompts.positions import locate
from experiments.records import Rollout
from experiments.records.causal import SubspaceEffect
from experiments.records.seeds import stable_int, stream
from experiments.run.model_run import ModelRun
from experiments.stages.probe import store_of
from experiments.stages.work.mediate import Chosen
from probes import LinearProbe, SavedProbe, cluster_bootstrap, load_probe, permuted_labels
from probes.directions import StatePair, orthogonal_directions, subspace_patching


@dataclass(frozen=True)
class ProbeDirection:
    """Where a detector reads, and along which direction; the rows in which its position is resolved, and where.

    Attributes:
        saved: the detector itself.
        unit: the direction, of length one.
    """

    detector: str
    site: Site
    position: str
    saved: SavedProbe
    unit: Tensor
    placed: tuple[tuple[Chosen, int], ...]


def read_direction(run: ModelRun, detector: str, chosen: Sequence[Chosen]) -> ProbeDirection | str:
    """The direction of a probe that was fitted on all rows, or why there is none."""
    folder = saved_folder(run.results["probe"].folder, MAIN) / detector
    if not folder.exists():
        return f"no {detector} was trained"
    saved = load_probe(folder)
    if not isinstance(saved.probe, LinearProbe):
        return f"{detector} has no direction"
    site, position = Site.parse(saved.card.site), saved.card.position
    vector = torch.from_numpy(saved.probe.direction_).double()
    placed = tuple((c, at) for c in chosen if (at := _place(run, c, position)) is not None)
    if not {"reliant", "aligned"} <= {c.label.behaviour for c, _ in placed}:
        return f"{detector}: its position is resolved in no reliant or in no aligned row"
    return ProbeDirection(detector, site, position, saved, vector / vector.norm(), placed)


@dataclass(frozen=True)
class Vectors:
    """A direction as long as the two classes lie apart along it, and its controls.

    Attributes:
        random: orthogonal directions, as long.
        permuted: directions of the same probe trained on permuted labels, as long.
        mean_state: of the reliant and aligned rows.
    """

    own: Tensor
    random: tuple[Tensor, ...]
    permuted: tuple[Tensor, ...]
    mean_state: Tensor


def vectors_of(run: ModelRun, found: ProbeDirection) -> Vectors:
    """The direction and its controls, told from all rows in which its position is resolved."""
    projected: dict[str, list[float]] = {"reliant": [], "aligned": []}
    seen: list[Tensor] = []
    rows = [_ids(c.rollouts["hinted"]) for c, _ in found.placed]
    for indices, states in capture(run.loaded, rows, [[at] for _, at in found.placed], [found.site]):
        for k, i in enumerate(indices):
            if (behaviour := found.placed[i][0].label.behaviour) in projected:
                seen.append(states[found.site][k, 0].double())
                projected[behaviour].append(float(seen[-1] @ found.unit))
    apart = float(abs(np.mean(projected["reliant"]) - np.mean(projected["aligned"])))
    own = (found.unit * apart).float()
    seed = stable_int(run.config.seed, "random directions", found.detector) % 2**31
    controls = orthogonal_directions(own, run.config.directions.controls, torch.Generator().manual_seed(seed))
    return Vectors(own, tuple(controls), _permuted(run, found, apart), torch.stack(seen).mean(0).float())


def _permuted(run: ModelRun, found: ProbeDirection, length: float) -> tuple[Tensor, ...]:
    """Directions of the same estimator at the same place, trained on labels permuted by group; of a given length."""
    saved, site, position = found.saved, found.site, found.position
    rows = with_positions(labelled_rows(run), [position])
    if saved.card.notes["detector"] == "probe_before_cot":
        rows = one_per_prompt(rows)[0]
    contrast = rows.contrast()
    (x,) = StoredCells(store_of(run), rows.hinted_at, [site], [position]).values()
    rng = stream(run.config.seed, "permuted directions", saved.card.notes["detector"])
    vectors = []
    for labels in permuted_labels(contrast, run.config.directions.controls, rng).T:
        vector = torch.from_numpy(clone(saved.probe).fit(x, labels).direction_).double()
        if vector.norm() > 0:
            vectors.append((vector / vector.norm() * length).float())
    return tuple(vectors)


def unread(run: ModelRun, found: ProbeDirection) -> list[str]:
    """A warning where no later token can read the edited state: it is written after the last attention has read."""
    last = count_layers(run.source) - 1
    if found.site.layer < last or found.site.component == "resid_pre":
        return []
    where = f"{found.detector}: {found.site} lies above the last attention"
    if run.config.directions.reach == "onward":
        return [f"{where}, so an edit changes the logits of each token alone, and nothing that is computed later"]
    idle = sum(at < len(c.rollouts["hinted"].prompt_ids) - 1 for c, at in found.placed)
    n = len(found.placed)
    return [f"{where}, and in {idle} of {n} rows no token is drawn from {found.position}: nothing can change"]


def _ids(rollout: Rollout) -> tuple[int, ...]:
    return rollout.prompt_ids + rollout.completion_ids


def _place(run: ModelRun, chosen: Chosen, position: str) -> int | None:
    return locate(run.tokenizer, chosen.item, chosen.rollouts["hinted"], (position,))[0].get(position)


def subspace_effects(
    run: ModelRun, found: ProbeDirection, vector: Tensor, reasons: Counter[str]
) -> list[SubspaceEffect]:
    """Patching along the direction against the whole state, from the neutral into the hinted run of reliant rows."""
    pairs = []
    for c, _ in found.placed:
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
    patched = subspace_patching(run.loaded, pairs, found.site, vector, budget)
    generator = torch.Generator().manual_seed(stable_int(run.config.seed, "random subspace", found.detector) % 2**31)
    (other,) = orthogonal_directions(vector, 1, generator)
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
        there = locate(run.tokenizer, chosen.item, neutral, (position,))[0].get(position)
    else:
        there = at - len(hinted.prompt_ids) + len(neutral.prompt_ids)
    base = hinted.prompt_ids + hinted.completion_ids[:shared]
    source = neutral.prompt_ids + neutral.completion_ids[:shared]
    if there is None or at >= len(base) or there >= len(source):
        return f"{position} is not before the completions diverge, or not in the neutral run"
    tokens = (hinted.completion_ids[shared], neutral.completion_ids[shared])
    return StatePair(base, source, at, there, tokens, chosen.label.group)
