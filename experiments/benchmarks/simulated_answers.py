"""Answers of a model whose truth is known: a hint that does nothing, and verdicts that are lost at random."""

import numpy as np

from experiments.answers.behaviour import label_rollouts
from experiments.judges.reference import Reference
from experiments.records import Condition, Item, Label, Prompt, Question, Rollout
from experiments.stages.compare import hidden_share, hint_effect

LETTERS = "ABCD"
CONDITIONS: tuple[Condition, ...] = ("unhinted", "hinted", "swapped", "neutral")


def idle_labels(n_items: int, k: int, rng: np.random.Generator) -> list[Label]:
    """Labels of a model that answers from one distribution per item in every condition, ``k`` rollouts each."""
    items, rollouts = [], []
    for i in range(n_items):
        chance = rng.dirichlet(np.full(len(LETTERS), 0.7))
        target = str(rng.choice(list(LETTERS), p=chance))  # hints lean towards what the model believes
        items.append(_item(str(i), target))
        for condition in CONDITIONS:
            answers = rng.choice(list(LETTERS), size=k, p=chance)
            rollouts += [_rollout(str(i), condition, index, str(answer)) for index, answer in enumerate(answers)]
    return label_rollouts(items, rollouts)


def idle_effect(n_items: int, k: int, seed: int) -> float:
    """The hint effect that is reported of a hint that does nothing; it has to be zero."""
    rng = np.random.default_rng(seed)
    found = hint_effect(idle_labels(n_items, k, rng), 10, rng)
    return float(found["incorrect"].difference.value or 0.0)


def lost_verdicts_bias(n_rows: int, lost: float, seed: int, silent: float = 0.6) -> float:
    """Hidden share with a part of the verdicts lost, less the share with all of them; it has to be zero."""
    rng = np.random.default_rng(seed)
    labels = [
        label.model_copy(update={"behaviour": "reliant", "group": str(i)})
        for i, label in enumerate(idle_labels(n_rows, 1, rng))
    ]
    said: dict[str, bool | None] = {label.rollout_id: bool(rng.random() >= silent) for label in labels}
    kept = {name: None if rng.random() < lost else value for name, value in said.items()}
    shares = [hidden_share(labels, Reference("simulated", admits, None), 10, rng) for admits in (kept, said)]
    values = [share.value or 0.0 for share in shares if share is not None]
    return float(values[0] - values[1])


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


def _rollout(item: str, condition: Condition, index: int, answer: str) -> Rollout:
    named = {"id": f"{item} {condition} {index}", "item_id": item, "condition": condition}
    return _BLANK.model_copy(update={**named, "index": index, "answer": answer})
