"""A stage in parts: joined, they are what one process writes, and what does not fit together is refused."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import TinyFolder
from typer.testing import CliRunner

from activations import HintprobeError, Part
from experiments.cli import app
from experiments.config import Config
from experiments.pipeline import join_parts, run_pipeline
from experiments.run.model_run import ModelRun
from experiments.run.parts import Share, added
from experiments.run.progress import Reporter
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge
from experiments.stages.mediate import run_mediate
from experiments.stages.patch import run_patch

SILENT = Reporter(None)


def config(folder: Path, cache: Path, **more) -> Config:
    small = {
        "questions": {"limit": 36},
        "generate": {"max_new_tokens": 2, "rollouts": 2, "temperature": 1.0},
        "judge": {"panel": True},
        "capture": {"positions": ["prompt_end"]},
        **more,
    }
    return Config.model_validate({"name": "t", "models": [str(folder)], "cache": cache, "dtype": "float32", **small})


def tables(run: Config, stage: str) -> dict[str, bytes]:
    """Everything that a stage wrote, by file."""
    (folder,) = run.run_dir.glob(f"*/{stage}-*")
    return {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}


def marker(run: Config, stage: str) -> dict:
    (folder,) = run.run_dir.glob(f"*/{stage}-*")
    return json.loads((folder / "done.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def small_units():
    """Several units of very few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.run.parts._FINE", 3.0)
        yield


