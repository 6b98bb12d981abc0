"""The report's heatmaps: every number in the cell that its place stands for, and legible on every shade."""

import re
from pathlib import Path

import numpy as np
import pytest
from report_summary import KIND_TRANSFER, TRANSFER, compared, comparison, figure, model_summary

from experiments.records.summary import PatchSummary
from experiments.report.breakdown import kind_grid, kind_transfer_grids, position_grid, unseen_grid
from experiments.report.figures import STRONG, heatmap
from experiments.report.page import render
from experiments.report.views import patch_grid


def read_map(grid):
    """The numbers of a heatmap as drawn: by the row and column that their place in the picture stands for."""
    svg = heatmap(grid, "name", "title", "heat-probe").inline()
    texts = [
        (anchor, float(x), float(y), text)
        for anchor, x, y, text in re.findall(
            r'<text style="[^"]*text-anchor: (\w+);[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', svg
        )
    ]
    rows = {y: text for anchor, _, y, text in texts if anchor == "end"}
    lowest = max(rows)
    under = [(y, x, text) for anchor, x, y, text in texts if anchor == "middle" and y > lowest + 11]
    columns = {x: "".join(text for _, at, text in sorted(under) if at == x) for _, x, _ in under}
    found = {}
    for anchor, x, y, text in texts:
        if anchor == "middle" and y <= lowest + 11:
            row = rows[min(rows, key=lambda at: abs(at - y))]
            found[row, columns[x]] = None if text == "–" else float(text.replace("−", "-"))
    return found


def rounded(values):
    return {cell: None if value is None else float(f"{value:.2f}") for cell, value in values.items()}


def test_position_transfer_is_drawn_where_it_belongs():
    assert read_map(position_grid(compared(comparison()))) == rounded(TRANSFER)
    swapped = comparison()
    for cell in swapped["position_transfer"]:
        cell["trained_at"], cell["read_at"] = cell["read_at"], cell["trained_at"]
    assert read_map(position_grid(compared(swapped))) != rounded(TRANSFER)


def test_kind_transfer_is_drawn_where_it_belongs():
    found = comparison()
    (grid,) = kind_transfer_grids(compared(found)).values()
    assert read_map(grid) == rounded(KIND_TRANSFER)
    for cell in found["kind_transfer"]:
        cell["trained_on"], cell["read_on"] = cell["read_on"], cell["trained_on"]
    (grid,) = kind_transfer_grids(compared(found)).values()
    assert read_map(grid) != rounded(KIND_TRANSFER)


def test_kinds_and_transfer_are_drawn_from_by_kind():
    found = comparison()
    entries = found["detectors"]
    for grid, names in (
        (kind_grid(compared(found)), ("probe_before_cot", "judge_lexical", "prompt_words")),
        (
            unseen_grid(compared(found)),
            ("probe_before_cot", *(f"probe_before_cot_new_{f}" for f in ("kind", "direction"))),
        ),
    ):
        stated = {}
        for name in names:
            stated[name, "all kinds"] = entries[name]["auroc"]["value"]
            for kind in ("metadata", "visual_pattern"):
                part = entries[name].get("by_kind", {}).get(kind, {}).get("auroc")
                stated[name, kind] = part["value"] if part else None
        assert read_map(grid) == rounded(stated)


def test_maps_do_not_overlap_their_labels():
    found = comparison()
    long = {f"kind_of_considerable_length_{k}": {"auroc": figure(0.6)} for k in range(3)}
    found["detectors"]["probe_before_cot"]["by_kind"] = long
    grid = kind_grid(compared(found))
    assert grid.left >= 4.6 * len("probe_before_cot")
    assert grid.column_width >= 4.1 * len("of_considerable_length_0")
    assert sum(len(names) for _, names in grid.groups) * grid.column_width < grid.size[0]


def test_no_maps_without_what_they_are_drawn_from():
    found = comparison()
    for entry in found["detectors"].values():
        entry.pop("by_kind", None)
    del found["position_transfer"], found["kind_transfer"]
    assert kind_grid(compared(found)) is position_grid(compared(found)) is None
    assert kind_transfer_grids(compared(found)) == {}


@pytest.mark.parametrize("paper", ["#fcfbf8", "#ffffff", "#15171a"])
@pytest.mark.parametrize("heat", ["heat-probe", "heat-patch"])
def test_numbers_can_be_read_on_every_shade(paper, heat):
    """Contrast of 4.5 to 1 or more (WCAG AA), from the palest cell to the strongest, in both schemes and printed."""
    css = (Path(render.__code__.co_filename).parent / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(rf"--on-heat: (#\w+); --on-pale: (#\w+);.*--{heat}: (#\w+)", css)
    on_heat, on_pale, colour = dark if paper == "#15171a" else light

    def luminance(rgb):
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    def channels(code):
        code = "".join(c * 2 for c in code[1:]) if len(code) == 4 else code[1:]
        return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255

    for alpha in np.linspace(0.03, 0.95, 400):
        cell = luminance((1 - alpha) * channels(paper) + alpha * channels(colour))
        text = luminance(channels(on_heat if alpha > STRONG else on_pale))
        assert (max(cell, text) + 0.05) / (min(cell, text) + 0.05) >= 4.5, alpha


def test_patch_map_is_drawn_where_it_belongs():
    patch = model_summary()["patch"]
    drawn = read_map(patch_grid(PatchSummary.model_validate(patch)))
    stated = {(cell["site"], cell["position"]): cell["recovery"] for cell in patch["cells"]}
    assert {cell: value for cell, value in drawn.items() if value is not None} == {
        cell: float(f"{value:.2f}") for cell, value in stated.items()
    }
