"""What results look like in a notebook: tables, with every name escaped."""

import numpy as np
from conftest import some_rows

from activations import ActivationStore, check_model, residual_sites
from probes import PatchPair, patch_pairs


def test_a_check_is_a_table(tiny):
    report = check_model(tiny("llama"))
    frame = report.to_frame()
    assert list(frame["name"]) == [finding.name for finding in report.findings]
    assert "passed" in report._repr_html_()


def test_a_view_tells_its_rows_and_positions(tiny, tmp_path):
    loaded = tiny("llama")
    rows = some_rows(loaded, (4, 6))
    view = ActivationStore(tmp_path).capture(loaded, rows, {"last": [3, 5], "<b>": [None, 2]})
    html = view._repr_html_()
    assert "2 rows" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_patch_effects_are_a_frame_of_recoveries(tiny):
    loaded = tiny("llama")
    base, source = some_rows(loaded, (8,), seed=0) + some_rows(loaded, (8,), seed=1)
    pair = PatchPair(base, source, 5, 6, {"all": tuple(range(8)), "first": (0,)}, "g")
    effects = patch_pairs(loaded, [pair], residual_sites(4)[:1])
    frame = effects.to_frame().set_index(["site", "position"])
    for cell in effects.patched:
        row = frame.loc[(str(cell.site), cell.position)]
        assert np.isclose(row["recovery"], effects.recovery(cell).ratio)
        assert row["pairs"] == 1
    whole = frame.xs("all", level="position")["recovery"]
    assert np.allclose(whole, 1, atol=1e-4)  # every token replaced in the first layer: the source run itself
    assert "recovery" in effects._repr_html_()
