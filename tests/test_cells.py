"""Cells are read when they are asked for, and a search computes on the device that it is given."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from activations import Site
from experiments.config import Config
from experiments.detectors import cells as cells_module
from experiments.detectors.cells import Place, StoredCells
from experiments.records import PositionRow
from probes.cell_view import CellView
from probes.nested import Search

SITES = [Site.parse("resid_post.0"), Site.parse("resid_post.1")]


class CountingStore:
    """Gives every site's layer as its values, and counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, site, entries):
        self.reads += 1
        return torch.full((len(entries), 3), float(site.layer), dtype=torch.bfloat16)


def stored(store):
    places = [PositionRow(rollout_id=str(i), row_hash="00", tokens={"prompt_end": 4}, unresolved={}) for i in range(5)]
    return StoredCells(store, places, SITES, ["prompt_end"])


def test_cells_that_fit_are_read_once_and_others_each_time(monkeypatch):
    store = CountingStore()
    kept = stored(store)
    for _ in range(3):
        assert [float(x.mean()) for x in kept.values()] == [0.0, 1.0]
    assert store.reads == 2
    monkeypatch.setattr(cells_module, "KEPT_BYTES", 5 * 3 * 2)  # room for one cell in bfloat16
    streamed = stored(store)
    for _ in range(3):
        assert [float(x.mean()) for x in streamed.values()] == [0.0, 1.0]
    assert store.reads == 2 + 1 + 3
    with pytest.raises(KeyError):
        streamed[Place(SITES[0], "think_end")]


def test_a_view_changes_what_it_reads_and_holds_its_names_alone():
    view = CellView({"a": np.ones((2, 2)), "b": np.zeros((2, 2))}, ["b"], lambda x: x + 1).map(lambda x: x * 3)
    assert list(view) == ["b"]
    assert view["b"].tolist() == [[3.0, 3.0], [3.0, 3.0]]
    with pytest.raises(KeyError):
        view["a"]


@pytest.mark.parametrize("estimator", ["logistic", "mean_pooling", "attention", "mlp"])
def test_a_search_fits_on_its_device(estimator: str):
    fitter = Search((0.1,), estimator=estimator, device="cuda").fitter
    solver = getattr(fitter, "solver", fitter)
    where = solver.device if hasattr(solver, "device") else solver.make(0.1).get_params().get("device", "cpu")
    assert where == ("cpu" if estimator == "mlp" else "cuda")


def test_where_probes_are_trained_does_not_name_the_stage():
    one, other = Config(name="a", models=["m"]), Config(name="a", models=["m"], probe={"device": "cpu"})
    assert str(one.probe) == str(other.probe)
    assert one.probe.device != other.probe.device


def test_a_device_that_there_is_not_is_refused_before_anything_runs():
    with pytest.raises(ValidationError, match=r"probe\.device"):
        Config(name="a", models=["m"], probe={"device": "gpu"})
