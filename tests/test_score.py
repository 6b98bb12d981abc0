"""A saved probe on transcripts that it never saw, through the command line."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from activations import Site, capture
from activations.errors import HintprobeError
from experiments.cli import app
from experiments.transcripts.completed import CompletedTranscript, as_rollout, read_completed
from probes import LogisticProbe, Platt, ProbeCard, save_probe

PROMPT = "Take Ava Tate 's heading and turn right . Where does it point ?"
COMPLETION = "<think>\nHere Ava Tate faces north. Turning right gives east.\n</think>\n\nThe answer is (B)."


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def probe(tiny, tmp_path):
    """``probe(position)``: a probe of the tiny llama along a random direction."""

    def make(position="cot_0.5", site="resid_post.1", **card):
        rng = np.random.default_rng(0)
        fitted = LogisticProbe().fit(rng.normal(size=(20, 64)), np.arange(20) % 2)
        given = {
            "model": tiny("llama").fingerprint, "site": site, "position": position, "model_name": "tiny",
            "target": "reliant against aligned", "calibration": Platt(2.0, -1.0), "thresholds": {"0.05": 0.0},
            "notes": {"detector": "probe_within_cot"},
        }  # fmt: skip
        return save_probe(tmp_path / "probe", fitted, ProbeCard(**(given | card))), fitted

    return make


def run(*arguments):
    result = CliRunner().invoke(app, ["score", *map(str, arguments)])
    return result


def test_scores_are_those_of_the_states_that_a_forward_gives(tiny, tiny_folder, probe, tmp_path):
    folder, fitted = probe()
    rows = [
        {"id": "whole", "prompt_text": PROMPT, "completion": COMPLETION},
        {"id": "silent", "prompt_text": PROMPT, "completion": "The answer is (B)."},
    ]
    out = tmp_path / "scores.jsonl"
    done = run(tiny_folder("llama"), folder, write(tmp_path / "t.jsonl", rows), "-o", out, "--json", "--device", "cpu")
    assert done.exit_code == 0, done.output
    counts = json.loads(done.stdout)
    assert (counts["transcripts"], counts["scored"]) == (2, 1)
    assert counts["unresolved"] == {"cot_0.5: no chain of thought": 1}
    lines = {line["id"]: line for line in map(json.loads, out.read_text().splitlines())}
    loaded = tiny("llama")
    ids = [*loaded.tokenizer(PROMPT)["input_ids"], *loaded.tokenizer(COMPLETION)["input_ids"]]
    at, site = lines["whole"]["token"], Site(1, "resid_post")
    ((_, states),) = capture(loaded, [ids], [[at]], [site])
    expected = fitted.decision_function(states[site][:, 0].double().numpy())[0]
    assert lines["whole"]["score"] == pytest.approx(expected, abs=1e-4)
    assert lines["whole"]["probability"] == pytest.approx(1 / (1 + np.exp(-(2 * expected - 1))), abs=1e-4)
    assert lines["whole"]["flagged"] == (expected > 0)
    cot = range(ids.index(loaded.tokenizer.convert_tokens_to_ids("Here")), len(ids))
    assert at in cot
    assert lines["silent"]["score"] is None


def test_a_second_call_scores_only_what_is_new_and_another_probe_needs_another_file(tiny_folder, probe, tmp_path):
    folder, _ = probe()
    out = tmp_path / "scores.jsonl"
    rows = [{"id": "a", "prompt_text": PROMPT, "completion": COMPLETION}]
    file = write(tmp_path / "t.jsonl", rows)
    assert run(tiny_folder("llama"), folder, file, "-o", out).exit_code == 0
    first = out.read_text()
    write(file, [*rows, {"id": "b", "messages": [{"role": "user", "content": PROMPT}], "completion": COMPLETION}])
    assert run(tiny_folder("llama"), folder, file, "-o", out).exit_code == 0
    assert out.read_text().startswith(first)
    assert len(out.read_text().splitlines()) == 2
    other, _ = probe(position="think_end")
    with pytest.raises(HintprobeError, match="scores of another probe"):
        raise run(tiny_folder("llama"), other, file, "-o", out).exception
    assert len(out.read_text().splitlines()) == 2


def test_another_model_is_refused_unless_forced(tiny_folder, probe, tmp_path):
    folder, _ = probe()
    file = write(tmp_path / "t.jsonl", [{"id": "a", "prompt_text": PROMPT, "completion": COMPLETION}])
    arguments = (tiny_folder("llama", 1), folder, file, "-o", tmp_path / "s.jsonl")
    with pytest.raises(HintprobeError, match=r"fingerprint .*--force"):
        raise run(*arguments).exception
    forced = run(*arguments, "--force", "--json")
    assert json.loads(forced.stdout)["other_model"] is True


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"site": "text", "position": "words"}, "reads text"),
        ({"notes": {"unhinted": True}}, "unhinted run"),
        ({"site": "resid_post.9"}, "4 blocks of width 64"),
    ],
)
def test_a_probe_that_cannot_read_a_transcript_is_refused(card, message, tiny_folder, probe, tmp_path):
    folder, _ = probe(**card)
    file = write(tmp_path / "t.jsonl", [{"id": "a", "prompt_text": PROMPT, "completion": COMPLETION}])
    with pytest.raises(HintprobeError, match=message):
        raise run(tiny_folder("llama"), folder, file, "-o", tmp_path / "s.jsonl").exception


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "completion": "x"}', "Line 1 .* needs prompt_text or messages"),
        ('{"id": "a", "prompt_text": "x"}', "completion_text"),
        ("not json", "Line 1"),
        ("", "holds no transcript"),
        ('{"id": "a", "prompt_text": "x", "completion": "y"}\n' * 2, "repeats the id 'a'"),
    ],
)
def test_bad_transcripts_are_named_by_line(line, message, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(line)
    with pytest.raises(HintprobeError, match=message):
        read_completed(path)


def test_a_hint_is_placed_by_its_words_if_they_stand_once(tokenizer):
    once = CompletedTranscript(id="a", prompt_text=PROMPT, completion_text="x", hint_text="turn right")
    assert as_rollout(tokenizer, once).places == {"hint": (PROMPT.index("turn"), PROMPT.index("turn") + 10)}
    twice = CompletedTranscript(id="a", prompt_text=PROMPT + PROMPT, completion_text="x", hint_text="turn right")
    assert as_rollout(tokenizer, twice).places == {}
