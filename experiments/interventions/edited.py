"""Completions drawn again with the stream edited: at one token, or from it on."""

import dataclasses
from collections.abc import Sequence

from torch import Tensor

from activations import Completion, Site, generate, onwards
from experiments.interventions.redraw import Draw
from experiments.records import Item, Reach, Rollout
from experiments.run.model_run import ModelRun
from experiments.run.sampling import decoding_of
from probes.directions import direction_edit


@dataclasses.dataclass(frozen=True)
class Place:
    """A rollout, and the token of it that a probe reads."""

    item: Item
    rollout: Rollout
    at: int


def complete_edited(
    run: ModelRun,
    places: Sequence[Place],
    site: Site,
    vector: Tensor,
    scale: float | None,
    reach: Reach,
    mean_state: Tensor | None = None,
) -> list[Rollout]:
    """Complete again, with the rollouts' own seeds, while a direction is taken out (scale None) or added.

    With a mean state, what lies along the direction is set to that state's in place of zero.

    ``onward`` edits the prompt from the place on and every new token; where the place lies in the completion, all of
    it is new. ``token`` edits that token alone and keeps the text up to it, so that nothing but its state is changed.
    """
    bases = [place.rollout for place in places]
    kept = [_kept(place) if reach == "token" else 0 for place in places]
    rows = [base.prompt_ids + base.completion_ids[:n] for base, n in zip(bases, kept, strict=True)]
    if reach == "token":
        edits = direction_edit(site, [[place.at] for place in places], vector, scale, mean_state)
    else:
        first = [min(place.at, len(place.rollout.prompt_ids)) for place in places]
        edits = direction_edit(site, [onwards(at) for at in first], vector, scale, mean_state)
    decoding = decoding_of(run)
    seeds, on_step = [base.seed for base in bases], run.reporter.step
    done = generate(run.loaded, rows, decoding, seeds, edits, drawn=kept, on_step=on_step)
    return [
        Draw(base.id, place.item, base, base.seed).rollout(
            run.loaded.tokenizer, _joined(base, n, completion), decoding.temperature
        )
        for place, base, n, completion in zip(places, bases, kept, done, strict=True)
    ]


def _kept(place: Place) -> int:
    """New tokens up to and including the place."""
    return max(place.at + 1 - len(place.rollout.prompt_ids), 0)


def _joined(base: Rollout, kept: int, completion: Completion) -> Completion:
    """The text that was kept and how it went on."""
    ids = base.completion_ids[:kept] + completion.ids
    return dataclasses.replace(completion, ids=ids, margins=base.margins[:kept] + completion.margins)
