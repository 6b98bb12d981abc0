"""The whole pipeline on random models of three architectures: meaningless results, sound mechanics."""

import json
import shutil
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForCausalLM

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.organisms.curriculum import Teacher
from experiments.organisms.grammar import Character
from experiments.organisms.training_row import chat
from experiments.organisms.world import build_world
from experiments.pipeline import run_pipeline
from experiments.records.stages import items_table, rollouts_table
from experiments.report import forwards_of_this_run
from experiments.run.progress import Reporter

SILENT = Reporter(None)
LETTERS_ONLY = {
    "questions": {"limit": 150},
    "generate": {"max_new_tokens": 1},
    "capture": {"positions": ["hint_end", "question_end", "prompt_end", "cot_0.5", "pre_answer"]},
    "probe": {"outer_folds": 3, "inner_folds": 2, "permutations": 1, "c_grid": [0.01, 1.0], "min_per_class": 6},
    "patch": {"pairs": 8, "positions": ["pointer", "hint_end", "question_end", "prompt_end"], "regenerate": 1},
    "mediate": {"items": 4, "draws": 2},
    "directions": {"items": 3, "scales": [2.0], "controls": 1},
    "compare": {"bootstrap": 100},
}
PLAIN_PROBE = {
    "outer_folds": 2, "inner_folds": 2, "permutations": 1, "c_grid": [0.03], "min_per_class": 4, "repeats": 1,
    "control_tasks": 0, "early_answering": [0.0], "targets": ["reliant"], "along_cot": 0, "transfer": False,
}  # fmt: skip
"""For tests that are about the order of things: every family of detectors, the shortest search."""


@pytest.fixture(scope="module")
def letters_folder(tiny_folder, tokenizer, tmp_path_factory):
    """A random model that can only say A, B, C or D, with a head fitted to be swayed by hints now and then."""

    @cache
    def make(arch):
        folder = tmp_path_factory.mktemp(arch) / "letters"
        model = AutoModelForCausalLM.from_pretrained(tiny_folder(arch))
        teacher, rng = Teacher(build_world(0), Character()), np.random.default_rng(0)
        framed = [teacher.framed(rng, points=True) for _ in range(300)]
        texts = [chat(prompt) for _, prompt, _ in framed]
        with torch.no_grad():
            last = [model.base_model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, -1] for text in texts]
        named = [hint.target for _, _, hint in framed]
        reader = LogisticRegression(fit_intercept=False, C=0.3, max_iter=500).fit(torch.stack(last).numpy(), named)
        head = torch.zeros_like(model.lm_head.weight)
        head[[tokenizer.get_vocab()[letter] for letter in "ABCD"]] = torch.from_numpy(reader.coef_).float()
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(head)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return make


def config(folder, cache, **changes):
    return Config.model_validate({"name": "t", "models": [folder], "cache": cache, **LETTERS_ONLY, **changes})


@pytest.mark.parametrize("arch", ["llama", *(pytest.param(arch, marks=pytest.mark.slow) for arch in ("qwen3", "gpt2"))])
def test_every_stage_runs_and_the_second_run_makes_no_forward(arch, letters_folder, tmp_path):
    settings = config(letters_folder(arch), tmp_path, **({} if arch == "llama" else {"probe": PLAIN_PROBE}))
    first = run_pipeline(settings, SILENT)
    assert forwards_of_this_run(first) > 0
    (model,) = first.model_dump(mode="json")["models"]
    assert model["missing_stages"] == []
    counts = model["comparison"]["counts"]
    behaviours = ("reliant", "aligned", "overdetermined", "resisted", "ambiguous")
    assert sum(counts[name] for name in behaviours) == counts["items"] == 150
    assert set(model["comparison"]["detectors"]) >= {
        "probe_before_cot", "prompt_words", "judge_lexical", "causal_neutral",
    }  # fmt: skip
    check_directions(model["directions"])
    check_patches(model["patch"])
    unresolved = model["stages"]["capture"]["account"]["unresolved_hinted"]
    assert unresolved["cot_0.5: no chain of thought"] == 150
    second = run_pipeline(settings, SILENT)
    assert forwards_of_this_run(second) == 0
    assert second.models[0].comparison == first.models[0].comparison
    json.dumps(second.model_dump(mode="json"), allow_nan=False)


