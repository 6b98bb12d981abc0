"""A saved probe scores as it did, and a damaged or newer one is refused with a reason."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from safetensors.numpy import load_file

from activations.errors import HintprobeError
from probes import (
    AttentionProbe,
    LogisticProbe,
    MeanDifferenceProbe,
    MLPProbe,
    Platt,
    ProbeCard,
    RidgeProbe,
    load_probe,
    save_probe,
)

CARD = ProbeCard(
    model="f" * 64,
    site="resid_post.3",
    position="prompt_end",
    model_name="unfaithful",
    target="reliant",
    calibration=Platt(1.5, -0.25),
    thresholds={"0.05": 1.25},
    notes={"rows": 200},
)
KINDS = [LogisticProbe(C=0.1), MeanDifferenceProbe(whiten=True), RidgeProbe(alpha=3.0), MLPProbe(hidden=4)]


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 12)) * np.geomspace(0.1, 10, 12) + 5
    return x, np.where(x[:, 3] + rng.normal(size=200) > 5, "reliant", "aligned")


@pytest.fixture
def saved(tmp_path):
    x, y = data()
    return save_probe(tmp_path / "probe", LogisticProbe(C=0.1).fit(x, y), CARD)


@pytest.mark.parametrize("probe", KINDS, ids=str)
def test_everything_travels(tmp_path, probe):
    x, y = data()
    probe.fit(x, y)
    again = load_probe(save_probe(tmp_path / "probe", probe, CARD))
    np.testing.assert_array_equal(again.scores(x), probe.decision_function(x))
    np.testing.assert_array_equal(again.probe.predict(x), probe.predict(x))
    assert again.probe.get_params() == probe.get_params()
    assert again.card == CARD
    np.testing.assert_allclose(again.probabilities(x), 1 / (1 + np.exp(-(1.5 * probe.decision_function(x) - 0.25))))


def test_an_attention_probe_travels_with_its_query(tmp_path):
    x, y = data()
    rows = [x[i : i + 1 + i % 4] for i in range(len(x))]
    probe = AttentionProbe(max_steps=20).fit(rows, y)
    again = load_probe(save_probe(tmp_path, probe, CARD))
    np.testing.assert_allclose(again.scores(rows), probe.decision_function(rows))
    np.testing.assert_allclose(again.probe.attention(rows)[3], probe.attention(rows)[3])


def test_another_program_can_score_from_the_arrays_alone(saved):
    x, _ = data()
    arrays = load_file(saved / "probe.safetensors")
    scores = ((x - arrays["mean_"]) / arrays["scale_"]) @ arrays["coef_"][0] + arrays["intercept_"][0]
    np.testing.assert_allclose(load_probe(saved).scores(x), scores)


@pytest.mark.slow
def test_another_process_gives_the_same_scores(saved):
    code = (
        "import sys, numpy as np; from probes import load_probe;"
        "print(load_probe(sys.argv[1]).scores(np.ones((1, 12)))[0])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert float(out.stdout) == pytest.approx(load_probe(saved).scores(np.ones((1, 12)))[0], rel=1e-12)


def test_another_model_is_refused(saved):
    load_probe(saved).check_model("f" * 64)
    with pytest.raises(HintprobeError, match="fingerprint aaaaaaaaaaaa"):
        load_probe(saved).check_model("a" * 64)


def test_no_calibration_no_probability(tmp_path):
    x, y = data()
    again = load_probe(save_probe(tmp_path, RidgeProbe().fit(x, y), ProbeCard("f", "resid_post.0", "hint_end")))
    with pytest.raises(HintprobeError, match="without a calibration"):
        again.probabilities(x)


def edit(saved, **changes):
    """As another program would have written it: without a checksum."""
    path = saved / "probe.json"
    described = {**json.loads(path.read_text()), **changes}
    del described["sha256"]
    path.write_text(json.dumps(described))


def test_a_newer_format_is_refused(saved):
    edit(saved, version=99)
    with pytest.raises(HintprobeError, match="format version 99"):
        load_probe(saved)


@pytest.mark.parametrize("where", [0, 100, -1])
def test_one_flipped_bit_in_the_arrays_is_noticed(saved, where):
    path = saved / "probe.safetensors"
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(HintprobeError, match="damaged"):
        load_probe(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "Unheard"}, "Unheard"),
        ({"format": "other"}, "does not describe a probe"),
        ({"parameters": {"nonsense": 1}}, "damaged"),
        ({"kind": "RidgeProbe"}, "damaged"),
        ({"card": {"site": "x"}}, "damaged"),
        ({"kind": ["LogisticProbe"]}, "known kinds"),
        ({"kind": {}}, "known kinds"),
        ({"card": None}, "the card is NoneType"),
        ({"card": {**asdict(CARD), "calibration": "0.5"}}, "calibration"),
        ({"card": {**asdict(CARD), "calibration": {"slope": "1", "offset": 0}}}, "calibration"),
        ({"card": {**asdict(CARD), "thresholds": {"0.05": "x"}}}, "threshold"),
        ({"card": {**asdict(CARD), "thresholds": []}}, "thresholds"),
        ({"card": {**asdict(CARD), "site": 3}}, "`site`"),
        ({"parameters": []}, "damaged"),
        ({"classes": None}, "damaged"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(saved, changes, message):
    edit(saved, **changes)
    with pytest.raises(HintprobeError, match=message):
        load_probe(saved)


def test_a_changed_number_of_the_card_is_noticed(saved):
    path = saved / "probe.json"
    path.write_text(path.read_text().replace('"slope": 1.5', '"slope": 2.5'))
    with pytest.raises(HintprobeError, match="was changed since"):
        load_probe(saved)


def test_truncated_and_missing_files_are_refused(saved, tmp_path):
    with pytest.raises(HintprobeError, match="There is no probe in"):
        load_probe(tmp_path / "nowhere")
    card = saved / "probe.json"
    card.write_text(card.read_text()[:50])
    with pytest.raises(HintprobeError, match="not readable as JSON"):
        load_probe(saved)


def test_no_code_is_stored(saved):
    assert {p.name for p in saved.iterdir()} == {"probe.safetensors", "probe.json"}
    assert b"pickle" not in b"".join(p.read_bytes() for p in saved.iterdir())
