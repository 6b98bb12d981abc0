"""The pages that say how something is added are true: each thing is added from the page's text, and works."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import some_rows

from activations import Site, Zero, capture, check_model, editing, open_backend, sites, visiting
from activations.batching import pad_left
from activations.components import COMPONENTS
from activations.names import BACKENDS
from activations.planner import site_width
from experiments.comparison.metrics import METRICS
from experiments.detectors.registry import DETECTORS
from experiments.detectors.training import train
from probes import ESTIMATORS, Contrast, LogisticProbe, ProbeCard, Search, load_probe, nested_cv, save_probe

DOCS = Path(__file__).parent.parent / "docs"


def files_and_lines(page):
    """The page's files (path and text: a block of Python after its path and a colon) and its registry lines."""
    text = (DOCS / page).read_text(encoding="utf-8")
    files = {}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        path = re.findall(r"`([\w/]+\.py)`:", text[: block.start()])[-1]
        files.setdefault(path, block.group(1))
    return files, re.findall(r'^    "(\w+)": "([\w.]+):(\w+)",$', text, re.MULTILINE)


@pytest.fixture
def add(tmp_path, monkeypatch):
    """``add(registry, page, name)``: write the page's file beside the package and add the page's line."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def added(registry, page, name):
        files, lines = files_and_lines(page)
        ((module, attribute),) = [(path, found) for own, path, found in lines if own == name]
        alone = module.rpartition(".")[2]
        (tmp_path / f"{alone}.py").write_text(files[module.replace(".", "/") + ".py"], encoding="utf-8")
        monkeypatch.setattr(registry, "_entries", {**registry._entries, name: f"{alone}:{attribute}"})
        monkeypatch.delitem(sys.modules, alone, raising=False)
        return registry[name]

    return added


def planted(n=160):
    rng = np.random.default_rng(0)
    labels = rng.random(n) < 0.5
    cells = {"noise": rng.normal(size=(n, 8)), "signal": rng.normal(size=(n, 8)) + 0.9 * labels[:, None]}
    return cells, Contrast(labels, tuple(map(str, range(n))), ("s",) * n)


def test_a_probe_of_the_page_competes_in_a_search_and_is_saved(add, tmp_path):
    estimator = add(ESTIMATORS, "adding_a_probe.md", "median_difference")
    cells, contrast = planted()
    result = nested_cv(cells, contrast, Search((0.1,), 4, 3, estimator="median_difference", permutations=19), 0)
    assert {outcome.chosen.cell for outcome in result.outcomes} == {"signal"}
    assert result.estimate(contrast).value > 0.85
    assert result.null.p_value == 0.05
    (first, *_) = result.outcomes
    save_probe(tmp_path / "saved", first.chosen.probe, ProbeCard("model", "resid_post.0", "prompt_end"))
    again = load_probe(tmp_path / "saved")
    assert type(again.probe) is estimator.probe
    np.testing.assert_allclose(again.scores(cells["signal"]), first.chosen.score(cells["signal"]))


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if ESTIMATORS[name].reads == "vector"])
def test_every_estimator_of_vectors_finds_what_is_planted(name):
    cells, contrast = planted()
    result = nested_cv(cells, contrast, Search((0.1,), 3, 2, estimator=name), 0)
    assert result.estimate(contrast).value > 0.8, name


def rows():
    """As much of the rows as the page's detectors look at: reliant rows ask more and thought longer unhinted."""
    _, contrast = planted(120)
    hinted = [SimpleNamespace(completion_text="?" * (3 * int(y) + i % 2)) for i, y in enumerate(contrast.labels)]
    unhinted = [SimpleNamespace(completion_ids=(0,) * (5 * int(y) + i % 3 + 1)) for i, y in enumerate(contrast.labels)]

    class Some:
        def __init__(self):
            self.hinted, self.unhinted = hinted, unhinted

        def __len__(self):
            return len(hinted)

        def contrast(self):
            return contrast

    return Some(), contrast


@pytest.mark.parametrize(("name", "family", "rival"), [("questions_asked", "baseline", False),
                                                       ("unhinted_length", "control", True)])  # fmt: skip