def check_patches(patch):
    """The best cell is away from the readout; unpatched prompts say h again; a patched one is read on policy."""
    best = patch["best"]
    if best is not None:
        assert best["to_readout"] >= 3
    assert {cell["diverges"] for cell in patch["cells"]} <= {"all"}
    assert patch["at_letter"] in (None, patch["pairs"])  # without a chain of thought, completions part at the letter
    plain = [row for row in patch["redrawn"] if row["site"] is None]
    assert [row["to_target"] for row in plain] == [1.0] * len(plain)
    for row in patch["redrawn"]:
        assert row["to_target"] + row["to_source"] + row["unparsed"] <= 1 + 1e-9


def check_directions(directions):
    """Untouched rollouts are as labelled, shares sum to one, and each edit has its random counterpart."""
    effects = directions["effects"]
    assert directions["tested"] == 1
    for row in effects:
        assert row["to_hint"] + row["to_own"] + row["off_target"] + row["unparsed"] == pytest.approx(1)
        if row["edit"] == "none":
            assert row["flips"] == 0
            assert row["to_hint"] == (0 if row["behaviour"] == "resisted" else 1)
    edits = {(row["edit"], row["direction"]) for row in effects}
    both = {(e, d) for e in ("ablate", "mean", "add") for d in ("probe", "random", "permuted")}
    assert edits == {("none", "probe")} | both
    if not directions["subspaces"]:  # a probe may read where the neutral run has no counterpart; that is counted
        assert sum(directions["dropped"].values()) >= 2
        return
    parts = {row["part"]: row for row in directions["subspaces"]}
    assert set(parts) == {"full", "direction", "row_space", "null_space", "random"}
    assert parts["full"]["gap"] > 0
    assert 0 <= parts["full"]["in_row_space"] <= 1


def test_targets_keep_to_the_definition(letters_folder, tmp_path):
    settings = config(letters_folder("llama"), tmp_path, questions={"limit": 72})
    run_pipeline(settings, SILENT, until="generate")
    (folder,) = (settings.run_dir).glob("*/generate-*")
    unhinted = {r.item_id: r.answer for r in rollouts_table(folder).read() if r.condition == "unhinted"}
    items = items_table(folder).read()
    for item in items:
        assert (item.target == item.question.gold) == (item.direction == "correct")
        assert item.swap_target not in (item.target, unhinted[item.id])
    assert {(item.kind, item.direction) for item in items} == {
        (kind, direction) for kind in settings.hints.kinds for direction in settings.hints.directions
    }


