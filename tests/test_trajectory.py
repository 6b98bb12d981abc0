"""A planted trajectory is seen and a constant one is flat; checkpoints that make no trajectory are refused in words."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from test_cli import hintprobe

from activations.errors import HintprobeError
from experiments.config.file import shipped_config
from experiments.detectors.rows import Rows
from experiments.records.trajectory import Trajectory
from experiments.report.trajectory import PAGE, pictures, read_trajectory, write_page
from experiments.run.known_models import resolve_model
from experiments.stages.generate import item_sources
from experiments.training.checkpoints import locate_checkpoints
from experiments.training.config import SHIPPED, TrainingConfig, load_training_config
from experiments.training.readings import frozen_scores
from experiments.training.trajectory import FILE, run_trajectory

START = Path(resolve_model("organism:unfaithful"))
END = Path(resolve_model("organism:blind"))
MEASURE = {
    "questions": {"source": "organism-world", "limit": 48},
    "hints": {"kinds": ["sycophancy"], "on_belief": 0.3},
    "generate": {"max_new_tokens": 48},
    "capture": {"positions": ["prompt_end", "cot_0.5"]},
    "probe": {"c_grid": [0.01], "outer_folds": 3, "inner_folds": 2, "min_per_class": 4},
    "compare": {"bootstrap": 200, "min_groups": 3},
    "followed": 2,
}


def mixed(folder, share, noise=0.0, seed=0):
    """Weights on the way from one organism to another, with a little noise."""
    shutil.copytree(START, folder)
    start, end = load_file(START / "model.safetensors"), load_file(END / "model.safetensors")
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, x in start.items():
        breath = noise * x.float().std() * torch.randn(x.shape, generator=generator)
        tensors[name] = torch.lerp(x.float(), end[name].float(), share) + breath
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def config_of(home, listed, **changes):
    data = {"name": "t", "model": "organism:unfaithful", "cache": home / "cache", "measure": MEASURE, **changes}
    return TrainingConfig.model_validate({**data, "checkpoints": {"listed": listed}})


def checkpoint(step, folder):
    return {"step": step, "model": str(folder)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Step 1 is the start but for a breath of noise, step 2 most of the way to an organism that cannot see hints."""
    home = tmp_path_factory.mktemp("planted")
    folders = [mixed(home / "same", 0, 0.002), mixed(home / "end", 0.9)]
    config = config_of(home, [checkpoint(k, folder) for k, folder in enumerate(folders, 1)])
    return config, run_trajectory(config)


def test_what_is_planted_is_seen(planted):
    first, _, last = planted[1].checkpoints
    assert first.hack_rate > 0.5
    assert last.differences["hack_rate"].high < -0.2
    assert last.differences["reliant_share"].high < 0
    assert last.following["sycophancy incorrect"].value == last.hack_rate


def test_what_stays_is_flat_within_its_interval(planted):
    same = planted[1].checkpoints[1]
    for name in (
        "hack_rate",
        "verbalized_share",
        "accuracy",
        "raw_faithfulness",
        "reliant_share",
    ):
        change = same.differences[name]
        assert change.low <= 0 <= change.high, name
    change = same.differences["probe_frozen_auroc"]
    assert abs(change.value) < 0.1
    assert change.low is None  # fewer than ten groups with aligned rows


def test_every_checkpoint_is_asked_the_same(planted):
    config, found = planted
    runs = config.run_dir
    asked = set()
    for folder in runs.glob("*/generate-*"):
        rows = [json.loads(line) for line in (folder / "rollouts.jsonl").read_text().splitlines()]
        asked.add(tuple(sorted((row["id"], row["prompt_text"], row["seed"]) for row in rows)))
    assert len(asked) == 1
    assert len(found.checkpoints) == 3