def test_a_detector_and_a_control_of_the_page_are_built_and_trained(add, name, family, rival):
    build = add(DETECTORS, "adding_a_detector.md", name)
    some, contrast = rows()
    (detector,) = build(SimpleNamespace(rows=some, main=True))
    assert (detector.name, detector.family, detector.rival) == (name, family, rival)
    search = Search((0.1,), 3, 2)
    trained = train(detector, some, search.folds(contrast, 0), search, 0)
    assert trained.result.estimate(contrast).value > 0.9


def test_a_metric_of_the_page_is_a_number_of_probabilities_and_labels(add):
    metric = add(METRICS, "adding_a_detector.md", "sharpness")
    assert metric(np.array([0.0, 1.0]), np.array([False, True])) == 0.5
    assert set(METRICS) >= {"brier", "ece", "ece_null", "sharpness"}


def test_nothing_else_needs_to_know_a_new_probe():
    assert isinstance(ESTIMATORS["logistic"].fitter.fit(*_one()).probe(0, 0, 0), LogisticProbe)


def _one():
    cells, contrast = planted(40)
    return cells["signal"], contrast.labels[:, None], np.ones((40, 1), dtype=bool), (0.1,), "feature"


def test_a_component_of_the_page_is_captured_and_edited(tiny, monkeypatch):
    """Its name and its entry are all: what is captured is what the module is given, and an edit of it reaches on."""
    text = (DOCS / "adding_a_component.md").read_text(encoding="utf-8")
    namespace = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1), namespace)
    for module in ("hooks", "planner", "partial"):
        monkeypatch.setattr(f"activations.{module}.COMPONENTS", {**COMPONENTS, "mlp_in": namespace["MLP_INPUT"]})
    order = [*sites._ORDER]
    order.insert(order.index("mlp_out"), "mlp_in")
    monkeypatch.setattr(sites, "_ORDER", tuple(order))

    loaded, given = tiny("llama"), []
    (row,) = some_rows(loaded, (9,))
    handle = loaded.model.model.layers[1].mlp.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    site = sites.Site(1, "mlp_in")
    ((_, captured),) = capture(loaded, [row], [[8]], [site])
    handle.remove()
    np.testing.assert_allclose(captured[site][0, 0].numpy(), given[-1][0, 8].numpy(), atol=1e-6)
    assert site_width(loaded, site) == captured[site].shape[-1]
    last = sites.Site(1, "resid_post")
    batch = pad_left([row], 0, loaded.device)
    seen = []
    with torch.no_grad(), editing(loaded, batch, [Zero(site, [[8]])]), visiting(loaded.model, {last: seen.append}):
        loaded.model(input_ids=batch.ids, attention_mask=batch.mask)
    ((_, plain),) = capture(loaded, [row], [[7, 8]], [last])
    assert torch.allclose(seen[0][0, 7], plain[last][0, 0], atol=1e-5)
    assert not torch.allclose(seen[0][0, 8], plain[last][0, 1], atol=1e-2)


def test_a_backend_of_the_page_reads_what_the_native_one_reads(add, tiny):
    """It is chosen by its name, passes the check, and one that reads a token early does not."""
    backend = add(BACKENDS, "adding_a_backend.md", "hidden_states")
    loaded = tiny("llama")
    rows = some_rows(loaded, (5, 9))
    site, positions = Site(1, "resid_pre"), [[1, 4], [0, 8]]

    def read(given):
        return {i: kept[site][at] for at_row, kept in capture(loaded, rows, positions, [site], backend=given)
                for at, i in enumerate(at_row)}  # fmt: skip

    ours, native = read(open_backend("hidden_states", loaded)), read(None)
    assert all(torch.allclose(ours[i], native[i], atol=1e-5) for i in (0, 1))
    assert check_model(loaded, backend(loaded)).passed

    class Early(backend):
        def read(self, batch, where, sites):
            return super().read(batch, (where - 1).clamp(min=0), sites)

    assert not check_model(loaded, Early(loaded)).passed
