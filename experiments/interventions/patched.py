"""Patches read on policy: the hinted prompt is read under the patch, and the text after it is written anew."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from activations import Completion, Site, generate
from experiments.interventions.redraw import Draw
from experiments.records import Label, Rollout
from experiments.records.causal import PatchCell, PatchRedrawn, PatchSource
from experiments.records.seeds import stream
from experiments.run.model_run import ModelRun
from experiments.run.sampling import decoding_of
from probes import SHARE, cluster_bootstrap
from probes.patching import Cell, PatchPair, regenerate


class Made(Protocol):
    """A pair and where it comes from."""

    @property
    def pair(self) -> PatchPair:
        """The two runs."""

    @property
    def label(self) -> Label:
        """Of the hinted rollout."""

    @property
    def hinted(self) -> Rollout:
        """The base."""

    @property
    def source(self) -> Rollout:
        """The run whose states are put in."""


def redraw_patched(
    run: ModelRun, comparison: PatchSource, cells: Sequence[PatchCell], made: Sequence[Made], n_cells: int
) -> list[PatchRedrawn]:
    """Answers with nothing patched, and under each of the cells of the prompt that recover most.

    The same seeds are used throughout, so that a difference is the patch's.
    """
    own = [
        cell
        for cell in cells
        if (cell.comparison, cell.direction, cell.diverges, cell.control) == (comparison, "noising", "all", None)
        and cell.recovery is not None
        and cell.away_from_readout
    ]
    ranked = sorted(own, key=lambda cell: -(cell.recovery or 0.0))
    found = [_counted(run, comparison, None, made, _plain(run, made))]
    for cell in ranked:
        able = [one for one in made if _in_prompt(one, cell.position)]
        if able and len(found) <= n_cells:
            found.append(_counted(run, comparison, cell, able, _patched(run, cell, able)))
    return found


def _in_prompt(one: Made, position: str) -> bool:
    pair = one.pair
    if position not in pair.positions or max(pair.positions[position]) >= len(one.hinted.prompt_ids):
        return False
    return pair.source_positions(position) is not None


def _plain(run: ModelRun, made: Sequence[Made]) -> list[Completion]:
    prompts, seeds = [one.hinted.prompt_ids for one in made], [one.hinted.seed for one in made]
    return generate(run.loaded, prompts, decoding_of(run), seeds=seeds)


def _patched(run: ModelRun, cell: PatchCell, made: Sequence[Made]) -> list[Completion]:
    lengths, seeds = [len(one.hinted.prompt_ids) for one in made], [one.hinted.seed for one in made]
    at = Cell(Site.parse(cell.site), cell.position, cell.head)
    return regenerate(run.loaded, [one.pair for one in made], at, lengths, decoding_of(run), seeds)


def _answers(run: ModelRun, made: Sequence[Made], done: Sequence[Completion]) -> Iterator[str | None]:
    temperature = decoding_of(run).temperature
    for one, completion in zip(made, done, strict=True):
        draw = Draw(one.hinted.id, run.records.items[one.label.item_id], one.hinted, one.hinted.seed)
        yield draw.rollout(run.loaded.tokenizer, completion, temperature).answer


def _counted(
    run: ModelRun, comparison: PatchSource, cell: PatchCell | None, made: Sequence[Made], done: Sequence[Completion]
) -> PatchRedrawn:
    answers = list(_answers(run, made, done))
    target = np.array([a == one.label.target for a, one in zip(answers, made, strict=True)], dtype=float)
    source = [a is not None and a == one.source.answer for a, one in zip(answers, made, strict=True)]
    rng = stream(run.config.seed, "patched answers", run.model_name)
    groups = [one.label.group for one in made]
    share = cluster_bootstrap(groups, run.config.compare.bootstrap, rng).mean(target, SHARE)
    return PatchRedrawn(
        comparison=comparison,
        site=cell.site if cell else None,
        head=cell.head if cell else None,
        position=cell.position if cell else None,
        n=len(made),
        to_target=share.value,
        low=share.low,
        high=share.high,
        to_source=float(np.mean(source)),
        unparsed=float(np.mean([answer is None for answer in answers])),
    )
