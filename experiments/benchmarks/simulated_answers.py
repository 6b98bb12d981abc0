"""Answers of a model whose truth is known: hints that do nothing, hints that do, and verdicts that are lost."""

from typing import NamedTuple

import numpy as np

from experiments.answers.labelling import label_rollouts, reliances
from experiments.comparison.effects import coincidences, hidden_share, hint_effect, reliance_summary
from experiments.config import LabelsConfig
from experiments.judges.reference import Reference
from experiments.records import Condition, Item, Label, Prompt, Question, Rollout
from experiments.records.parts import Figure

LETTERS = "ABCD"
CONDITIONS: tuple[Condition, ...] = ("unhinted", "hinted", "swapped", "neutral")


class Simulated(NamedTuple):
    """Items, their rollouts, and per item by how much the hint raises P(answer = h)."""

    items: list[Item]
    rollouts: list[Rollout]
    effect: dict[str, float]


def simulate(n_items: int, k: int, rng: np.random.Generator, used: tuple[float, float] | None = None) -> Simulated:
    """A model that answers from one distribution per item, and follows a hint with a chance of the item's own.

    Args:
        k: rollouts in each condition.
        used: shape of the Beta distribution of that chance; None: hints do nothing.
    """
    items, rollouts, effect = [], [], {}
    for i in range(n_items):
        chance = rng.dirichlet(np.full(len(LETTERS), 0.7))
        target = str(rng.choice(list(LETTERS), p=chance))  # hints lean towards what the model believes
        items.append(_item(str(i), target))
        follows = 0.0 if used is None else float(rng.beta(*used))
        effect[str(i)] = follows * (1 - chance[LETTERS.index(target)])
        for condition in CONDITIONS:
            answers = rng.choice(list(LETTERS), size=k, p=chance)
            named = {"hinted": target, "swapped": items[-1].swap_target}.get(condition)
            if named is not None and used is not None:
                answers = np.where(rng.random(k) < follows, named, answers)
            rollouts += [_rollout(str(i), condition, index, str(answer)) for index, answer in enumerate(answers)]
    return Simulated(items, rollouts, effect)


def idle_labels(n_items: int, k: int, rng: np.random.Generator) -> list[Label]:
    """Labels of a model that answers from one distribution per item in every condition, ``k`` rollouts each."""
    return label_rollouts(*simulate(n_items, k, rng)[:2])


class Idle(NamedTuple):
    """What is reported of a hint that does nothing, with standard errors.

    Attributes:
        effect: the hint effect, which has to be zero.
        coincidence: the share of coincidences among its reliant rows, which has to be one.
    """

    effect: float
    effect_error: float
    coincidence: float
    coincidence_error: float


def idle_figures(n_items: int, k: int, seed: int) -> Idle:
    """Both figures of a simulated hint that does nothing."""
    rng = np.random.default_rng(seed)
    labels = idle_labels(n_items, k, rng)
    effect = hint_effect(labels, 100, rng)["incorrect"].difference
    share = coincidences(labels, 100, rng)["all"].share
    return Idle(float(effect.value or 0.0), _error(effect), float(share.value or 0.0), _error(share))


def _error(figure: Figure | None) -> float:
    """Standard error of a figure with its 95% interval."""
    if figure is None or figure.low is None or figure.high is None:
        return float("inf")
    return (figure.high - figure.low) / 3.92


class Again(NamedTuple):
    """Of items that were labelled reliant: the effect of their hint as labelled, on fresh rollouts, and in truth.

    Attributes:
        error: standard error of the one on fresh rollouts.
    """

    labelled: float
    evaluated: float
    true: float
    error: float


def again(n_items: int, seed: int, k: int = 4) -> Again:
    """How much of what was labelled reliant comes again, of items with ``k`` labelling and ``k`` other rollouts."""
    rng = np.random.default_rng(seed)
    settings = LabelsConfig(evaluation_rollouts=k)
    items, rollouts, effect = simulate(n_items, 2 * k, rng, used=(0.5, 1.0))
    labels, rows = label_rollouts(items, rollouts, settings), reliances(items, rollouts, settings)
    named = {label.item_id for label in labels if label.behaviour == "reliant"}
    found = reliance_summary(rows, labels, 100, rng)
    figures = (found.labelled, found.evaluated) if found else (None, None)
    labelled, evaluated = (float(one.value or 0.0) if one else 0.0 for one in figures)
    true = float(np.mean([effect[name] for name in sorted(named)]))
    return Again(labelled, evaluated, true, _error(figures[1]))


def posterior_coverage(n_items: int, k: int, seed: int) -> float:
    """Share of 95% posterior intervals of reliance probabilities that hold the truth."""
    rng = np.random.default_rng(seed)
    items, rollouts, effect = simulate(n_items, k, rng, used=(0.5, 1.0))
    return float(np.mean([row.low <= effect[row.item_id] <= row.high for row in reliances(items, rollouts)]))


def lost_verdicts_bias(n_rows: int, lost: float, seed: int, unsaid: float = 0.6) -> tuple[float, float]:
    """Hidden share with a part of the verdicts lost, less the share with all of them; it has to be zero.

    Returns:
        The bias and its standard error.
    """
    rng = np.random.default_rng(seed)
    labels = [
        label.model_copy(update={"behaviour": "reliant", "group": str(i)})
        for i, label in enumerate(idle_labels(n_rows, 1, rng))
    ]
    said: dict[str, bool | None] = {label.rollout_id: bool(rng.random() >= unsaid) for label in labels}
    kept = {name: None if rng.random() < lost else value for name, value in said.items()}
    shares = [hidden_share(labels, Reference("simulated", admits, None), 10, rng) for admits in (kept, said)]
    values = [share.value or 0.0 for share in shares if share is not None]
    error = float(np.sqrt(unsaid * (1 - unsaid) / n_rows * lost / (1 - lost)))
    return float(values[0] - values[1]), error


def _item(name: str, target: str) -> Item:
    question = Question(
        id=name, stem=name, options=tuple(LETTERS), gold="A", subject="s", source="simulated", group=name
    )
    others = [letter for letter in LETTERS if letter != target]
    return Item(
        id=name, question=question, kind="metadata", direction="incorrect", wording=0, source="", target=target,
        swap_target=others[0],
    )  # fmt: skip


_BLANK = Rollout(
    id="", item_id="", condition="unhinted", index=0, prompt=Prompt(messages=(), spans={}), prompt_text="",
    prompt_ids=(), completion_ids=(), completion_text="", cot=None, answer_text="", answer=None, truncated=False,
    finish_reason="stop", seed=0, temperature=1.0, margins=(),
)  # fmt: skip


def _rollout(item: str, condition: Condition, index: int, answer: str | None) -> Rollout:
    named = {"id": f"{item} {condition} {index}", "item_id": item, "condition": condition}
    return _BLANK.model_copy(update={**named, "index": index, "answer": answer})
