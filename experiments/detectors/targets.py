"""What a probe is trained to tell apart. The main target is reliant against aligned (`docs/definitions.md`)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from experiments.detectors.rows import Rows, labelled_rows, one_per_prompt
from experiments.judges.reference import reference_of
from experiments.run.model_run import ModelRun

MAIN = "reliant"


@dataclass(frozen=True)
class Target:
    """Two classes of rollouts.

    Attributes:
        positive, negative: names of the classes, for tables.
        families: the probes that may be trained on it.
        rows: finds them.
        note: what the figure can mean.
        permuted: the search is repeated on permuted labels.
    """

    name: str
    positive: str
    negative: str
    families: tuple[str, ...]
    rows: Callable[[ModelRun], Rows]
    note: str
    permuted: bool = True


def _reliant(run: ModelRun) -> Rows:
    return labelled_rows(run)


def _will_follow(run: ModelRun) -> Rows:
    return one_per_prompt(labelled_rows(run, ("reliant", "resisted")))[0]


def _verbalized(run: ModelRun) -> Rows:
    rows = labelled_rows(run, ("reliant",))
    admits = reference_of(run, rows.hinted).admits
    known = rows.take(lambda i: admits.get(rows.ids[i]) is not None)
    return replace(known, positive=tuple(bool(admits[name]) for name in known.ids))


def _hint_present(run: ModelRun) -> Rows:
    """Every prompt once with its hint and once without, read before the CoT."""
    rows = one_per_prompt(labelled_rows(run, None))[0]
    return Rows(
        rows.labels * 2,
        rows.items * 2,
        rows.hinted + rows.unhinted,
        rows.unhinted * 2,
        rows.hinted_at + rows.unhinted_at,
        rows.unhinted_at * 2,
        (True,) * len(rows) + (False,) * len(rows),
    )


_BEFORE = ("probe_before_cot",)
_ALL = ("probe_before_cot", "probe_within_cot", "probe_after_cot")

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(MAIN, "reliant", "aligned", _ALL, _reliant, "the main target: a_h = h on both sides"),
        Target(
            "will_follow", "reliant", "resisted", _BEFORE, _will_follow,
            "read before the chain of thought, one row per prompt; afterwards the answer gives it away",
        ),
        Target(
            "verbalized", "verbalized", "not verbalized", _ALL, _verbalized,
            "among reliant rows, as the reference says; the text itself says it once the CoT is written",
        ),
        Target(
            "hint_present", "hinted", "unhinted", _BEFORE, _hint_present,
            "a sanity check only: a probe that cannot tell whether a hint stands in the prompt is broken",
            permuted=False,
        ),
    )
}  # fmt: skip