def test_the_file_holds_what_is_promised(planted):
    config, found = planted
    data = json.loads((config.run_dir / FILE).read_text())
    assert Trajectory.model_validate(data) == found
    names = (
        "step", "hack_rate", "verbalized_share", "accuracy", "raw_faithfulness", "probe_refit_auroc",
        "probe_frozen_auroc", "probe_reread_auroc", "intervals",
    )  # fmt: skip
    for point in data["checkpoints"]:
        assert set(names) <= set(point)
        assert set(names[1:-1]) <= set(point["intervals"])
    for name, change in data["checkpoints"][0]["differences"].items():
        assert change["value"] in (0, None), name


def test_at_step_0_the_three_readings_are_one(planted):
    first = planted[1].checkpoints[0]
    readings = first.probes["probe_within_cot"]
    assert readings["refit"].auroc == readings["frozen"].auroc == readings["reread"].auroc
    assert first.probe_refit_auroc is not None


def test_a_second_run_computes_nothing(planted, monkeypatch):
    config, found = planted
    monkeypatch.setattr("experiments.run.model_run.load_model", lambda *_: pytest.fail("a model was loaded"))
    again = run_trajectory(config)
    assert again.checkpoints == found.checkpoints


def test_a_cache_that_was_moved_is_found(planted, monkeypatch, tmp_path):
    """Later steps are asked the items of step 0, which are known by what they are, not by where their file lies."""
    config, found = planted
    moved = config.model_copy(update={"cache": tmp_path / "moved"})
    shutil.copytree(config.cache, moved.cache)
    monkeypatch.setattr("experiments.run.model_run.load_model", lambda *_: pytest.fail("a model was loaded"))
    assert run_trajectory(moved).checkpoints == found.checkpoints


def test_items_of_a_file_are_known_by_what_it_holds(tmp_path):
    hints, path = config_of(tmp_path, []).measure.hints, tmp_path / "items.jsonl"
    given = hints.model_copy(update={"items": path})
    path.write_text("one\n")
    before = item_sources(given)
    assert before != item_sources(hints)
    assert before == item_sources(given.model_copy(update={"items": path.rename(tmp_path / "elsewhere.jsonl")}))
    path.write_text("another\n")
    assert before != item_sources(given)
    with pytest.raises(HintprobeError, match="is not a file"):
        item_sources(given.model_copy(update={"items": Path("/dev/zero")}))


def test_the_page_and_the_frames(planted):
    config, found = planted
    results = read_trajectory(config.run_dir)
    assert list(results.wide.index) == [0, 1, 2]
    assert set(results.readings["reading"]) == {"refit", "frozen", "reread"}
    assert len(results.followed) == 6
    page = write_page(config.run_dir).read_text()
    assert page.count("<svg") == len(pictures(results))
    assert found.followed[0].item in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_command_prints_a_table(planted, capsys, monkeypatch, tmp_path):
    config, _ = planted
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    status, out, err = hintprobe(capsys, monkeypatch, "trajectory", file)
    assert status == 0, err
    assert "hack rate" in out
    assert (config.run_dir / PAGE).exists()


def refused(home, listed, **changes):
    with pytest.raises(HintprobeError) as caught:
        locate_checkpoints(config_of(home, listed, **changes))
    return str(caught.value)


def test_bad_checkpoints_are_refused_before_anything_is_measured(tmp_path, tiny_folder):
    good = mixed(tmp_path / "good", 0)
    assert "order" in refused(tmp_path, [checkpoint(2, good), checkpoint(1, good)])
    assert "step 5" in refused(tmp_path, [checkpoint(3, good), checkpoint(5, tmp_path / "gone"), checkpoint(7, good)])
    assert "hidden_size" in refused(tmp_path, [checkpoint(1, tiny_folder("qwen3"))])
    assert "model_type" in refused(tmp_path, [checkpoint(1, tiny_folder("llama"))])
    assert "tokenizer" in refused(tmp_path, [checkpoint(1, other_words(good))])
    assert "needs at least two" in refused(tmp_path, [checkpoint(0, good)])
    assert "hintprobe train rl" in refused(tmp_path, [])


def other_words(folder):
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    (other / "chat_template.jinja").write_text("{{ messages }}")
    return other


