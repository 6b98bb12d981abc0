"""The figures of the page: numbers as text, colours of the page, nothing of matplotlib left behind."""

import copy
import re
from pathlib import Path

from matplotlib import rcParams
from report_summary import cell, compared, comparison, model_summary, run_summary, typed

from experiments.records.parts import Figure
from experiments.records.summary import PatchSummary
from experiments.report import Run
from experiments.report.figures import Grid, heatmap, whisker
from experiments.report.page import render
from experiments.report.views import patch_grid, validation_grid


def page(*models):
    return render([Run(Path("nowhere"), typed(run_summary(*models)))])


def texts_of(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_probe_map_joins_the_families_in_token_order():
    families = {"probe_before_cot": "before", "probe_within_cot": "within", "probe_after_cot": "after"}
    grid = validation_grid(compared(comparison()), families)
    assert grid.rows == ("resid_pre.0", "resid_post.0", "resid_post.1")
    assert grid.groups == (("before", ("prompt_end",)), ("within", ("cot_0.5",)))
    assert grid.outlined == {("resid_post.1", "prompt_end"), ("resid_post.0", "cot_0.5")}
    svg = re.findall(r'<svg role="img"[^>]*heat-probe.*?</svg>', page(), flags=re.DOTALL)[0]
    texts = texts_of(svg)
    for expected in ("0.50", "0.73", "0.88", "0.65", "–", "resid_post.1", "before the CoT", "within the CoT"):
        assert expected in texts
    assert "0.51" not in texts  # a text baseline has no site


def test_token_order_of_positions():
    names = (
        "pre_answer",
        "cot_token_10",
        "cot_token_9",
        "cot_0.75",
        "prompt_end",
        "think_end",
        "cot_0.25",
        "hint_end",
        "cot_1.0",
        "think_start",
    )
    validation = {"a": {f"resid_post.{i}@{name}": 0.5 for name in names for i in (10, 9)}}
    grid = validation_grid(compared({**comparison(), "validation": validation, "detectors": {}}), {"a": "all"})
    ordered = (
        "hint_end",
        "prompt_end",
        "think_start",
        "cot_token_9",
        "cot_token_10",
        "cot_0.25",
        "cot_0.75",
        "cot_1.0",
        "think_end",
        "pre_answer",
    )
    assert grid.groups[0][1] == ordered
    assert grid.rows == ("resid_post.9", "resid_post.10")


def test_patch_map_sets_the_placebo_apart():
    patch = model_summary()["patch"]
    patch["cells"] += [cell("resid_pre.0", name, 0.5) for name in ("readout", "readout-2", "readout-1")]
    assert patch_grid(PatchSummary.model_validate(patch)).groups == (
        ("named positions", ("pointer", "readout-2", "readout-1", "readout")),
        ("placebo", ("random_positions",)),
    )
    svg = re.findall(r'<svg role="img"[^>]*heat-patch.*?</svg>', page(), flags=re.DOTALL)[0]
    texts = texts_of(svg)
    for expected in ("0.99", "0.00", "0.03", "placebo", "random_", "positions", "pointer"):
        assert expected in texts
    assert "−0.00" not in texts


def test_figures_follow_the_scheme_and_leave_matplotlib_alone():
    before = copy.deepcopy(dict(rcParams))
    grid = Grid(
        ("resid_pre.0",), (("g", ("a", "$x$")),), {("resid_pre.0", "a"): 0.95, ("resid_pre.0", "$x$"): 0.2}, 0.0, 1.0
    )
    svg = heatmap(grid, "name", 'a "title" <b>', "heat-patch").inline()
    assert dict(rcParams) == before
    assert 'aria-label="a &#34;title&#34; &lt;b&gt;"' in svg
    assert "$x$" in texts_of(svg)
    assert "var(--heat)" in svg
    assert "var(--on-heat)" in svg  # strong cells
    assert "currentColor" in svg  # pale cells and labels
    assert not re.search(r"#[0-9a-f]{6}|font-family|rotate|<style|<image| id=", svg)


def test_many_layers_stay_small_enough():
    model = model_summary()
    places = ("hint_end", "question_end", "prompt_end")
    model["comparison"]["validation"]["probe_before_cot"] = {
        f"resid_post.{i}@{p}": 0.6 for i in range(80) for p in places
    }
    model["patch"]["cells"] = [cell(f"resid_pre.{i}", p, 0.5) for i in range(80) for p in (*places, "random_positions")]
    assert len(page(*[model] * 4).encode()) < 6_000_000


def test_whisker_draws_the_interval():
    svg = whisker(Figure(value=0.75, low=0.5, high=1.0))
    assert 'cx="118.0"' in svg
    assert "M80.0 9H156.0" in svg
    assert whisker(Figure()) == ""
    assert whisker(None) == ""
    assert 'class="bar"' not in whisker(Figure(value=0.5))
