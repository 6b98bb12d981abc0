"""A run as data frames: the numbers of the records, missing stages named, text escaped."""

import json

import pandas as pd
import pytest
from report_run import make_run
from report_summary import run_summary

from activations import HintprobeError
from experiments.report.results import read_results


@pytest.fixture
def results(tmp_path):
    make_run(tmp_path, 18)
    return read_results(tmp_path)


def test_rows_join_labels_verdicts_and_probabilities(results):
    (model,) = results
    rows = model.rows
    assert len(rows) == 18
    assert rows.loc["q0:sycophancy:hinted:0", "behaviour"] == "reliant"
    assert rows["verbalized"].tolist() == [i % 4 == 0 for i in range(18)]
    scores = model.table("scores").set_index("rollout_id")["probability"]
    asked = rows["behaviour"] != "resisted"
    assert rows.loc[asked, "p_probe_before_cot"].to_dict() == scores.to_dict()
    assert rows.loc[~asked, "p_probe_before_cot"].isna().all()


def test_detectors_are_those_of_the_summary(results):
    entry = run_summary()["models"][0]["comparison"]["detectors"]["probe_before_cot"]
    table = results.detectors.set_index(["table", "detector"])
    row = table.loc[("detectors", "probe_before_cot")]
    assert (row["auroc"], row["auroc_low"], row["auroc_high"]) == tuple(entry["auroc"].values())
    assert set(results["organism:unfaithful"].detectors["detector"]) == set(results.detectors["detector"])


def test_maps_have_named_dimensions_in_the_models_order(results):
    frame = results["organism:unfaithful"].validation("probe_before_cot")
    stated = run_summary()["models"][0]["comparison"]["validation"]["probe_before_cot"]
    assert (frame.index.name, frame.columns.name) == ("site", "position")
    for cell in stated:
        site, position, value = cell["site"], cell["position"], cell["auroc"]
        assert frame.loc[site, position] == pytest.approx(value, nan_ok=True) or pd.isna(value)
    depths = [int(site.split(".")[1]) for site in frame.index]
    assert depths == sorted(depths)
    xarray = pytest.importorskip("xarray", reason="extra `xarray` is not installed")
    array = results["organism:unfaithful"].validation_array("probe_before_cot")
    assert isinstance(array, xarray.DataArray)
    assert array.dims == ("site", "position")


def test_what_is_not_there_is_said(results, tmp_path):
    with pytest.raises(HintprobeError, match=r"no model 'x'\. It has: organism:unfaithful"):
        results["x"]
    with pytest.raises(HintprobeError, match="no table 'x'"):
        results["organism:unfaithful"].table("x")
    with pytest.raises(HintprobeError, match="no validation map of 'x'"):
        results["organism:unfaithful"].validation("x")
    del results["organism:unfaithful"].summary.stages["probe"]
    with pytest.raises(HintprobeError, match="stage 'probe', which has not run"):
        results["organism:unfaithful"].table("scores")
    with pytest.raises(HintprobeError, match="There is no run"):
        read_results(tmp_path / "none")


def test_notebooks_show_tables_and_no_markup_of_the_models_making(tmp_path):
    run = make_run(tmp_path, 6)
    summary = run.summary.model_dump(mode="json")
    summary["models"][0]["model"] = "<script>alert(1)</script>"
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    html = read_results(tmp_path)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "0.91" in html


def test_the_root_module_offers_it():
    import hintprobe

    assert hintprobe.read_results is read_results
    assert hintprobe.experiments.__name__ == "experiments"
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = hintprobe.experiments.nothing_of_the_kind