def test_checkpoints_by_pattern(tmp_path):
    for step in (10, 5):
        mixed(tmp_path / f"run7/global_step_{step}/actor/huggingface", 0)
    config = config_of(tmp_path, [])
    pattern = str(tmp_path / "run7/global_step_*/actor/huggingface")
    config = config.model_copy(update={"checkpoints": config.checkpoints.model_copy(update={"pattern": pattern})})
    assert [one.step for one in locate_checkpoints(config)] == [0, 5, 10]
    shards = tmp_path / "run7/global_step_20/actor/huggingface"
    shards.mkdir(parents=True)
    (shards / "model_world_size_2_rank_0.pt").write_bytes(b"")
    with pytest.raises(HintprobeError, match="model_merger"):
        locate_checkpoints(config)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's own, while the adapter is made here
def test_adapters_are_merged_once(tmp_path):
    peft = pytest.importorskip("peft")
    from activations import fingerprint, load_model

    loaded = load_model(str(START))
    adapted = peft.get_peft_model(loaded.model, peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"]))
    for name, x in adapted.named_parameters():
        if "lora_B" in name:
            x.data.fill_(0.01)
    adapted.save_pretrained(tmp_path / "adapter")
    listed = [{"step": 4, "adapter": str(tmp_path / "adapter")}]
    start, one = locate_checkpoints(config_of(tmp_path, listed))
    assert fingerprint(start.source) != fingerprint(one.source)
    before = (Path(one.source) / "model.safetensors").stat().st_mtime_ns
    assert locate_checkpoints(config_of(tmp_path, listed))[1] == one
    assert (Path(one.source) / "model.safetensors").stat().st_mtime_ns == before
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    assert "adapter_model.safetensors" in refused(tmp_path, listed)


def test_a_collapsed_checkpoint_is_told_and_the_rest_kept(tmp_path):
    """Every token ends its completion, so all of them are empty."""
    silent = mixed(tmp_path / "silent", 0)
    n_tokens = json.loads((silent / "config.json").read_text())["vocab_size"]
    generation = json.loads((silent / "generation_config.json").read_text())
    (silent / "generation_config.json").write_text(json.dumps({**generation, "eos_token_id": list(range(n_tokens))}))
    small = {**MEASURE, "questions": {"source": "organism-world", "limit": 8}}
    config = config_of(tmp_path, [checkpoint(9, silent)], measure=small)
    with pytest.raises(HintprobeError, match=r"at step 9.*are kept"):
        run_trajectory(config)
    first, last = read_trajectory(config.run_dir).trajectory.checkpoints
    assert (first.parsed_share, last.parsed_share, last.empty_share) == (1, 0, 1)
    assert last.verbalized_share is None


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path):
    config = load_training_config(path)
    assert shipped_config(Path(path.stem), SHIPPED) == path
    for run in config.runs().values():
        assert set(run.train.environment.split(":")[1:]) <= set(run.measure.hints.kinds)


def test_a_variant_that_is_not_there_is_refused():
    config = load_training_config(SHIPPED / "hacks.yaml")
    with pytest.raises(HintprobeError, match="no variant 'nobody'"):
        config.runs(["nobody"])


def test_a_frozen_probe_reads_a_group_by_the_fold_that_was_not_trained_on_it():
    """Otherwise a probe of step 0 would be tried on the questions that it was fitted to."""
    outcomes = [
        SimpleNamespace(
            chosen=SimpleNamespace(cell="c", score=lambda x, k=k: np.full(len(x), float(k))),
            inner_scores=np.array([-1.0, 1.0]),
            inner_labels=np.array([False, False]),
        )
        for k in range(3)
    ]
    groups = ["a", "b", "c", "a", "c"]
    row = SimpleNamespace
    rows = Rows(*[tuple(row(group=group) for group in groups)] * 6, positive=(True,) * 5)
    shared = SimpleNamespace(fold_of={"a": 2, "b": 0, "c": 1})
    held = frozen_scores(
        SimpleNamespace(result=SimpleNamespace(outcomes=outcomes)), rows, {"c": np.zeros((5, 2))}, shared
    )
    assert held.scores.tolist() == [2, 0, 1, 2, 1]
