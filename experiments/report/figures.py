"""Heatmaps over sites and positions, and the small interval pictures of the tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from experiments.records.parts import Figure as Estimate
from experiments.report.picture import Palette, Picture, blank
from experiments.report.words import typeset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = tuple[str, str]
_LEFT, _TOP, _BOTTOM, _GAP, _WIDTH, _LINE = 70.0, 20.0, 30.0, 9.0, 47.0, 10.0
_ROW_LETTER, _COLUMN_LETTER, _HEADING_LETTER = 4.9, 4.3, 5.5
"""Points that a letter takes, generously: in the label of a row, under a column, in a heading."""
_SHORT = 8
_MANY_ROWS = 16
STRONG = 0.63
"""Opacity of a cell from which its text is light on dark (or dark on light, in the dark scheme); on either side of it
text and cell differ in contrast by 4.5 to 1 or more, in both schemes and on paper."""


@dataclass(frozen=True)
class Grid:
    """One number per row and column: sites and positions, or others.

    Attributes:
        rows: the first is drawn at the bottom.
        groups: heading and columns of each block; blocks stand apart.
        values: what is known; other cells are drawn empty.
        low: value of the palest colour.
        high: value of the strongest colour.
        outlined: cells to draw a frame around.
    """

    rows: tuple[str, ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    values: Mapping[Cell, float | None]
    low: float
    high: float
    outlined: frozenset[Cell] = field(default_factory=frozenset)

    @property
    def row_height(self) -> float:
        """Points per row: lower where there are many layers."""
        return 22.0 if len(self.rows) <= _MANY_ROWS else 15.0

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points."""
        blocks = sum(self.block_width(*group) for group in self.groups)
        width = self.left + blocks + max(0, len(self.groups) - 1) * _GAP + 4
        return width, _TOP + len(self.rows) * self.row_height + _BOTTOM

    @property
    def left(self) -> float:
        """Points that the labels of the rows take."""
        return max(_LEFT, 10 + _ROW_LETTER * max(map(len, self.rows), default=0))

    @property
    def column_width(self) -> float:
        """Points per column: as wide as the longest line under one."""
        lines = [line for _, names in self.groups for name in names for line in two_lines(name)]
        return max(_WIDTH, 4 + _COLUMN_LETTER * max(map(len, lines), default=0))

    def block_width(self, heading: str, names: tuple[str, ...]) -> float:
        """Points that a block takes: its columns, or its heading where that is wider."""
        return max(len(names) * self.column_width, _HEADING_LETTER * len(heading))


def two_lines(name: str) -> tuple[str, ...]:
    """A column's label, cut after its first underscore where it is long."""
    head, mark, tail = name.partition("_") if len(name) > _SHORT else (name, "", "")
    return (head + mark, tail) if tail else (head,)


def heatmap(grid: Grid, name: str, title: str, css_class: str) -> Picture:
    """A grid with the number in every cell.

    Args:
        name: stem of its files.
        title: read out in place of the picture.
        css_class: names the colour of the cells in the page's style.
    """
    return Picture(name, title, css_class, lambda palette: _draw_heatmap(grid, palette))


def _draw_heatmap(grid: Grid, palette: Palette) -> "Figure":
    width, height = grid.size
    figure = blank(width, height)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    for index, site in enumerate(grid.rows):
        middle = _BOTTOM + (index + 0.5) * grid.row_height
        _write(axes, grid.left - 6, middle, site, color=palette.ink, ha="right")
    block = grid.left
    for heading, columns in grid.groups:
        _write(axes, block, height - 8, heading, color=palette.ink, ha="left", weight="bold")
        for k, column in enumerate(columns):
            _draw_column(axes, grid, column, block + k * grid.column_width, palette)
        block += grid.block_width(heading, columns) + _GAP
    return figure


def _write(axes: Any, x: float, y: float, text: str, **options: Any) -> None:
    """Write text as it is, dollar signs included."""
    axes.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": 9, "parse_math": False, **options})


def _draw_column(axes: Any, grid: Grid, column: str, left: float, palette: Palette) -> None:
    from matplotlib.patches import Rectangle

    width = grid.column_width
    for k, line in enumerate(two_lines(column)):  # one text each: a block of lines would not be centred in every font
        top = _BOTTOM - 5 - k * _LINE
        _write(axes, left + width / 2, top, line, color=palette.ink, va="top", fontsize=8.5)
    for index, site in enumerate(grid.rows):
        bottom = _BOTTOM + index * grid.row_height
        number = grid.values.get((site, column))
        strength = 0.0 if number is None else min(1.0, max(0.0, (number - grid.low) / (grid.high - grid.low)))
        alpha = 0.03 + 0.92 * strength
        on_cell = palette.on_heat if alpha > STRONG else palette.on_pale
        box = (left, bottom), width, grid.row_height
        axes.add_patch(
            Rectangle(*box, facecolor=(palette.heat, alpha), edgecolor=(palette.ink, 0.2), lw=0.5, clip_on=False)
        )
        if (site, column) in grid.outlined:
            inner = (left + 1.6, bottom + 1.6), width - 3.2, grid.row_height - 3.2
            axes.add_patch(Rectangle(*inner, fill=False, edgecolor=on_cell, lw=1.4, clip_on=False))
        text = "–" if number is None else typeset(f"{number:.2f}")
        _write(axes, left + width / 2, bottom + grid.row_height / 2, text, color=on_cell)


def whisker(entry: Estimate | None, reference: float = 0.5, low_end: float = 0.0) -> Markup:
    """A dot with its interval on a scale up to 1, a reference marked; nothing where there is no value.

    Args:
        reference: value of the dashed line, such as chance.
        low_end: where the scale begins.

    The numbers stand beside it in the table, so the picture is hidden from screen readers.
    """
    if entry is None or entry.value is None:
        return Markup("")

    def x(value: float) -> str:
        return f"{4 + 152 * min(1.0, max(0.0, (value - low_end) / (1 - low_end))):.1f}"

    line = Markup("")
    if entry.low is not None and entry.high is not None:
        low, high = x(entry.low), x(entry.high)
        line = Markup('<path class="bar" d="M{0} 9H{1}M{0} 5.5v7M{1} 5.5v7"/>').format(low, high)
    return Markup(
        '<svg class="whisker" viewBox="0 0 160 18" width="160" height="18" aria-hidden="true">'
        '<path class="axis" d="M4 9H156"/><path class="chance" d="M{0} 1V17"/>{1}<circle cx="{2}" cy="9" r="4"/></svg>'
    ).format(x(reference), line, x(float(entry.value)))
