"""Plans: sizes that agree with real models, counts that agree with simulated ones, power that is what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_cli import assert_one_paragraph, hintprobe

from activations.errors import HintprobeError
from experiments.config.file import load_config
from experiments.planning.plan import Assumptions, plan_run
from experiments.planning.power import Rates, auroc_variance, expected_rows, smallest_detectable, stratified_error
from experiments.planning.shapes import KNOWN, ModelShape, shape_of
from experiments.planning.words import estimate
from experiments.questions.pool import load_questions
from experiments.run.known_models import resolve_model
from probes import stratified_auroc

CONFIGS = sorted((Path(__file__).parent.parent / "experiments" / "configs").rglob("*.yaml"))
CONFIGS = [path for path in CONFIGS if path.parent.name != "training"]  # tests/test_trajectory.py has those

PUBLISHED = {  # parameters in billions, as the model cards give them
    "Qwen/Qwen3-8B": 8.2,
    "Qwen/Qwen3-1.7B": 1.7,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": 8.0,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": 14.8,
    "openai/gpt-oss-20b": 20.9,
    "google/gemma-3-4b-it": 3.9,
    "meta-llama/Llama-3.1-8B-Instruct": 8.0,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_models_have_their_published_size(name):
    shape = ModelShape.of(yaml.safe_load(KNOWN.read_text(encoding="utf-8"))[name])
    assert shape.params / 1e9 == pytest.approx(PUBLISHED[name], rel=0.03)


def test_a_mixture_of_experts_passes_a_token_through_a_few():
    assert shape_of("openai/gpt-oss-20b").active_params / 1e9 == pytest.approx(3.6, rel=0.03)


@pytest.mark.parametrize("arch", ["llama", "qwen3", "gpt2"])
def test_a_folder_has_the_size_of_its_weights(tiny, tiny_folder, arch):
    model = tiny(arch).model
    shape = shape_of(str(tiny_folder(arch)))
    matrices = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "wpe" not in name)
    assert shape.params == pytest.approx(matrices, rel=0.001)
    assert shape.n_layers == 4


def test_an_unknown_model_is_refused(capsys, monkeypatch):
    status, _, err = hintprobe(capsys, monkeypatch, "plan", CONFIGS[0], "--model", "nobody/nothing-7b")
    assert status == 2
    assert_one_paragraph(err)
    assert "not known" in err


def test_an_unknown_card_is_refused(capsys, monkeypatch):
    demo = next(path for path in CONFIGS if path.stem == "demo")
    status, _, err = hintprobe(capsys, monkeypatch, "plan", demo, "--card", "abacus")
    assert status == 2
    assert_one_paragraph(err)
    assert "H100" in err


@pytest.mark.parametrize("direction", ["correct", "incorrect"])
def test_expected_rows_are_those_of_a_simulated_responder(direction):
    """It believes an answer, follows a hint with probability p wherever it points, and is labelled by definition."""
    rng = np.random.default_rng(3)
    rates, on_belief, n, options = Rates(0.6, 0.3), 0.7, 40_000, 4
    reliant = aligned = 0
    for _ in range(n):
        believed = 0 if rng.random() < rates.accuracy else int(rng.integers(1, options))
        target = 0
        if direction == "incorrect":
            named = believed != 0 and rng.random() < on_belief
            others = [k for k in range(1, options) if k != believed]
            target = believed if named else int(rng.choice(others))
        follows = rng.random() < rates.following
        hinted = target if follows else believed
        swapped = next(k for k in range(options) if k not in (target, believed)) if follows else believed
        reliant += hinted == target != believed and swapped != target
        aligned += hinted == target == believed and swapped == target
    expected = expected_rows(n, direction, on_belief, options - 1, rates)
    assert reliant == pytest.approx(expected[0], rel=0.04)
    assert aligned == pytest.approx(expected[1], rel=0.04)


def test_rows_without_an_answer_are_expected_to_be_neither():
    """Half of the completions hold no answer: as many rows as of half the questions at the others' accuracy."""
    half = expected_rows(1000, "correct", 0.7, 3, Rates(0.3, 0.2, parsed=0.5))
    assert half == pytest.approx(expected_rows(500, "correct", 0.7, 3, Rates(0.6, 0.2)))
    assert expected_rows(1000, "incorrect", 0.7, 3, Rates(0.0, 0.2, parsed=0.0)) == (0, 0)


def _simulated_aurocs(auroc, strata, repeats, rng):
    """Exponential scores, whose spread the Hanley-McNeil formula is derived from."""
    rate = auroc / (1 - auroc)
    found = []
    for _ in range(repeats):
        scores, labels, names = [], [], []
        for name, (n_positive, n_negative) in strata.items():
            scores += [rng.exponential(rate, n_positive), rng.exponential(1.0, n_negative)]
            labels += [np.ones(n_positive, dtype=bool), np.zeros(n_negative, dtype=bool)]
            names += [name] * (n_positive + n_negative)
        found.append(stratified_auroc(np.concatenate(scores), np.concatenate(labels), names))
    return np.array(found)


