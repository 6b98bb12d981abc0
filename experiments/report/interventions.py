"""What interventions did, as plain tables: patching, mediation, and directions edited."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.report.terminal import number, show
from experiments.report.views import patch_grid

Entry = Mapping[str, Any]


class Table(NamedTuple):
    """A heading, the names of its columns, and rows of text."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def tables(model: Entry) -> Iterator[Table]:
    """Those of the stages that a model's run has."""
    if grid := patch_grid(model.get("patch")):
        columns = tuple(column for _, group in grid.groups for column in group)
        rows = [(site, *(number(grid.values.get((site, name))) for name in columns)) for site in reversed(grid.rows)]
        yield Table(f"Patching, {model['patch']['pairs']} pairs: recovery", ("site", *columns), rows)
    if found := (model.get("mediation") or {}).get("effects"):
        yield Table(
            "Mediation: effect on the probability of h, and its share of the total",
            ("rows", "effect", "of the hint", "share", "of the neutral frame"),
            _mediated(found),
        )
    if found := (model.get("directions") or {}).get("effects"):
        yield Table(
            "Directions of probes, edited: answers that change, and completions without an answer",
            ("direction of", "where", "edit", "rows", "changed", "by a random one", "no answer", "by a random one"),
            _edited(found),
        )


def _mediated(effects: Sequence[Entry]) -> list[tuple[str, ...]]:
    chosen = [row for row in effects if row["outcome"] == "probability"]
    neutral = {(row["behaviour"], row["effect"]): row for row in chosen if row["treatment"] == "neutral"}
    return [
        (row["behaviour"], row["effect"], show(row), number(row["share"]) if row["share"] is not None else "-",
         show(neutral.get((row["behaviour"], row["effect"]))))
        for row in chosen if row["treatment"] == "hinted"
    ]  # fmt: skip


def _edited(effects: Sequence[Entry]) -> list[tuple[str, ...]]:
    def key(row: Entry) -> tuple[Any, ...]:
        return row["detector"], row["behaviour"], row["edit"], row["scale"]

    random = {key(row): row for row in effects if row["direction"] == "random"}
    lines = []
    for row in effects:
        if row["direction"] != "probe" or row["edit"] == "none":
            continue
        edit = row["edit"] if row["scale"] is None else f"{row['edit']} {row['scale']:g}"
        where = f"{row['site']} {'at' if row.get('reach') == 'token' else 'from'} {row['position']}"
        pair = row, random.get(key(row))
        flips = (show(None if one is None else _flips(one)) for one in pair)
        unparsed = ("-" if one is None else number(one["unparsed"]) for one in pair)
        lines.append((row["detector"], where, edit, row["behaviour"], *flips, *unparsed))
    return lines


def _flips(row: Entry) -> dict[str, float | None]:
    return {"value": row["flips"], "low": row["flips_low"], "high": row["flips_high"]}
