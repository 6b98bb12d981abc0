"""Feature cells of each detector: activations at sites and positions, and what can be read without the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from activations import ModelStore, Site
from activations.errors import HintprobeError
from experiments.detectors.rows import Rows
from experiments.positions import PositionRow

Array = NDArray[np.float64]
Cells = dict[str, Array]

BEFORE_COT = ("pointer", "hint_end", "question_end", "prompt_end")
AFTER_COT = ("think_end", "pre_answer")
RESOLVED_SHARE = 0.9
"""A position that fewer of the rows resolve is left out of the probes."""

_WORDS = r"<[^>]+>|[A-Za-z]+|[^\sA-Za-z]"


@dataclass(frozen=True)
class DetectorCells:
    """What one detector may choose from.

    Attributes:
        reads: for the table: what it looks at.
        probe: it reads activations.
        permuted: its search is repeated on permuted labels.
        vocabulary: of bag-of-words cells, to score other rows the same way.
        shipped: it is also fitted on all rows, for use on other rows and models.
        forwards: model forwards that its features cost.
        seconds: what its features cost, training apart.
    """

    name: str
    reads: str
    cells: Cells
    probe: bool = False
    permuted: bool = False
    forest: bool = False
    vocabulary: tuple[str, ...] = ()
    shipped: bool = True
    forwards: int = 0
    seconds: float = 0.0


def usable_positions(rows: Rows, names: Sequence[str]) -> tuple[str, ...]:
    """Positions that nearly all hinted rows resolve."""
    return tuple(name for name in names if np.mean([name in at.tokens for at in rows.hinted_at]) >= RESOLVED_SHARE)


def with_positions(rows: Rows, names: Sequence[str]) -> Rows:
    """Rows that resolve every one of these positions."""
    return rows.take(lambda i: all(name in rows.hinted_at[i].tokens for name in names))


def activation_cells(
    store: ModelStore, places: Sequence[PositionRow], sites: Sequence[Site], positions: Sequence[str]
) -> Cells:
    """One cell per site and position, read from the store; ``[row, d_model]`` each."""
    cells = {}
    for position in positions:
        entries = [(bytes.fromhex(at.row_hash), at.tokens[position]) for at in places]
        for site in sites:
            cells[cell_name(site, position)] = store.read(site, entries).double().numpy()
    return cells


def cell_name(site: Site, position: str) -> str:
    """``resid_post.3@prompt_end``."""
    return f"{site}@{position}"


def split_cell_name(name: str) -> tuple[Site, str]:
    """Undo :func:`cell_name`."""
    site, _, position = name.partition("@")
    return Site.parse(site), position


def word_counts(texts: Sequence[str], vocabulary: Sequence[str] | None) -> tuple[Array, tuple[str, ...]]:
    """Bag of words (1 or more characters, marks included), and its vocabulary."""
    counter = CountVectorizer(token_pattern=_WORDS, lowercase=False, vocabulary=vocabulary, binary=True)
    counts = counter.fit_transform(texts).toarray().astype(float)
    return counts, tuple(str(word) for word in counter.get_feature_names_out())


def margin_features(rows: Rows) -> Array:
    """Direction, unhinted confidence (blind to h), and their product; ``[row, 3]``."""
    direction = np.array([1.0 if label.direction == "correct" else -1.0 for label in rows.labels])
    margin = np.array([label.margin if label.margin is not None else 0.0 for label in rows.labels])
    return np.column_stack([direction, margin, direction * margin])


def kind_features(rows: Rows) -> Array:
    """One-hot of kind and of direction; ``[row, 7]``."""
    kinds = sorted({label.kind for label in rows.labels})
    hot = [[label.kind == kind for kind in kinds] + [label.direction == "correct"] for label in rows.labels]
    return np.array(hot, dtype=float)


def build_detectors(
    store: ModelStore, rows: Rows, sites: Sequence[Site], positions: Sequence[str]
) -> list[DetectorCells]:
    """All trained detectors of a run. To add one, append it here (`docs/adding_a_detector.md`).

    Raises:
        HintprobeError: no position is resolved in enough rows.
    """
    if not positions:
        raise HintprobeError(
            f"None of the positions asked for is resolved in {RESOLVED_SHARE:.0%} of the rows, so no probe can be "
            "trained. The capture stage's account says why they were not resolved."
        )
    found = []
    families = {
        "probe_before_cot": ("activations up to the end of the prompt", BEFORE_COT),
        "probe_within_cot": (
            "activations inside the CoT",
            tuple(p for p in positions if p.startswith(("cot", "think_s"))),
        ),
        "probe_after_cot": ("activations after the CoT", AFTER_COT),
    }
    for name, (reads, wanted) in families.items():
        chosen = [p for p in positions if p in wanted]
        if chosen:
            found.append(
                DetectorCells(
                    name, reads, activation_cells(store, rows.hinted_at, sites, chosen), probe=True, permuted=True
                )
            )
    shared = [p for p in positions if all(p in at.tokens for at in rows.unhinted_at)]
    if shared:
        cells = activation_cells(store, rows.unhinted_at, sites, shared)
        found.append(
            DetectorCells("probe_unhinted_run", "activations of the unhinted run (control)", cells, probe=True)
        )
    return found + text_detectors(rows)


def text_detectors(rows: Rows, vocabularies: Mapping[str, tuple[str, ...]] | None = None) -> list[DetectorCells]:
    """Baselines that read no activations; ``vocabularies`` fixes the words when scoring other rows."""
    known = vocabularies or {}
    prompt, prompt_words = word_counts([r.prompt_text for r in rows.hinted], known.get("prompt_words"))
    cot, cot_words = word_counts([r.completion_text for r in rows.hinted], known.get("cot_words"))
    length = np.array([[float(len(r.completion_ids))] for r in rows.hinted])
    return [
        DetectorCells("prompt_words", "bag of words of the prompt", {"words": prompt}, vocabulary=prompt_words),
        DetectorCells("prompt_forest", "random forest on the prompt's words", {"words": prompt}, forest=True),
        DetectorCells("cot_words", "bag of words of CoT and answer", {"words": cot}, vocabulary=cot_words),
        DetectorCells("cot_length", "length of the completion", {"length": length}),
        DetectorCells("direction_x_margin", "direction × unhinted confidence", {"margin": margin_features(rows)}),
        DetectorCells("hint_kind", "kind and direction of the hint", {"kind": kind_features(rows)}),
    ]
