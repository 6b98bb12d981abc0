"""Part of the mediation: attention to the hint cut path by path, on the fresh CoTs and while they are written again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activations import Completion
from experiments.interventions.redraw import Draw, up_to_answer
from experiments.prompts.positions import answer_part, prompt_places
from experiments.records import LETTERS, Behaviour, Item, Label, Rollout
from experiments.records.causal import CutRedrawn, CutSpan, KnockoutEffect
from experiments.run.model_run import ModelRun
from experiments.run.sampling import decoding_of
from probes import SHARE, Bootstrap, cluster_bootstrap
from probes.knockout import KEYS, PATHS, CutRow, Keys, Path, knock_out, placebo_window, regenerate
from probes.mediation import Continuation


@dataclass(frozen=True)
class Cut:
    """One fresh completion of a hinted prompt, with what is cut from it."""

    label: Label
    draw: Draw
    drawn: Rollout
    text: Continuation
    row: CutRow

    @property
    def rival(self) -> int:
        """The option that h is measured against: the unhinted answer, or where that is h the swapped run's target."""
        own = self.label.unhinted_answer
        letter = own if own not in (None, self.label.target) else self.label.swap_target
        others = [x for x in LETTERS[: self.label.n_options] if x != self.label.target]
        return LETTERS.index(letter if letter is not None else others[0])


def plan_cuts(
    run: ModelRun, span: CutSpan, rows: Sequence[tuple[Item, Label, Rollout]], rng: np.random.Generator
) -> list[Cut]:
    """What is cut from each fresh hinted completion; those without a readable answer or room for a placebo are out."""
    tokenizer = run.loaded.tokenizer
    cuts = []
    for item, label, drawn in rows:
        text, begins = up_to_answer(tokenizer, item, drawn), answer_part(tokenizer, drawn)
        place = prompt_places(tokenizer, drawn).get(span)
        placebo = placebo_window(len(drawn.prompt_ids), place, rng) if place else None
        if isinstance(text, str) or begins is None or place is None or placebo is None:
            continue
        row = CutRow(drawn.prompt_ids, drawn.completion_ids, begins, tuple(place), placebo)
        cuts.append(Cut(label, Draw(drawn.id, item, drawn, drawn.seed), drawn, text, row))
    return cuts


def fixed_text(
    run: ModelRun, span: CutSpan, behaviour: Behaviour, cuts: Sequence[Cut], rng: np.random.Generator
) -> list[KnockoutEffect]:
    """Drop of the logit difference along each path, the text staying as it was drawn."""
    bootstrap = cluster_bootstrap([cut.label.group for cut in cuts], run.config.compare.bootstrap, rng)
    found = knock_out(
        run.loaded,
        [cut.row for cut in cuts],
        [cut.text for cut in cuts],
        [LETTERS.index(cut.label.target) for cut in cuts],
        [cut.rival for cut in cuts],
        run.config.mediate.token_budget,
    )
    effects = []
    for (path, keys), values in found.cut.items():
        drop = bootstrap.mean(found.base - values)
        effects.append(
            KnockoutEffect(
                behaviour=behaviour, span=span, path=path, keys=keys, n=len(cuts), value=drop.value, low=drop.low,
                high=drop.high,
            )
        )  # fmt: skip
    return effects


def written_again(
    run: ModelRun, span: CutSpan, behaviour: Behaviour, cuts: Sequence[Cut], rng: np.random.Generator
) -> list[CutRedrawn]:
    """Answers when the completion is drawn again, with its own seed, along each cut path."""
    bootstrap = cluster_bootstrap([cut.label.group for cut in cuts], run.config.compare.bootstrap, rng)
    before = [cut.drawn.answer for cut in cuts]
    result = []
    for path in PATHS:
        if path == "text" and not any(cut.row.answer_from for cut in cuts):
            continue
        for keys in KEYS:
            answers = _answers(run, cuts, path, keys)
            counted = answer_shares([cut.label for cut in cuts], answers, before, bootstrap)
            result.append(CutRedrawn(behaviour=behaviour, span=span, path=path, keys=keys, **counted))
    return result


def _answers(run: ModelRun, cuts: Sequence[Cut], path: Path, keys: Keys) -> list[str | None]:
    tokenizer = run.loaded.tokenizer
    temperature = cuts[0].drawn.temperature
    decoding = decoding_of(run, temperature)

    def starts_answer(index: int, completion: Completion) -> int | None:
        return answer_part(tokenizer, cuts[index].draw.rollout(tokenizer, completion, temperature))

    seeds = [cut.draw.seed for cut in cuts]
    done = regenerate(
        run.loaded, [cut.row for cut in cuts], path, keys, decoding, seeds, starts_answer, run.reporter.step
    )
    return [cut.draw.rollout(tokenizer, c, temperature).answer for cut, c in zip(cuts, done, strict=True)]


def answer_shares(
    labels: Sequence[Label],
    answers: Sequence[str | None],
    before: Sequence[str | None],
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Where the answers of an edited model went; the shares sum to one, flips aside."""
    pairs = list(zip(labels, answers, strict=True))
    unparsed = [answer is None for answer in answers]
    to_hint = [answer == label.target for label, answer in pairs]
    own = [answer is not None and answer == label.unhinted_answer != label.target for label, answer in pairs]
    flips = bootstrap.mean(np.array([a != b for a, b in zip(answers, before, strict=True)], dtype=float), SHARE)
    return {
        "n": len(answers),
        "to_hint": float(np.mean(to_hint)),
        "to_own": float(np.mean(own)),
        "off_target": (len(answers) - sum(to_hint) - sum(own) - sum(unparsed)) / len(answers),
        "unparsed": float(np.mean(unparsed)),
        "flips": flips.value,
        "flips_low": flips.low,
        "flips_high": flips.high,
    }
