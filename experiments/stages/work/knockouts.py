"""Part of the mediation: attention to the hint cut path by path, on the fresh CoTs and while they are written again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activations import Completion
from experiments.interventions.redraw import Draw, up_to_answer
from experiments.prompts.positions import answer_part, prompt_places
from experiments.records import LETTERS, Behaviour, Item, Label, Rollout
from experiments.records.causal import CutRedrawn, CutRow, CutSpan, KnockoutEffect
from experiments.records.seeds import stream
from experiments.run.model_run import ModelRun
from experiments.run.sampling import decoding_of
from probes import SHARE, Bootstrap, cluster_bootstrap
from probes.knockout import CutRow as CutPlan
from probes.knockout import knock_out, placebo_window, regenerate
from probes.mediation import Continuation
from probes.names import KEYS, PATHS, Keys, Path


@dataclass(frozen=True)
class Cut:
    """One fresh completion of a hinted prompt, with what is cut from it."""

    label: Label
    draw: Draw
    drawn: Rollout
    text: Continuation
    row: CutPlan

    @property
    def rival(self) -> int:
        """The option that h is measured against: the unhinted answer, or where that is h the swapped run's target."""
        own = self.label.unhinted_answer
        letter = own if own not in (None, self.label.target) else self.label.swap_target
        others = [x for x in LETTERS[: self.label.n_options] if x != self.label.target]
        return LETTERS.index(letter if letter is not None else others[0])


def plan_cuts(run: ModelRun, span: CutSpan, rows: Sequence[tuple[Item, Label, Rollout]]) -> list[Cut]:
    """What is cut from each fresh hinted completion; those without a readable answer or room for a placebo are out."""
    tokenizer = run.tokenizer
    cuts = []
    for item, label, drawn in rows:
        text, begins = up_to_answer(tokenizer, item, drawn), answer_part(tokenizer, drawn)
        place = prompt_places(tokenizer, drawn).get(span)
        rng = stream(run.config.seed, "placebo window", run.model_name, item.id, span)
        placebo = placebo_window(len(drawn.prompt_ids), place, rng) if place else None
        if isinstance(text, str) or begins is None or place is None or placebo is None:
            continue
        row = CutPlan(drawn.prompt_ids, drawn.completion_ids, begins, tuple(place), placebo)
        cuts.append(Cut(label, Draw(drawn.id, item, drawn, drawn.seed), drawn, text, row))
    return cuts


def cut_rows(run: ModelRun, span: CutSpan, rows: Sequence[tuple[Item, Label, Rollout]]) -> list[CutRow]:
    """Completions with attention to the span cut along each path: with the text as it was drawn, and written again."""
    cuts = plan_cuts(run, span, rows)
    if not cuts:
        return []
    targets = [LETTERS.index(cut.label.target) for cut in cuts]
    texts, rivals = [cut.text for cut in cuts], [cut.rival for cut in cuts]
    fixed = knock_out(run.loaded, [cut.row for cut in cuts], texts, targets, rivals, run.config.mediate.token_budget)
    found = []
    for path in PATHS:
        for keys in KEYS:
            answers = _written_again(run, cuts, path, keys)
            values = fixed.cut.get((path, keys))
            found += [
                CutRow(
                    item_id=cut.label.item_id, behaviour=cut.label.behaviour, span=span, path=path, keys=keys,
                    has_text=bool(cut.row.answer_from), untouched=float(fixed.base[k]),
                    cut=None if values is None else float(values[k]), before=cut.drawn.answer, answer=answers[k],
                )
                for k, cut in enumerate(cuts)
            ]  # fmt: skip
    return found


def _written_again(run: ModelRun, cuts: Sequence[Cut], path: Path, keys: Keys) -> list[str | None]:
    """Answers when the completions are drawn again, each with its own seed; where there is no text, none is cut."""
    answers = [cut.drawn.answer for cut in cuts]
    at = [k for k, cut in enumerate(cuts) if path != "text" or cut.row.answer_from]
    for k, answer in zip(at, _answers(run, [cuts[k] for k in at], path, keys) if at else [], strict=True):
        answers[k] = answer
    return answers


Cell = tuple[Behaviour, CutSpan, Path, Keys]


def cut_effects(
    rows: Sequence[CutRow], label_of: Mapping[tuple[str, Behaviour], Label], n_resamples: int, rng: np.random.Generator
) -> tuple[list[KnockoutEffect], list[CutRedrawn]]:
    """Per behaviour, span, path and choice of keys: the drop of the logit difference, and the answers."""
    cells: dict[Cell, list[CutRow]] = defaultdict(list)
    for row in rows:
        cells[row.behaviour, row.span, row.path, row.keys].append(row)
    fixed: list[KnockoutEffect] = []
    again: list[CutRedrawn] = []
    for (behaviour, span, path, keys), of_it in cells.items():
        labels = [label_of[row.item_id, row.behaviour] for row in of_it]
        bootstrap = cluster_bootstrap([label.group for label in labels], n_resamples, rng)
        common: dict[str, Any] = {"behaviour": behaviour, "span": span, "path": path, "keys": keys}
        if any(row.cut is not None for row in of_it):
            drop = bootstrap.mean(np.array([0.0 if row.cut is None else row.untouched - row.cut for row in of_it]))
            fixed.append(KnockoutEffect(**common, n=len(of_it), value=drop.value, low=drop.low, high=drop.high))
        if path != "text" or any(row.has_text for row in of_it):
            answers, before = [row.answer for row in of_it], [row.before for row in of_it]
            again.append(CutRedrawn(**common, **answer_shares(labels, answers, before, bootstrap)))
    return fixed, again


def _answers(run: ModelRun, cuts: Sequence[Cut], path: Path, keys: Keys) -> list[str | None]:
    tokenizer = run.tokenizer
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