@pytest.fixture(scope="module")
def folder(tiny_folder: TinyFolder) -> Path:
    return tiny_folder("llama")


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A run in one process, up to the verdicts."""
    run = config(folder, tmp_path_factory.mktemp("whole"))
    run_pipeline(run, SILENT, "judge")
    return run


def test_parts_make_what_one_process_makes_in_any_order_and_done_twice(folder: Path, tmp_path: Path, whole: Config):
    parts = config(folder, tmp_path)
    for verb in ("generate", "judge"):
        for index in (2, 0, 2):
            run_pipeline(parts, SILENT, verb, Part(index, 3))
            assert not list(parts.run_dir.glob(f"*/{verb}-*"))
        run_pipeline(parts, SILENT, verb, Part(1, 3))  # the last one joins them
        assert tables(parts, verb) == tables(whole, verb)
        run_pipeline(parts, SILENT, verb, Part(1, 3))  # and again, when all is joined
        one, other = marker(whole, verb), marker(parts, verb)
        assert one["account"] == other["account"]
        assert one["content"] == other["content"]
        assert one["inputs"] == other["inputs"]
    assert len(tables(parts, "generate")["rollouts.jsonl"].splitlines()) == 36 * 2 * 4


def test_a_part_that_was_stopped_goes_on_or_is_begun_anew(folder: Path, tmp_path: Path, whole: Config):
    parts = config(folder, tmp_path)
    run_pipeline(parts, SILENT, "generate", Part(0, 2))
    (done,) = parts.run_dir.glob("*/parts/generate-*/0-of-2")
    (done / "done.json").unlink()
    table = done / "rollouts.jsonl"
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[: len(lines) // 2]) + b'{"id": "cut')  # as a kill leaves it
    run_pipeline(parts, SILENT, "generate", Part(0, 2))
    run_pipeline(parts, SILENT, "generate", Part(1, 2))

    def texts(run: Config) -> list[tuple[str, str]]:
        found = [json.loads(line) for line in tables(run, "generate")["rollouts.jsonl"].splitlines()]
        return [(row["id"], row["completion_text"]) for row in found]

    assert texts(parts) == texts(whole)


def test_what_does_not_make_a_whole_is_refused(folder: Path, tmp_path: Path):
    parts = config(folder, tmp_path)
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(parts.model_dump(mode="json")))

    def refused(*arguments: str) -> str:
        found = CliRunner().invoke(app, [*arguments]).exception
        assert isinstance(found, HintprobeError), found
        return str(found)

    assert "The stage generate" in refused("join", str(path))
    assert "cannot be run in parts" in _message(lambda: run_pipeline(parts, SILENT, "probe", Part(0, 2)))
    assert CliRunner().invoke(app, ["generate", str(path), "--part", "1/3"]).exit_code == 0
    said = refused("join", str(path))
    assert "lacks parts 0/3, 2/3" in said
    assert "--part 0/3" in said
    other = refused("join", str(path), "--set", "seed=1")
    assert "`seed` is 0 there and 1 here" in other
    assert "`seed` is 0 there and 1 here" in refused("generate", str(path), "--part", "0/3", "--set", "seed=1")
    (one,) = parts.run_dir.glob("*/parts/generate-*/1-of-3")
    shutil.copytree(one, one.with_name("0-of-2"))
    assert "divided in two ways" in refused("join", str(path))
    shutil.rmtree(one.with_name("0-of-2"))
    table = one / "rollouts.jsonl"
    table.write_bytes(table.read_bytes()[:-40])
    assert "lacks parts 0/3, 1/3, 2/3" in refused("join", str(path))


def _message(call) -> str:
    with pytest.raises(HintprobeError) as caught:
        call()
    return str(caught.value)


def test_counts_of_parts_add_up():
    one = {"engine": {"engine": "server", "usage": {"requests": 2}, "exact": True}, "cost": 0.5}
    two = {"engine": {"engine": "server", "usage": {"requests": 3}, "exact": True}, "cost": 0.25}
    both = {"engine": {"engine": "server", "usage": {"requests": 5}, "exact": True}, "cost": 0.75}
    assert added([one, two]) == both
    assert added([]) == {}


CAUSAL = {
    "models": ["organism:unfaithful"],
    "threads": 1,
    "questions": {"limit": 36},
    "hints": {"kinds": ["sycophancy", "metadata"]},
    "generate": {"max_new_tokens": 48},
    "capture": {"positions": ["prompt_end"]},
    "probe": {
        "outer_folds": 2, "inner_folds": 2, "c_grid": [0.03], "permutations": 0, "control_tasks": 0, "transfer": False,
        "early_answering": [], "targets": ["reliant"], "along_cot": 0, "min_per_class": 4,
    },
    "patch": {"pairs": 3, "regenerate": 1, "positions": ["prompt_end"], "controls": ["random_directions"]},
    "mediate": {"items": 1, "draws": 1, "cut": ["pointer"]},
    "directions": {"detectors": ["probe_before_cot"], "items": 2, "scales": [], "controls": 1, "reach": "token"},
    "compare": {"bootstrap": 100},
}  # fmt: skip


def causal(run: Config, share: Share | None) -> None:
    """Patching and mediation, without the stages that they do not read."""
    model = ModelRun(run, run.models[0], SILENT)
    run_generate(model)
    run_judge(model)
    model.share = share
    run_patch(model)
    run_mediate(model)


def test_patching_and_mediation_in_parts_are_those_of_one_process(tmp_path: Path):
    whole, parts = (Config.model_validate({"name": "t", "cache": tmp_path / n, **CAUSAL}) for n in ("one", "parts"))
    run_pipeline(whole, SILENT, "judge")
    shutil.copytree(whole.cache, parts.cache)
    causal(whole, None)
    for index in (1, 0):
        causal(parts, Share(("patch", "mediate"), Part(index, 2)))
    for stage in ("patch", "mediate"):
        assert tables(parts, stage) == tables(whole, stage)
        assert marker(parts, stage)["account"] == marker(whole, stage)["account"]
        assert all(tables(whole, stage).values())


@pytest.mark.slow
def test_the_causal_stages_in_parts_are_those_of_one_process(tmp_path: Path):
    runs = [Config.model_validate({"name": "t", "cache": tmp_path / name, **CAUSAL}) for name in ("whole", "parts")]
    whole, parts = runs
    run_pipeline(whole, SILENT, "probe")
    shutil.copytree(whole.cache, parts.cache)
    run_pipeline(whole, SILENT, "patch")
    for index in (1, 0):
        run_pipeline(parts, SILENT, "patch", Part(index, 2))
    for stage in ("patch", "mediate", "directions"):
        assert tables(parts, stage) == tables(whole, stage)
        assert marker(parts, stage)["account"] == marker(whole, stage)["account"]
        assert all(tables(whole, stage).values())
    assert not list(parts.run_dir.glob("*/parts/*")), "joined"
    assert join_parts(parts, SILENT) == {"organism:unfaithful": [*_FINISHED]}


_FINISHED = ("generate", "judge", "capture", "probe", "patch", "mediate", "directions")