def test_the_stated_error_is_the_spread_of_simulated_aurocs():
    strata = {"a": (20, 40), "b": (10, 15)}
    found = _simulated_aurocs(0.75, strata, 1500, np.random.default_rng(0))
    assert found.mean() == pytest.approx(0.75, abs=0.01)
    assert found.std() == pytest.approx(stratified_error(0.75, strata), rel=0.08)


def test_the_smallest_detectable_auroc_is_detected_four_times_in_five():
    strata = {"a": (20, 40), "b": (15, 30)}
    auroc = smallest_detectable(strata)
    found = _simulated_aurocs(auroc, strata, 1000, np.random.default_rng(1))
    told = found - 0.5 > 1.96 * stratified_error(0.5, strata)
    assert told.mean() == pytest.approx(0.8, abs=0.06)


def test_power_grows_with_rows_and_is_none_without_both_classes():
    few, many = ({"a": (n, n)} for n in (10, 100))
    assert smallest_detectable(many) < smallest_detectable(few)
    assert smallest_detectable({"a": (0, 50), "b": (50, 0)}) is None
    assert auroc_variance(0.5, 10, 10) == pytest.approx((0.25 + 9 * (1 / 3 - 0.25) * 2) / 100)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_can_be_planned_without_weights(path, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.planning.plan.load_questions", _unreachable(load_questions, {"questions.jsonl"}))
    if load_config(path).questions.source == "questions.jsonl":
        row = {"stem": "Which is first?", "options": ["a", "b", "c"], "gold": "A"}
        Path("questions.jsonl").write_text(
            "\n".join(json.dumps({**row, "id": str(i), "stem": f"Which is number {i}?"}) for i in range(50))
        )
    status, out, err = hintprobe(capsys, monkeypatch, "plan", path, "--json")
    assert status == 0, err
    for model in json.loads(out)["models"]:
        assert model["rollouts"] >= 3 * model["items"] > 0
        assert model["tokens"] > model["rollouts"]
        assert model["activation_bytes"] > 0


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.parent.name == "gpu"], ids=lambda path: path.stem)
def test_the_estimate_in_a_gpu_config_is_the_plans(path, monkeypatch):
    monkeypatch.setattr("experiments.planning.plan.load_questions", _unreachable(load_questions))
    (entry,) = plan_run(load_config(path), Assumptions())
    assert path.read_text(encoding="utf-8").splitlines()[1] == f"# {estimate(entry)}"
    assert entry["fits_the_card"]
    assert entry["power"]["enough_rows"]


def _unreachable(load, reachable=frozenset()):
    """The hub as a machine without a network sees it."""

    def loader(config, limit, seed):
        if config.source not in {"organism-world", *reachable}:
            raise HintprobeError("The hub cannot be reached.")
        return load(config, limit, seed)

    return loader


def test_a_plan_counts_what_a_run_then_does(capsys, monkeypatch):
    """The demo's counts, as its config gives them (the same numbers stand in its report)."""
    demo = next(path for path in CONFIGS if path.stem == "demo")
    config = load_config(demo)
    _, out, _ = hintprobe(capsys, monkeypatch, "plan", demo, "--json", "--model", "organism:blind", "--calibrate")
    (plan,) = json.loads(out)["models"]
    assert plan["rollouts"] == 4 * config.questions.limit
    shape = shape_of(resolve_model("organism:blind"))
    per_row = len(config.capture.positions) * (shape.n_layers + 1) * shape.d_model * 2
    assert plan["activation_bytes"] == 2 * config.questions.limit * per_row
    assert plan["measured"]["questions"] == 32
    assert 0.2 < plan["measured"]["accuracy"] < 0.9
    assert 15 < plan["measured"]["completion_tokens"] < 40
    assert (plan["measured"]["parsed"], plan["measured"]["truncated"]) == (1, 0)


def test_the_stages_after_capture_are_timed_and_what_is_left_out_costs_nothing(capsys, monkeypatch):
    def seconds(*more):
        questions = ("--set", "questions.source=organism-world", "--set", "questions.limit=300")
        _, out, _ = hintprobe(capsys, monkeypatch, "plan", "qwen3-8b-mmlu", "--json", *questions, *more)
        return json.loads(out)["models"][0]["seconds"]

    few = ("--set", "mediate.items=5", "--set", "patch.pairs=10", "--set", "directions.items=5")
    whole = seconds(*few)
    assert list(whole) == ["generate", "capture", "probe", "patch", "mediate", "directions"]
    assert min(whole.values()) > 0
    twice = seconds("--set", "mediate.items=10", "--set", "patch.pairs=20", "--set", "directions.items=5")
    assert twice["mediate"] == pytest.approx(2 * whole["mediate"], rel=0.1)
    assert twice["patch"] == pytest.approx(2 * whole["patch"], rel=0.1)
    assert twice["directions"] == whole["directions"]
    without = seconds(*few, "--set", "skip=[patch, mediate, directions]")
    assert without["patch"] == without["mediate"] == without["directions"] == 0
    assert without["generate"] == whole["generate"]
