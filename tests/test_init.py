"""The configuration that ``hintprobe init`` writes is valid, complete, and never written over another."""

import re
from pathlib import Path

import yaml
from test_cli import assert_one_paragraph, hintprobe

import experiments
from experiments.config.asking import INSTRUCTION
from experiments.config.file import load_config
from experiments.planning.template import run_name
from experiments.schema import config_sections


def test_what_is_written_is_valid_and_names_every_key(tmp_path, capsys, monkeypatch):
    path = tmp_path / "mine.yaml"
    status, out, _ = hintprobe(
        capsys, monkeypatch, "init", "Qwen/Qwen3-8B", "-o", path, "--questions", "mmlu_pro", "--limit", "300"
    )
    assert (status, out.strip()) == (0, str(path))
    config = load_config(path)
    assert (config.name, config.models) == ("qwen3-8b", ("Qwen/Qwen3-8B",))
    assert (config.questions.source, config.questions.limit) == ("mmlu_pro", 300)
    text = path.read_text(encoding="utf-8")
    for name, section in config_sections().items():
        assert f"{name}:" in text
        for key in section.model_fields:
            assert f"{key}:" in text, f"{name}.{key}"


def test_every_key_can_be_set_by_taking_its_first_comment_sign_away(tmp_path, capsys, monkeypatch):
    """With all of them taken away, the same configuration comes out."""
    _, text, _ = hintprobe(capsys, monkeypatch, "init", "organism:blind")
    lines = text.splitlines()
    bare = [re.sub(r"^( *)# (\w+:(?: .*  # .*)?)$", r"\1\2", line) for line in lines]
    assert sum(a != b for a, b in zip(lines, bare, strict=True)) > 60
    (tmp_path / "short.yaml").write_text(text)
    (tmp_path / "long.yaml").write_text("\n".join(bare))
    short, long = (load_config(tmp_path / f"{name}.yaml") for name in ("short", "long"))
    assert short.model_dump() == long.model_dump()


def test_a_file_that_is_there_is_left_alone(tmp_path, capsys, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("name: precious")
    status, _, err = hintprobe(capsys, monkeypatch, "init", "Qwen/Qwen3-8B", "-o", path)
    assert status == 2
    assert_one_paragraph(err)
    assert path.read_text() == "name: precious"
    status, _, err = hintprobe(capsys, monkeypatch, "init", "Qwen/Qwen3-8B", "-o", tmp_path / "no" / "such.yaml")
    assert status == 2
    assert_one_paragraph(err)


def test_names_of_runs():
    assert run_name("Qwen/Qwen3-8B") == "qwen3-8b"
    assert run_name("organism:blind") == "blind"
    assert run_name("/models/My Model (v2)/") == "my-model-v2"


def test_ready_configurations_ask_in_the_shipped_words_without_a_placeholder():
    root = Path(experiments.__file__).parent / "configs"
    paths = [path for path in root.rglob("*.yaml") if path.stem != "smollm2"]  # a wording that so small a model follows
    asked = [yaml.safe_load(path.read_text()).get("generate", {}).get("instruction") for path in paths]
    given = [text for text in asked if text]
    assert len(given) >= 13
    assert set(given) == {INSTRUCTION}
    assert "(" not in INSTRUCTION
    assert " X" not in INSTRUCTION


def test_every_ready_configuration_permutes_often_enough_for_a_find():
    root = Path(experiments.__file__).parent / "configs"
    runs = [path for path in root.rglob("*.yaml") if path.parent.name != "training"]
    assert len(runs) >= 15
    assert all(load_config(path).probe.permutations >= 99 for path in runs)
