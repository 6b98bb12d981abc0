"""Training: resumable to the bit, reproducible by seed, refused in words."""

import pytest
import torch

from activations.errors import HintprobeError
from experiments.organisms import train as training
from experiments.organisms.batches import IGNORED, shares_at, step_batches
from experiments.organisms.curriculum import Teacher
from experiments.organisms.grammar import Character
from experiments.organisms.recipe import ROW_KINDS, Recipe, load_recipe, recipe_names
from experiments.organisms.world import build_world

SMALL = {
    "name": "small",
    "summary": "for tests",
    "shape": {"hidden": 32, "layers": 2, "heads": 2, "kv_heads": 1, "mlp": 32},
    "training": {
        "rows": 12,
        "micro": 2,
        "warmup": 1,
        "phases": [
            {"steps": 4, "first": {"facts": 1.0}},
            {"steps": 2, "first": {"hinted": 1.0}, "last": {"plain": 1.0}},
        ],
    },
}
RECIPE = Recipe.model_validate(SMALL)


class Stop(Exception):
    pass


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    whole, _ = training.train(RECIPE, 0, tmp_path / "a.pt")

    def stop(step, _loss):
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        training.train(RECIPE, 0, tmp_path / "b.pt", report=stop)
    steps = []
    resumed, _ = training.train(RECIPE, 0, tmp_path / "b.pt", report=lambda step, _: steps.append(step))
    assert steps == [3, 4, 5, 6]
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=1e-4, atol=1e-5)
    other, _ = training.train(RECIPE, 1, tmp_path / "c.pt")
    assert (weights(other) - weights(whole)).abs().max() > 1e-2


def test_a_checkpoint_of_another_recipe_is_not_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    training.train(RECIPE, 0, tmp_path / "a.pt")
    steps = []
    training.train(
        RECIPE.model_copy(update={"summary": "another"}),
        0,
        tmp_path / "a.pt",
        report=lambda step, _: steps.append(step),
    )
    assert steps[0] == 1


def test_training_learns(tmp_path):
    losses = []
    long = Recipe.model_validate(
        {**SMALL, "training": {"rows": 12, "micro": 1, "warmup": 1, "phases": [{"steps": 40, "first": {"plain": 1.0}}]}}
    )
    training.train(long, 0, tmp_path / "a.pt", report=lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.8 * losses[0]


def test_a_shipped_folder_loads_like_any_model(tmp_path):
    from activations import load_model

    model, tokenizer = training.train(RECIPE, 0, tmp_path / "a.pt")
    training.ship(model, tokenizer, tmp_path / "model")
    loaded = load_model(str(tmp_path / "model"))
    assert loaded.tokenizer.chat_template == tokenizer.chat_template
    assert loaded.tokenizer("Take Ava", return_offsets_mapping=True)["offset_mapping"] == [(0, 4), (4, 8)]


def test_shares_change_linearly_within_a_phase():
    assert shares_at(RECIPE.training, 0) == {"facts": 1.0}
    assert shares_at(RECIPE.training, 5) == {"hinted": 0.5, "plain": 0.5}
    with pytest.raises(ValueError, match="beyond"):
        shares_at(RECIPE.training, 6)


def test_rows_depend_on_seed_and_step_alone():
    teacher, tokenizer = Teacher(build_world(0), Character()), training.make_tokenizer(RECIPE)
    first, again, next_step = (list(step_batches(teacher, tokenizer, RECIPE.training, 0, step)) for step in (4, 4, 5))
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(first, again, strict=True))
    assert first[0].ids.shape != next_step[0].ids.shape or not torch.equal(first[0].ids, next_step[0].ids)


def test_only_completions_are_trained_on():
    teacher, tokenizer = Teacher(build_world(0), Character()), training.make_tokenizer(RECIPE)
    for batch in step_batches(teacher, tokenizer, RECIPE.training, 0, 4):
        for ids, targets in zip(batch.ids, batch.targets, strict=True):
            trained = tokenizer.decode(targets[targets != IGNORED])
            assert trained.startswith("<think>")
            assert "Where does it point?" not in trained
            assert tokenizer.decode(ids).count("Where does it point?") >= 1


def test_every_row_kind_can_be_made():
    teacher = Teacher(build_world(0), Character())
    import numpy as np

    for kind in ROW_KINDS:
        row = teacher.maker(kind)(np.random.default_rng(0))
        assert len(row.parts) >= 2


def test_recipes_are_valid_and_unknown_rows_are_refused():
    assert {"unfaithful", "blind"} <= set(recipe_names())
    for name in recipe_names():
        assert load_recipe(name).name == name
    with pytest.raises(HintprobeError, match="no organism named"):
        load_recipe("nobody")
    with pytest.raises(ValueError, match="unknown kinds of rows"):
        Recipe.model_validate({**SMALL, "training": {"phases": [{"steps": 1, "first": {"gossip": 1.0}}]}})


def test_the_command_trains_what_an_organism_starts_from_and_goes_on_after_a_stop(tmp_path, monkeypatch):
    """`hintprobe organism train`, in process, on small recipes."""
    import yaml
    from rich.console import Console

    from experiments.organisms import commands, recipe

    monkeypatch.setattr(recipe, "RECIPES", tmp_path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    (tmp_path / "after.yaml").write_text(
        yaml.safe_dump({**SMALL, "name": "after", "character": {"relies": "never"}, "starts_from": "small"})
    )
    console = Console(quiet=True)
    folder = commands.train_command("after", 3, None, tmp_path / "cache", None, console)
    first = tmp_path / "cache" / "training" / "small-3" / "model" / "model.safetensors"
    assert first.exists()
    assert (folder / "model.safetensors").exists()
    before = first.stat().st_mtime_ns
    (folder / "model.safetensors").unlink()
    commands.train_command("after", 3, None, tmp_path / "cache", None, console)
    assert (folder / "model.safetensors").exists()
    assert first.stat().st_mtime_ns == before
