"""Probes that follow a text as it grows: the live route equals the read one, and thresholds hold over whole texts."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from activations import Decoding, Site, capture, generate, load_model
from activations.errors import HintprobeError
from activations.streaming import stream
from experiments.cli import app
from experiments.detectors.cells import DetectorCells
from experiments.detectors.saved import _stream_threshold
from experiments.detectors.scoring import thinned
from experiments.detectors.streamed import PrefixReader
from experiments.detectors.training import Trained
from experiments.run.known_models import resolve_model
from probes import (
    Contrast,
    LogisticProbe,
    MaxPoolingProbe,
    Platt,
    ProbeCard,
    SavedProbe,
    Search,
    Sequences,
    TrajectoryProbe,
    nested_cv,
    save_probe,
)

ORGANISM = "organism:unfaithful"
PROMPT = "Take Ava Tate 's heading and turn right . Where does it point ?"
COMPLETION = "<think>\nHere Ava Tate faces north. Turning right gives east.\n</think>\n\nThe answer is (B)."


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_streamed_tokens_are_those_of_generate_and_states_those_of_a_forward(tiny, temperature):
    loaded, site = tiny("llama"), Site(1, "resid_post")
    ids = tuple(loaded.tokenizer(PROMPT)["input_ids"])
    decoding = Decoding(temperature=temperature, max_new_tokens=12)
    (expected,) = generate(loaded, [ids], decoding, seeds=[7])
    came = list(stream(loaded, ids, decoding, site, seed=7))
    assert tuple(token.id for token in came) == expected.ids
    whole = [*ids, *expected.ids]
    ((_, states),) = capture(loaded, [whole], [list(range(len(ids), len(whole)))], [site])
    np.testing.assert_allclose(np.stack([token.state for token in came]), states[site][0].numpy(), atol=1e-4)


def test_a_caller_that_stops_asking_leaves_no_hook(tiny):
    loaded = tiny("llama")
    ids = tuple(loaded.tokenizer(PROMPT)["input_ids"])

    def hooks():
        return [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in loaded.model.modules()]

    before = hooks()  # transformers leaves hooks of its own where hidden states were asked for
    tokens = stream(loaded, ids, Decoding(max_new_tokens=50), Site(1, "resid_post"))
    next(tokens)
    assert hooks() == before
    tokens.close()
    assert hooks() == before


def probe_in(tmp_path, loaded, position, probe=None, thresholds=None, site="resid_post.1"):
    width = loaded.model.config.hidden_size
    rng = np.random.default_rng(0)
    if probe is None:
        probe = LogisticProbe().fit(rng.normal(size=(20, width)), np.arange(20) % 2)
    else:
        probe.fit([rng.normal(size=(5, width)) for _ in range(20)], np.arange(20) % 2)
    card = ProbeCard(
        model=loaded.fingerprint, site=site, position=position, model_name="m", target="t", calibration=Platt(1.0, 0.0),
        thresholds=thresholds or {"0.05": 0.0}, notes={"detector": "probe", "cot_tokens": 6},
    )  # fmt: skip
    return save_probe(tmp_path / "probe", probe, card), probe


def run(*arguments):
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def lines_of(path: Path):
    return {line["id"]: line for line in map(json.loads, path.read_text().splitlines())}


@pytest.mark.parametrize("make", [None, TrajectoryProbe, MaxPoolingProbe], ids=["one position", "trajectory", "max"])
def test_what_is_written_and_watched_is_what_is_read_afterwards(make, tmp_path):
    loaded = load_model(resolve_model(ORGANISM), device="cpu")
    folder, _ = probe_in(tmp_path, loaded, "cot_tokens" if make else "cot_0.5", make() if make else None)
    messages = [{"role": "user", "content": PROMPT}]
    (tmp_path / "open.jsonl").write_text(json.dumps({"id": "a", "messages": messages}) + "\n")
    options = ("--stream", "--max-new-tokens", "48", "--device", "cpu", "--json")
    live = run(ORGANISM, folder, tmp_path / "open.jsonl", "-o", tmp_path / "live.jsonl", *options)
    assert live.exit_code == 0, live.output
    wrote = lines_of(tmp_path / "live.jsonl")["a"]
    assert wrote["completion"]
    assert len(wrote["scores"]) > 5
    (tmp_path / "done.jsonl").write_text(
        json.dumps({"id": "a", "messages": messages, "completion": wrote["completion"]}) + "\n"
    )
    assert run(ORGANISM, folder, tmp_path / "done.jsonl", "-o", tmp_path / "read.jsonl", *options).exit_code == 0
    found = lines_of(tmp_path / "read.jsonl")["a"]
    assert found["tokens"] == wrote["tokens"]
    np.testing.assert_allclose(found["scores"], wrote["scores"], atol=1e-3)
    if make:  # the last prefix is the whole text, which the same probe scores without --stream
        whole = run(ORGANISM, folder, tmp_path / "done.jsonl", "-o", tmp_path / "whole.jsonl", "--device", "cpu")
        assert whole.exit_code == 0, whole.output
        assert lines_of(tmp_path / "whole.jsonl")["a"]["score"] == pytest.approx(found["scores"][-1], abs=1e-3)


def test_an_alarm_ends_the_writing_and_resuming_writes_nothing_twice(tmp_path):
    loaded = load_model(resolve_model(ORGANISM), device="cpu")
    limits = {"0.05": 0.0, "stream 0.05": -1e9}
    folder, _ = probe_in(tmp_path, loaded, "cot_tokens", TrajectoryProbe(), limits)
    lines = [{"id": "a", "messages": [{"role": "user", "content": PROMPT}]}]
    file, out = tmp_path / "open.jsonl", tmp_path / "live.jsonl"
    file.write_text(json.dumps(lines[0]) + "\n")
    options = ("-o", out, "--stream", "--stop-at-alarm", "--device", "cpu", "--json")
    first = json.loads(run(ORGANISM, folder, file, *options).stdout)
    assert (first["alarms"], first["threshold"]) == (1, -1e9)
    line = lines_of(out)["a"]
    assert (len(line["scores"]), line["alarm"], line["alarm_token"]) == (1, True, line["tokens"][0])
    before = out.read_text()
    run(ORGANISM, folder, file, *options)
    assert out.read_text() == before


def test_a_probe_of_the_prompt_has_nothing_to_follow_and_one_without_a_threshold_gives_no_alarm(
    tiny, tiny_folder, tmp_path
):
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps({"id": "a", "prompt_text": PROMPT, "completion": COMPLETION}) + "\n")
    folder, _ = probe_in(tmp_path, tiny("llama"), "prompt_end")
    with pytest.raises(HintprobeError, match="reads prompt_end"):
        raise run(tiny_folder("llama"), folder, file, "-o", tmp_path / "s", "--stream").exception
    folder, _ = probe_in(tmp_path, tiny("llama"), "cot_0.5")
    done = run(tiny_folder("llama"), folder, file, "-o", tmp_path / "s", "--stream", "--device", "cpu")
    assert "no alarms: this probe" in done.output
    assert lines_of(tmp_path / "s")["a"]["alarm"] is None
    with pytest.raises(HintprobeError, match="add --stream"):
        raise run(tiny_folder("llama"), folder, file, "-o", tmp_path / "s2", "--stop-at-alarm").exception


def test_a_prefix_is_thinned_as_a_whole_text_is():
    probe = TrajectoryProbe().fit([np.random.default_rng(k).normal(size=(5, 4)) for k in range(10)], np.arange(10) % 2)
    saved = SavedProbe(probe, ProbeCard("m", "resid_post.0", "cot_tokens", notes={"cot_tokens": 3}))
    states = list(np.random.default_rng(0).normal(size=(11, 4)))
    reader = PrefixReader(saved)
    came = [reader.take(state) for state in states]
    for n in (1, 3, 4, 11):
        assert came[n - 1] == pytest.approx(probe.decision_function([np.stack(thinned(states[:n], saved))])[0])
    assert [len(thinned(states[:n], saved)) for n in (1, 3, 4, 11)] == [1, 3, 2, 3]


def test_over_whole_texts_the_threshold_of_streams_is_exceeded_as_often_as_it_says():
    """Noise: the threshold of one reading is exceeded far more often by some prefix; the streams' own is not."""
    rng = np.random.default_rng(0)

    def texts(n, label):
        return [rng.normal(size=(20, 6)) + (0.4 if label else 0) for _ in range(n)]

    n = 300
    labels = np.arange(n) % 2 == 0
    rows = Sequences(texts(1, label)[0] for label in labels)
    contrast = Contrast(labels, tuple(f"q{k}" for k in range(n)), ("one",) * n)
    result = nested_cv({"cell": rows}, contrast, Search((0.1,), 5, 3, estimator="mean_pooling"), 0)
    trained = Trained(DetectorCells("p", "", {"cell": rows}), result, contrast, np.arange(n), 0.0)
    limit = _stream_threshold(trained)["stream 0.05"]
    plain = float(np.quantile(result.scores[~labels], 0.95))
    probe = result.outcomes[0].chosen
    fresh = texts(400, False)
    highest = np.array([probe.score([row[:m] for m in range(1, 21)]).max() for row in fresh])
    assert (highest > plain).mean() > 0.2
    assert (highest > limit).mean() < 0.11
    vector = Trained(DetectorCells("p", "", {"cell": np.zeros((n, 2))}), result, contrast, np.arange(n), 0.0)
    assert _stream_threshold(vector) == {}
