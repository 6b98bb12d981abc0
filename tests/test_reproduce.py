"""A published run is fetched and its numbers are computed again; one that differs is named."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from small_run import SMALL
from typer.testing import CliRunner

from activations import HintprobeError
from experiments.cli import app
from experiments.commands.reproduce import _to_compute, differences
from experiments.config import Config
from experiments.records.files import signed
from experiments.stages import STAGES


def test_differences_are_named_and_times_are_none():
    published = {
        "models": [{"auroc": 0.5, "n": 3, "seconds": 1.0, "stages": {"probe": {"fresh": True, "rows": [1, 2]}}}]
    }
    now = json.loads(json.dumps(published))
    now["models"][0] |= {"seconds": 9.0, "auroc": 0.5 + 1e-13}
    now["models"][0]["stages"]["probe"]["fresh"] = False
    assert list(differences(published, now)) == []
    now["models"][0] |= {"auroc": 0.51, "more": None}
    now["models"][0]["stages"]["probe"]["rows"] = [1]
    assert list(differences(published, now)) == [
        ("models[0].auroc", 0.5, 0.51),
        ("models[0].stages.probe.rows[1]", 2, None),
        ("models[0].more", None, None),
    ]
    assert list(differences({"a": True}, {"a": 1.0})) == [("a", True, 1.0)]


def test_what_needs_no_forwards_is_computed_and_a_models_verdicts_are_kept():
    config = Config(name="c", models=("organism:unfaithful",))
    assert _to_compute(config, []) == {"judge", "probe", "compare"}
    assert _to_compute(config, ["all"]) == set(STAGES)
    model = {"m": {"provider": "openai", "endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}}
    asked = Config.model_validate(
        {"name": "c", "models": ["organism:unfaithful"], "judge": {"judges": ["m"], "models": model}}
    )
    assert _to_compute(asked, []) == {"probe", "compare"}
    with pytest.raises(HintprobeError, match="There is no stage 'train'"):
        _to_compute(config, ["train"])


def test_no_run_and_a_changed_summary_are_told(tmp_path: Path):
    def refused(folder: Path) -> str:
        done = CliRunner().invoke(app, ["reproduce", str(folder), "--cache", str(tmp_path / "again")])
        assert isinstance(done.exception, HintprobeError)
        return str(done.exception)

    (tmp_path / "run").mkdir()
    assert "stopped" in refused(tmp_path / "run")
    summary = signed({"format": "hintprobe-summary", "version": 1, "models": [{"model": "m"}]})
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary | {"models": []}))
    assert "was changed since it was written" in refused(tmp_path / "run")


@pytest.mark.slow
def test_a_run_is_reproduced_and_a_number_that_was_changed_is_found(tmp_path: Path):
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"name": "small", **SMALL}))
    done = CliRunner().invoke(app, ["run", str(config), "--cache", str(tmp_path / "cache")])
    assert done.exit_code == 0, done.output

    def reproduced(source: Path, to: str) -> tuple[int, dict]:
        done = CliRunner().invoke(app, ["reproduce", str(source), "--cache", str(tmp_path / to), "--json"])
        return done.exit_code, json.loads(done.stdout)

    code, found = reproduced(tmp_path / "cache" / "runs" / "small", "again")
    assert (code, found["differing"]) == (0, [])
    assert {"compare", "judge", "probe"} <= set(found["computed_again"]), "and what is made from them"
    assert found["numbers"] > 100
    assert Path(found["report"]).exists()

    other = tmp_path / "published"
    shutil.copytree(tmp_path / "cache", other)
    path = other / "runs" / "small" / "summary.json"
    summary = json.loads(path.read_text())
    before = summary["models"][0]["comparison"]["counts"]
    key = next(name for name, value in before.items() if isinstance(value, int))
    before[key] += 1
    path.write_text(json.dumps(signed(summary)))
    code, found = reproduced(other / "runs" / "small", "again2")
    assert code == 2
    assert [entry["where"] for entry in found["differing"]] == [f"[0].comparison.counts.{key}"]
