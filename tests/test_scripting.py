"""The short way in Python: found where it was planted, not where it was not, and bad input in one paragraph."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import hintprobe as hp
from experiments.config.file import load_config

HEADING = "Take Ava Tate's heading and turn {}. Where does it point?"


@pytest.fixture(scope="module")
def model():
    return hp.load_model("organism:unfaithful")


def planted(seed=0, n=160):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8))
    return x, x[:, 0] + rng.normal(size=n) * 0.3 > 0


def test_capture_gives_a_row_per_text_at_the_token_asked_for(model):
    texts = [HEADING.format(turn) for turn in ("right", "left", "around")]
    found = hp.capture(model, texts, ["resid_post.3", "resid_pre.0"])
    assert {site: values.shape for site, values in found.items()} == {"resid_post.3": (3, 128), "resid_pre.0": (3, 128)}
    alone = hp.capture(model, texts[1:2], ["resid_post.3"])["resid_post.3"]
    np.testing.assert_allclose(found["resid_post.3"][1], alone[0], atol=1e-4)
    earlier = hp.capture(model, texts, ["resid_post.3"], position=0)["resid_post.3"]
    np.testing.assert_allclose(earlier[0], earlier[1], atol=1e-4)  # the same first token


def test_a_probe_is_found_where_it_was_planted_and_nowhere_else():
    x, labels = planted()
    found, nothing = hp.train_probe(x, labels), hp.train_probe(x[:, 1:], labels)
    assert found.auroc > 0.9
    assert 0.8 < found.low < found.auroc < found.high <= 1
    assert nothing.low < 0.5 < nothing.high
    assert 0.35 < nothing.auroc < 0.65
    # Held out: fitted on these very rows, noise of 120 features would be told apart.
    noise = np.random.default_rng(1).normal(size=(len(labels), 120))
    assert hp.train_probe(noise, labels).auroc < 0.7
    alone = roc_auc_score(labels[nothing.fold == 0], nothing.scores[nothing.fold == 0])
    assert abs(alone - nothing.auroc) < 0.3
    assert "held-out AUROC" in repr(found)
    table = hp.compare({"nothing": nothing.scores, "found": found.scores}, labels, folds=found.fold)
    assert table.loc["found", "difference_low"] > 0
    assert table.loc["found", "auroc"] == pytest.approx(found.auroc, abs=0.03)


def test_patching_the_token_that_differs_gives_the_source_run(model):
    base, source = HEADING.format("right"), HEADING.format("left")
    frame = hp.patch(model, base, source, ("A", "B"))
    assert list(frame.index) == [f"resid_pre.{layer}" for layer in range(6)]
    assert not frame.isna().to_numpy().any()
    (turned,) = [name for name in frame.columns if "right" in name]
    assert frame.loc["resid_pre.0", turned] == pytest.approx(1.0, abs=1e-3)
    others = frame.loc["resid_pre.0"].drop(turned)
    assert others.abs().max() < 1e-3


def test_bad_input_is_said():
    x, labels = planted()
    with pytest.raises(hp.HintprobeError, match="160 rows of features but 150 labels"):
        hp.train_probe(x, labels[:150])
    with pytest.raises(hp.HintprobeError, match="160 labels and 3 groups"):
        hp.train_probe(x, labels, groups=[1, 2, 3])
    with pytest.raises(hp.HintprobeError, match="no texts"):
        hp.capture(None, [])
    with pytest.raises(hp.HintprobeError, match="nobody"):
        hp.load_model("organism:nobody")


def test_a_configuration_is_loaded_by_name_and_a_misspelt_key_gets_the_near_one(tmp_path):
    assert load_config("demo").name == "demo"
    path = tmp_path / "c.yaml"
    path.write_text("name: c\nmodels: [m]\nquestions: {limt: 3}\n")
    with pytest.raises(hp.HintprobeError, match=r"did you mean `questions.limit`"):
        load_config(str(path))
