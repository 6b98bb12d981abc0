"""Numbers and names as a reader meets them: no value that is missing is ever shown as a number, ``None`` or ``nan``."""

import re
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from experiments.records import Choice
from experiments.records.behaviour_figures import Faithfulness
from experiments.records.causal import CutRedrawn, DirectionEffect, KnockoutEffect, MediationEffect, PatchCell
from experiments.records.parts import Figure
from experiments.report.figure_text import number, show
from experiments.report.names import readable

UNDEFINED = "undefined"
_NEGATIVE_ZERO = re.compile(r"(?<!\w)-(?=0(?:\.0+)?(?![.\d]))")
_MINUS = re.compile(r"(?<!\w)-(?=\d)")


def typeset(text: str) -> str:
    """A true minus sign before negative numbers, none before a zero; hyphens in names are left alone."""
    return _MINUS.sub("−", _NEGATIVE_ZERO.sub("", text))


def value(figure: float | None, digits: int = 2) -> str:
    """A number alone, or the word undefined."""
    return typeset(number(figure, digits))


def estimate(entry: Figure | None, missing: str = UNDEFINED, digits: int = 2) -> Markup:
    """A value and its interval, marked up apart so that the value can be read down a column.

    Args:
        missing: the words that stand where there is no value.
    """
    if entry is None or entry.value is None:
        return Markup('<span class="none">{}</span>').format(missing)
    point, _, bounds = typeset(show(entry, digits)).partition(" [")
    if not bounds:
        return Markup('<b>{}</b> <span class="ci">no interval</span>').format(point)
    return Markup('<b>{}</b> <span class="ci">[{}</span>').format(point, bounds)


def metric(faithfulness: Faithfulness, name: str) -> Figure:
    """One of the paper's metrics in the form that every other figure has."""
    return faithfulness.figure(name)


def metric_of_cell(cell: PatchCell) -> Figure:
    """A patched cell's recovery in the form that every other figure has."""
    return Figure(value=cell.recovery, low=cell.low, high=cell.high)


def flips(row: CutRedrawn | DirectionEffect | None) -> Figure | None:
    """The share of answers that an edit changes in the form that every other figure has."""
    return None if row is None else Figure(value=row.flips, low=row.flips_low, high=row.flips_high)


def share_of_total(row: MediationEffect) -> Figure:
    """An effect's share of the total in the form that every other figure has."""
    return Figure(value=row.share, low=row.share_low, high=row.share_high)


def percent(part: int, whole: int) -> str:
    """A share in whole percent; the word undefined where there is nothing to take a share of."""
    return f"{100 * part / whole:.0f}%" if whole else UNDEFINED


def plain(name: str) -> str:
    """``visual_pattern`` as words."""
    return name.replace("_", " ")


def breakable(name: str) -> Markup:
    """A name that a narrow column may break after an underscore or a colon, and nowhere else."""
    return Markup("<wbr>").join(re.split(r"(?<=[_:])", name))


def chosen_cells(chosen: Sequence[Choice]) -> str:
    """What the inner folds chose, equal choices counted."""
    counts = Counter(
        f"{choice.site + '@' if choice.site else ''}{choice.position} C={choice.strength:g}" for choice in chosen
    )
    return "; ".join(f"{cell} (×{n})" if n > 1 else cell for cell, n in counts.most_common()) or "nothing to choose"


def null_figures(aurocs: Sequence[float | None]) -> dict[str, float] | None:
    """Mean and largest AUROC under permuted labels; None where no permutation gave one."""
    known = [auroc for auroc in aurocs if auroc is not None]
    return {"mean": sum(known) / len(known), "max": max(known), "n": len(known)} if known else None


def present(rows: Sequence[MediationEffect | KnockoutEffect | CutRedrawn | DirectionEffect]) -> list[str]:
    """Behaviours that rows are of, the one that matters most first."""
    found = {row.behaviour for row in rows}
    return [name for name in ("reliant", "aligned", "resisted") if name in found]


FILTERS = {
    "value": value,
    "estimate": estimate,
    "metric": metric,
    "metric_of_cell": metric_of_cell,
    "flips": flips,
    "share_of_total": share_of_total,
    "percent": percent,
    "plain": plain,
    "breakable": breakable,
    "readable": readable,
    "chosen_cells": chosen_cells,
    "present": present,
    "null_figures": null_figures,
}
