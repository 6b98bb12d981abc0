"""What interventions did, as plain tables: patching, mediation, and directions edited."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from experiments.records.causal import DirectionEffect, MediationEffect
from experiments.records.parts import Figure
from experiments.records.summary import ModelSummary
from experiments.report.figure_text import number, show
from experiments.report.views import patch_grid
from experiments.report.words import flips

_PLACEBOS = ("by a random one", "by a permuted-label one")


class Table(NamedTuple):
    """A heading, the names of its columns, and rows of text."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def tables(model: ModelSummary) -> Iterator[Table]:
    """Those of the stages that a model's run has."""
    if model.patch and (grid := patch_grid(model.patch)):
        columns = tuple(column for _, group in grid.groups for column in group)
        rows = [(site, *(number(grid.values.get((site, name))) for name in columns)) for site in reversed(grid.rows)]
        yield Table(f"Patching, {model.patch.pairs} pairs: recovery", ("site", *columns), rows)
    if model.mediation and (found := model.mediation.effects):
        yield Table(
            "Mediation: effect on the probability of h, and its share of the total",
            ("rows", "effect", "of the hint", "share", "of the neutral frame"),
            _mediated(found),
        )
    if model.directions and (edited := model.directions.effects):
        yield Table(
            "Directions of probes, edited: answers that change, and completions without an answer",
            ("direction of", "where", "edit", "rows", "changed", *_PLACEBOS, "no answer", *_PLACEBOS),
            _edited(edited),
        )


def _mediated(effects: Sequence[MediationEffect]) -> list[tuple[str, ...]]:
    chosen = [row for row in effects if row.outcome == "probability"]
    neutral = {(row.behaviour, row.effect): row for row in chosen if row.treatment == "neutral"}
    return [
        (row.behaviour, row.effect, show(_value(row)), number(row.share) if row.share is not None else "-",
         show(_value(neutral.get((row.behaviour, row.effect)))))
        for row in chosen if row.treatment == "hinted"
    ]  # fmt: skip


def _edited(effects: Sequence[DirectionEffect]) -> list[tuple[str, ...]]:
    def key(row: DirectionEffect) -> tuple[object, ...]:
        return row.detector, row.behaviour, row.edit, row.scale

    random, permuted = ({key(row): row for row in effects if row.direction == kind} for kind in ("random", "permuted"))
    lines = []
    for row in effects:
        if row.direction != "probe" or row.edit == "none":
            continue
        edit = row.edit if row.scale is None else f"{row.edit} {row.scale:g}"
        where = f"{row.site} {'at' if row.reach == 'token' else 'from'} {row.position}"
        three = row, random.get(key(row)), permuted.get(key(row))
        changed = (show(flips(one)) for one in three)
        unparsed = ("-" if one is None else number(one.unparsed) for one in three)
        lines.append((row.detector, where, edit, row.behaviour, *changed, *unparsed))
    return lines


def _value(row: MediationEffect | None) -> Figure | None:
    return None if row is None else Figure(value=row.value, low=row.low, high=row.high)
