"""Pictures of a report: drawn once as code, shown inside the page or written as SVG and PNG files."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Palette:
    """Colours to draw with.

    Attributes:
        heat: strongest colour of a heatmap; weaker ones are the same, more transparent.
        on_heat: text upon it.
        on_pale: text upon weaker ones.
        series: lines that must be told apart (also by colour-blind readers: their dashes differ too).
    """

    ink: str
    heat: str
    on_heat: str
    on_pale: str
    series: tuple[str, ...]


_PAGE = Palette("#010203", "#0a0b0c", "#030201", "#020301", ("#040506", "#040507", "#040508", "#040509", "#04050a"))
"""Stand-ins that the page's own colours replace; nothing else in a picture has them."""
_SERIES = ("aligned", "hidden", "resisted", "over", "soft")
_PAGE_STYLE = {
    _PAGE.ink: "currentColor",
    _PAGE.heat: "var(--heat)",
    _PAGE.on_heat: "var(--on-heat)",
    _PAGE.on_pale: "var(--on-pale)",
    **{colour: f"var(--{name})" for colour, name in zip(_PAGE.series, _SERIES, strict=True)},
}
_PAPER_HEAT = {"heat-probe": "#06285a", "heat-patch": "#521902"}


def on_paper(css_class: str) -> Palette:
    """Colours of a file, which has no page around it."""
    series = ("#2b6cb0", "#b3400f", "#2a7a63", "#7a4fa3", "#5c5850")
    return Palette("#1d1c1a", _PAPER_HEAT.get(css_class, "#06285a"), "#ffffff", "#000000", series)


@dataclass(frozen=True)
class Picture:
    """A figure that can be drawn in any colours.

    Attributes:
        name: stem of its files.
        title: read out in place of the picture.
        css_class: names its colours in the page's style.
        draw: makes the figure.
    """

    name: str
    title: str
    css_class: str
    draw: Callable[[Palette], "Figure"]

    def inline(self) -> Markup:
        """The picture as it may stand inside a page, beside others like it: text stays text, nothing is loaded."""
        svg = _svg(self.draw(_PAGE))
        svg = svg[svg.index("<svg") :]
        svg = re.sub(
            r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", svg, flags=re.DOTALL
        )
        svg = re.sub(r' (?:xmlns|xmlns:xlink)="[^"]*"', "", svg)
        svg = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;\"]*", r"font-weight: \1; font-size: \2", svg)
        svg = re.sub(r"font-family: [^;\"]*;|font-weight: ;| transform=\"rotate\(-0 [^\"]*\"", "", svg)
        svg = re.sub(r' id="[^"]*"', "", svg)  # nothing refers to them, and they would clash
        for drawn, shown in _PAGE_STYLE.items():
            svg = svg.replace(drawn, shown)
        opening = Markup('<svg role="img" aria-label="{}" class="figure {}"').format(self.title, self.css_class)
        return Markup(re.sub(r"\n\s*", "\n", svg).replace("<svg", str(opening), 1))

    def write(self, folder: Path) -> list[Path]:
        """Write the picture as SVG and as PNG (300 dots per inch) on white; returns the paths."""
        figure = self.draw(on_paper(self.css_class))
        vector, raster = folder / f"{self.name}.svg", folder / f"{self.name}.png"
        vector.write_text(_svg(figure), encoding="utf-8")
        figure.savefig(raster, dpi=300, facecolor="white")
        return [vector, raster]


def _svg(figure: "Figure") -> str:
    from matplotlib import rc_context

    buffer = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def blank(width: float, height: float) -> "Figure":
    """An empty figure of this size in points."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72))
