"""Files that people hand over, whatever they hold: one paragraph and exit status 2, never a traceback."""

import json

import pytest
from test_cli import assert_one_paragraph, hintprobe

BAD = {
    "another encoding": b"\xff\xfe{\x00}\x00",
    "bytes": bytes(range(256)),
    "deep lists": b"[" * 30_000,
    "deep mappings": b'{"a":' * 30_000,
    "a long number": b'{"id":' + b"9" * 5_000 + b"}",
    "half a list": b"[",
    "a list": b"[1, 2]",
    "nothing": b"",
    "an anchor in itself": b"a: &a [*a, *a]",
}
TRANSCRIPT = {"id": "a", "kind": "sycophancy", "target": "B", "prompt": "q", "cot": "x", "answer_text": "(B)"}
COMMANDS = {
    "run": ("run", "{bad}.yaml"),
    "plan": ("plan", "{bad}.yaml"),
    "train rl": ("train", "rl", "{bad}.yaml"),
    "trajectory": ("trajectory", "{bad}.yaml"),
    "faithfulness": ("faithfulness", "{bad}.jsonl"),
    "judge": ("judge", "{bad}.jsonl", "-o", "out.jsonl"),
    "its models": ("judge", "good.jsonl", "--judge", "m", "--models", "{bad}.yaml", "-o", "out.jsonl"),
    "a trained judge": ("judge", "good.jsonl", "--judge", "{bad}.json", "-o", "out.jsonl"),
    "labels": ("judges", "calibrate", "good.jsonl", "{bad}.jsonl"),
    "import": ("import", "{bad}.jsonl", "-o", "out.jsonl"),
    "its map": ("import", "good.jsonl", "--map", "{bad}.yaml", "-o", "out.jsonl"),
    "report": ("report", "{bad}.json"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_data_is_told(capsys, monkeypatch, tmp_path, command, name):
    for suffix in ("yaml", "json", "jsonl"):
        (tmp_path / f"bad.{suffix}").write_bytes(BAD[name])
    (tmp_path / "good.jsonl").write_text(json.dumps(TRANSCRIPT) + "\n")
    monkeypatch.chdir(tmp_path)
    status, _, err = hintprobe(capsys, monkeypatch, *(part.format(bad="bad") for part in COMMANDS[command]))
    assert status == 2
    assert_one_paragraph(err)
    assert len(err) < 2_000


@pytest.mark.parametrize("value", ["[" * 30_000, "9" * 5_000, "[", "&a [*a]"])
def test_a_setting_that_is_no_value_is_told(capsys, monkeypatch, value):
    status, _, err = hintprobe(capsys, monkeypatch, "plan", "demo", "--set", f"questions={value}")
    assert status == 2
    assert_one_paragraph(err)
    assert len(err) < 2_000