def test_an_interrupted_stage_goes_on_where_it_stopped(letters_folder, tmp_path, monkeypatch):
    folder = letters_folder("llama")
    small = {"generate": {"max_new_tokens": 1, "token_budget": 2000}, "questions": {"limit": 36}}
    undisturbed = config(folder, tmp_path / "a", **small)
    run_pipeline(undisturbed, SILENT, until="generate")
    disturbed = config(folder, tmp_path / "b", **small)
    from experiments.records.tables import RecordTable

    append, calls = RecordTable.append, []

    def stop_after_five(self, records):
        if len(calls) == 5:
            with self.path.open("a") as file:
                file.write('{"id": "half a rec')
            raise KeyboardInterrupt
        calls.append(1)
        append(self, records)

    monkeypatch.setattr(RecordTable, "append", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(disturbed, SILENT, until="generate")
    monkeypatch.undo()
    (partial,) = disturbed.run_dir.glob("*/generate-*")
    kept = len((partial / "rollouts.jsonl").read_text().splitlines()) - 1
    assert kept > 0
    assert not (partial / "done.json").exists()
    run_pipeline(disturbed, SILENT, until="generate")
    (whole,) = undisturbed.run_dir.glob("*/generate-*")
    mine = {r.id: r.completion_ids for r in rollouts_table(partial).read()}
    assert mine == {r.id: r.completion_ids for r in rollouts_table(whole).read()}


def test_a_changed_setting_is_written_beside_and_nothing_is_deleted(letters_folder, tmp_path):
    folder = letters_folder("llama")
    few = {"questions": {"limit": 12}}
    run_pipeline(config(folder, tmp_path, **few), SILENT, until="judge")
    run_pipeline(config(folder, tmp_path, **few, seed=1), SILENT, until="judge")
    assert len(list((tmp_path / "runs" / "t").glob("*/generate-*/done.json"))) == 2


def test_no_reliant_row_is_a_result_and_an_error_where_that_is_asked_for(tiny_folder, tmp_path):
    """A random model that babbles answers nothing: no row can be labelled."""
    settings = config(str(tiny_folder("llama")), tmp_path, questions={"limit": 24})
    with pytest.raises(HintprobeError, match=r"0 reliant and 0 aligned rows.*completions state no answer"):
        run_pipeline(settings, SILENT, strict=True)
    assert not run_pipeline(settings, SILENT).models[0].missing_stages
    summary = json.loads((settings.run_dir / "summary.json").read_text())
    assert summary["models"][0]["missing_stages"] == []
    assert summary["models"][0]["stages"]["generate"]["account"]["unparsed"] > 0


def test_a_store_that_was_deleted_is_filled_again(letters_folder, tmp_path):
    settings = config(letters_folder("llama"), tmp_path, questions={"limit": 24}, probe=PLAIN_PROBE)
    run_pipeline(settings, SILENT, until="capture")
    shutil.rmtree(settings.store_dir)
    run_pipeline(settings, SILENT, until="probe")
    assert list(settings.store_dir.glob("*/*.h5"))


def test_a_probe_stage_that_was_stopped_leaves_no_double_rows(letters_folder, tmp_path):
    settings = config(letters_folder("llama"), tmp_path, probe=PLAIN_PROBE)
    run_pipeline(settings, SILENT, until="probe")
    (folder,) = settings.run_dir.glob("*/probe-*")
    before = (folder / "scores.jsonl").read_text()
    assert before
    (folder / "done.json").unlink()
    run_pipeline(settings, SILENT, until="probe")
    assert (folder / "scores.jsonl").read_text() == before


@pytest.mark.slow  # the demo of tests/test_demo.py works on two models side by side too
def test_stages_can_be_left_out_and_models_worked_on_side_by_side(letters_folder, tmp_path):
    """The same records as one process writes; what is left out is not missing, and the run says what it did."""
    first, second = letters_folder("qwen3"), "organism:blind"
    small = {"models": [first, second], "skip": ["mediate", "directions"], "questions": {"limit": 12}}
    small |= {"probe": PLAIN_PROBE, "patch": {"pairs": 2}}
    together = config(first, tmp_path / "a", **small, processes=2)
    alone = config(first, tmp_path / "b", **small)
    found = [run_pipeline(settings, SILENT) for settings in (together, alone)]
    for model, other in zip(*(summary.models for summary in found), strict=True):
        assert model.missing_stages == ()
        assert "mediate" not in model.stages
        for part in ("counts", "hint_effect", "faithfulness", "hidden_share", "findings"):
            assert getattr(model.comparison, part) == getattr(other.comparison, part), part
    assert not found[0].models[1].stages["generate"].fresh  # the other process made it
    log = together.run_dir / "run.log"
    assert log.read_text().count("running in a process of its own") == 1
    run_pipeline(together, SILENT)
    assert log.read_text().count("running in a process of its own") == 1  # nothing is left to do
    assert "report.html" in (together.run_dir / "README.txt").read_text()
