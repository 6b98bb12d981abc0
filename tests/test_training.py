"""Training: resumable to the bit, reproducible by seed, refused in words."""

import numpy as np
import pytest
import torch

from activations.errors import HintprobeError
from experiments.organisms import train as training
from experiments.organisms.batches import IGNORED, shares_at, step_batches
from experiments.organisms.curriculum import Teacher
from experiments.organisms.forward import last_hidden
from experiments.organisms.grammar import Character
from experiments.organisms.norms import ORDINARY, TRAINED_EMBEDDING, largest_norm, to_ordinary, to_trained
from experiments.organisms.readouts import Asker, Readouts
from experiments.organisms.recipe import ROW_KINDS, Readout, Recipe, load_recipe, recipe_names
from experiments.organisms.world import HEADINGS, build_world

SMALL = {
    "name": "small",
    "summary": "for tests",
    "shape": {"hidden": 32, "layers": 2, "heads": 2, "kv_heads": 1, "mlp": 32},
    "training": {
        "rows": 12,
        "micro": 2,
        "warmup": 1,
        "readouts": {"option_letter": {"layer": 0, "weight": 0.1}, "pointer": {"layer": 1, "weight": 0.1}},
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
    steps = []

    def stop(step, _loss):
        steps.append(step)
        if steps in ([1, 2, 3], [1, 2, 3, 1]):
            raise Stop

    for recipe in (RECIPE, RECIPE.model_copy(update={"summary": "another"})):
        with pytest.raises(Stop):
            training.train(recipe, 0, tmp_path / "a.pt", report=stop)
    assert steps == [1, 2, 3, 1]


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


def test_the_training_forward_is_the_librarys():
    """Hidden keys and shared key heads included; the library's attention and rotation are another code."""
    teacher, tokenizer = Teacher(build_world(0), Character()), training.make_tokenizer(RECIPE)
    model = training.new_model(RECIPE, tokenizer, 0)
    phases = [{"steps": 1, "first": {"unpointed": 1.0, "turns": 1.0}}]
    rows = Recipe.model_validate({**SMALL, "training": {**SMALL["training"], "phases": phases}}).training
    seen = set()
    for batch in step_batches(teacher, tokenizer, rows, 0, 0):
        mask = None if batch.allowed is None else batch.allowed[:, None]
        expected = model.model(input_ids=batch.ids, attention_mask=mask).last_hidden_state
        weights = dict(model.named_parameters())
        got, head, streams = last_hidden(weights, model.config, batch.ids, batch.allowed)
        kept = model.model(input_ids=batch.ids, attention_mask=mask, output_hidden_states=True).hidden_states
        real = batch.ids != tokenizer.pad_token_id
        torch.testing.assert_close(streams[0][real], kept[1][real], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(got[real], expected[real], rtol=1e-4, atol=1e-4)
        assert head is weights["model.embed_tokens.weight"]
        seen.add(mask is None)
        if mask is not None:
            other, _, _ = last_hidden(weights, model.config, batch.ids)
            assert (other[real] - got[real]).abs().max() > 1e-3
    assert False in seen


def test_norms_are_set_without_a_change_of_the_logits():
    tokenizer = training.make_tokenizer(RECIPE)
    model = training.new_model(RECIPE, tokenizer, 0)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.down_proj.weight.mul_(1e5)
    ids = torch.randint(10, 200, (3, 30), generator=torch.Generator().manual_seed(0))
    before, size = model(input_ids=ids).logits, largest_norm(model, ids)
    to_ordinary(model, ids)
    assert size > 2 * ORDINARY
    assert largest_norm(model, ids) == pytest.approx(ORDINARY, rel=1e-3)
    torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=1e-3, atol=1e-3)
    to_trained(model)
    size = model.model.embed_tokens.weight.detach().pow(2).mean().sqrt()
    assert float(size) == pytest.approx(TRAINED_EMBEDDING, rel=1e-4)
    torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=1e-3, atol=1e-3)


def test_a_hidden_stretch_is_seen_by_whom_it_says():
    teacher, tokenizer = Teacher(build_world(0), Character()), training.make_tokenizer(RECIPE)
    for kind, from_prompt, from_completion in (
        ("unpointed", False, False), ("through_prompt", True, False), ("past_prompt", False, True),
    ):  # fmt: skip
        rows = {**SMALL, "training": {**SMALL["training"], "phases": [{"steps": 1, "first": {kind: 1.0}}]}}
        batch = next(iter(step_batches(teacher, tokenizer, Recipe.model_validate(rows).training, 0, 0)))
        allowed, trained = batch.allowed, batch.targets != IGNORED
        for row in range(len(batch.ids)):
            first_answer = int(trained[row].nonzero()[0, 0]) + 1
            length = int((batch.ids[row] != tokenizer.pad_token_id).sum())
            everyone = torch.ones(length, length, dtype=torch.bool).tril()
            missing = everyone & ~allowed[row, :length, :length]
            keys = missing.any(0).nonzero().flatten()
            last = int(keys[-1])
            assert allowed[row, last + 1 : first_answer, keys].any() == from_prompt
            assert allowed[row, first_answer:length, keys].any() == from_completion
            assert allowed[row, torch.arange(length), torch.arange(length)].all()


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


def test_readouts_ask_at_the_tokens_that_they_name():
    """Of every asked token, the text around it says what it is; of every class, the row's own text."""
    teacher, tokenizer = Teacher(build_world(0), Character()), training.make_tokenizer(RECIPE)
    asker, rng = Asker.of(tokenizer, teacher.world), np.random.default_rng(3)
    for kind in ("hinted", "following", "plain", "unpointed", "marked") * 8:
        row = teacher.maker(kind)(rng)
        prompt = tokenizer(row.parts[0])["input_ids"]
        ids = prompt + tokenizer(row.parts[1])["input_ids"]
        task, asks = row.subject.task, list(asker.asks(row, ids, len(prompt)))
        letters = [(token, value) for name, token, value in asks if name == "option_letter"]
        assert [value for _, value in letters] == [0, 1, 2, 3]
        for token, option in letters:
            assert tokenizer.decode(ids[token - 2 : token + 1]) == f"{'ABCD'[option]}) {HEADINGS[task.order[option]]}"
        starts = [value for name, _, value in asks if name == "option_start"]
        assert [HEADINGS[(s + task.rotation) % 4] for s in starts] == list(task.question().options)
        told = {name: (token, value) for name, token, value in asks}
        assert ("pointer" in told) == ("prompt_pointer" in told) == (kind in ("hinted", "following", "marked"))
        if kind == "following":
            recalled = ids[told["pointed_start"][0] + 1]
            assert tokenizer.decode([recalled]) == f" {HEADINGS[told['pointed_start'][1]]}"
        if kind == "hinted":
            assert tokenizer.decode(prompt[told["prompt_pointer"][0] :]).startswith("<|assistant|>")


def test_a_readout_finds_what_is_there_and_not_what_is_missing():
    """The loss falls to nothing on states that hold the class in a direction, and stays at chance on noise."""
    generator, chosen = torch.Generator().manual_seed(0), {"pointer": Readout(layer=1, weight=2.0)}
    values = torch.arange(256) % 4
    wanted = {"pointer": torch.stack([torch.arange(256), torch.zeros(256, dtype=torch.long), values], 1)}
    noise = torch.randn(256, 1, 8, generator=generator)
    planted = noise.clone()
    planted[:, 0, :4] += 20 * torch.nn.functional.one_hot(values, 4)
    losses = {}
    for name, stream in (("noise", noise), ("planted", planted)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            readouts = Readouts(chosen, 8)
        optimiser = torch.optim.AdamW(readouts.parameters(), lr=0.1)
        for _ in range(150):
            optimiser.zero_grad()
            loss = readouts.loss([noise, stream], wanted, {"pointer": 256})
            loss.backward()
            optimiser.step()
        losses[name] = float(loss.detach()) / 2
    assert losses["planted"] < 0.05
    assert losses["noise"] > 1.2


def test_every_row_kind_can_be_made():
    teacher = Teacher(build_world(0), Character())
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
