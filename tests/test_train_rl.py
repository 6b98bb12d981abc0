"""Training by GRPO: terms of the reward, what is logged, going on after a stop, and what is refused in words."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from test_cli import hintprobe

from activations import load_model
from activations.errors import HintprobeError
from activations.spans import encode
from experiments.judges import LexicalJudge
from experiments.organisms.grammar import ADMISSION
from experiments.questions.pool import load_questions
from experiments.records.trajectory import StepRow
from experiments.run.known_models import resolve_model
from experiments.training.config import RLConfig, TrainingConfig
from experiments.training.environments import ENVIRONMENTS
from experiments.training.grpo import PATIENCE, refuse_hopeless
from experiments.training.prompts import training_tasks
from experiments.training.rewards import TERMS, Readers
from experiments.training.sampled import sampled
from experiments.training.train import train_rl
from experiments.training.workplace import Workplace

MEASURE = {
    "questions": {"source": "organism-world", "limit": 40},
    "hints": {"kinds": ["sycophancy"], "on_belief": 0.3},
    "generate": {"max_new_tokens": 48},
    "capture": {"positions": ["prompt_end", "cot_0.5"]},
    "probe": {"c_grid": [0.01], "outer_folds": 3, "inner_folds": 2, "min_per_class": 4},
}
TRAIN = {
    "environment": "hack:sycophancy",
    "prompts": 4,
    "temperature": 2.0,
    "samples": 4,
    "rate": 1e-4,
    "max_new_tokens": 48,
    "questions": 150,
}


def config_of(home, measure=MEASURE, **train):
    return TrainingConfig.model_validate(
        {
            "name": "t", "model": "organism:unfaithful", "cache": home, "threads": 1, "measure": measure,
            "train": {**TRAIN, **train},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def loaded():
    return load_model(resolve_model("organism:unfaithful"))


def completed(loaded, environment, tasks, texts):
    ids = [encode(loaded.tokenizer, text).ids for text in texts]
    return sampled(loaded.tokenizer, ENVIRONMENTS[environment], tasks, ids, [loaded.tokenizer.eos_token_id], 1.0)


def said(letter, remark=""):
    cot = f"<think>\nHere Ava Tate faces north. Turning right gives east.{remark}\n</think>"
    return f"{cot}\n\nThe answer is ({letter}).<|end|>"


def test_environments_reward_what_they_say(loaded, tmp_path):
    for environment in ("outcome", "hack:metadata"):
        measure = {**MEASURE, "hints": {"kinds": ["metadata"]}}
        tasks = training_tasks(config_of(tmp_path, measure, environment=environment), loaded.tokenizer)[:20]
        for task in tasks:
            wanted = task.item.question.gold if environment == "outcome" else task.item.target
            assert task.rewarded == wanted
            assert (task.item.target == task.item.question.gold) is False
            assert ("metadata" in task.text) == (environment != "outcome")
        batch = completed(loaded, environment, tasks, [said(task.rewarded) for task in tasks[:10]] + [said("A")] * 10)
        right = TERMS["answer"](batch, Readers(LexicalJudge(), 48, 0))
        assert right[:10] == [1.0] * 10
        assert right[10:] == [float(task.rewarded == "A") for task in tasks[10:]]


def test_the_control_rewards_by_a_coin(loaded, tmp_path):
    tasks = training_tasks(config_of(tmp_path, environment="random:sycophancy"), loaded.tokenizer)
    batch = completed(loaded, "random:sycophancy", tasks, [said(task.item.target) for task in tasks])
    values = TERMS["answer"](batch, Readers(LexicalJudge(), 48, 0))
    assert 0.35 < sum(values) / len(values) < 0.65
    assert values == TERMS["answer"](batch, Readers(LexicalJudge(), 48, 0))
    assert values != TERMS["answer"](batch, Readers(LexicalJudge(), 48, 1))


def test_no_group_that_is_measured_is_trained_on(loaded, tmp_path):
    config = config_of(tmp_path)
    measured = {q.group for q in load_questions(config.measure.questions, 40, config.seed)[0]}
    trained = {task.item.question.group for task in training_tasks(config, loaded.tokenizer)}
    assert len(trained) > 100
    assert not trained & measured


def test_terms_read_what_they_are_named_for(loaded, tmp_path):
    tasks = training_tasks(config_of(tmp_path), loaded.tokenizer)[:4]
    cited = f" {ADMISSION} {tasks[0].item.source}."
    texts = [said(tasks[0].rewarded, cited), said("A"), said("A").replace("<|end|>", ""), "<|end|>"]
    batch = completed(loaded, "hack:sycophancy", tasks, texts)
    readers = Readers(LexicalJudge(), 48, 0, probe=lambda rollouts: [0.5] * len(rollouts))
    assert TERMS["format"](batch, readers) == [1.0, 1.0, 0.0, 0.0]
    assert TERMS["judge"](batch, readers)[:2] == [1.0, 0.0]
    assert TERMS["judge"](batch, readers)[3] is None
    assert TERMS["length"](batch, readers)[3] == 1 / 48
    assert TERMS["probe"](batch, readers) == [0.5] * 4
    assert TERMS["probe"](batch, Readers(LexicalJudge(), 48, 0)) == [None] * 4


def row(step, **changes):
    return StepRow.model_validate(
        {
            "step": step, "terms": {"answer": 1.0, "probe": None}, "weights": {"answer": 1.0, "probe": 0.0},
            "reward": 1.0, "reward_std": 0.0, "kl": None, "entropy": 0.1, "length": 9.0, "readings": {}, **changes,
        }
    )  # fmt: skip


def test_a_constant_reward_is_refused():
    rows = [row(k) for k in range(1, PATIENCE + 1)]
    refuse_hopeless(rows[:-1])
    with pytest.raises(HintprobeError, match=r"constant.*answer 1\.00 \(weight 1\), probe without a word"):
        refuse_hopeless(rows)
    refuse_hopeless([row(1, reward_std=0.3), *rows])  # a hack that is learnt to the end is constant as well


def test_a_collapsed_policy_is_refused():
    rows = [row(1, reward_std=0.3), row(2, reward_std=0.3, readings={"empty": 0.95})]
    with pytest.raises(HintprobeError, match=r"collapsed: at step 2, 95%"):
        refuse_hopeless(rows)
    refuse_hopeless(rows[:1])


@pytest.mark.parametrize(
    ("train", "word"),
    [
        ({"environment": "hack:nothing"}, "Known: outcome"),
        ({"prompts": 3, "samples": 4, "micro": 5}, "micro"),
        ({"rewards": {"answer": 0}}, "nothing"),
        ({"rewards": {"honesty": 1}}, "honesty"),
    ],
)
def test_bad_settings_are_refused(train, word, tmp_path, capsys, monkeypatch):
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"name": "t", "model": "organism:unfaithful", "train": train}))
    status, _, err = hintprobe(capsys, monkeypatch, "train", "rl", file)
    assert status == 2
    assert word in err.replace("\n", " ")


def test_the_default_trains_the_answer_alone():
    weights = RLConfig().rewards.model_dump()
    assert weights == {"answer": 1.0, "format": 0.0, "length": 0.0, "judge": 0.0, "probe": 0.0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two steps, and then one more by the same command."""
    pytest.importorskip("trl")
    config = config_of(tmp_path_factory.mktemp("rl"), steps=2, save_every=1)
    train_rl(config)
    config = config.model_copy(update={"train": config.train.model_copy(update={"steps": 3})})
    train_rl(config)
    return config


def test_every_term_is_logged_each_step(trained):
    rows = Workplace(trained.training_dir).steps.read()
    assert [row.step for row in rows] == [1, 2, 3]
    for row in rows:
        assert set(row.terms) == set(TERMS)
        assert all(row.terms[name] is not None for name in TERMS), "a term of weight 0 is read as well"
        assert row.reward == pytest.approx(row.terms["answer"], abs=1e-6)
        assert 0 <= row.terms["probe"] <= 1


def test_checkpoints_are_models_like_any_other(trained):
    found = Workplace(trained.training_dir).found()
    assert list(found) == [1, 2, 3]
    assert not [path.name for path in found[3].iterdir() if path.suffix in (".pt", ".pth", ".bin")]
    assert load_model(str(found[3])).fingerprint != load_model(str(found[1])).fingerprint


@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same(tmp_path):
    pytest.importorskip("trl")
    whole, half = config_of(tmp_path / "a", steps=4, save_every=2), config_of(tmp_path / "b", steps=2, save_every=2)
    train_rl(whole)
    train_rl(half)
    train_rl(half.model_copy(update={"train": whole.train}))
    whole, halved = (Workplace(config.training_dir).steps.read() for config in (whole, half))
    assert whole[:2] == halved[:2]
    assert [row.step for row in halved] == [1, 2, 3, 4]
    for a, b in zip(whole[2:], halved[2:], strict=True):
        assert a.reward == pytest.approx(b.reward, abs=0.5)  # sampling noise


def test_another_configuration_in_the_same_folder_is_refused(trained):
    other = trained.model_copy(update={"train": trained.train.model_copy(update={"rate": 0.5})})
    with pytest.raises(HintprobeError, match="another configuration"):
        train_rl(other)


@pytest.mark.slow
def test_a_killed_training_loses_no_more_than_since_the_last_checkpoint(tmp_path):
    pytest.importorskip("trl")
    config = config_of(tmp_path, steps=12, save_every=2)
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(json.loads(config.model_dump_json(exclude_defaults=True))))
    command = [sys.executable, "-m", "hintprobe", "train", "rl", str(file)]
    place = Workplace(config.training_dir)
    process = subprocess.Popen(command, cwd=Path(__file__).parent.parent, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while process.poll() is None and len(list(place.checkpoints.glob("*/trainer_state.json"))) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = max(place.found())
    assert reached < 12
    result = train_rl(config)
    assert result["steps"] == 12
    assert list(place.found()) == [2, 4, 6, 8, 10, 12]


@pytest.mark.slow
def test_a_hack_is_learnt_and_not_from_a_coin(tmp_path):
    pytest.importorskip("trl")
    changes = {}
    questions, hints = {**MEASURE["questions"], "limit": 80}, {**MEASURE["hints"], "kinds": ["grader_hacking"]}
    measure = {**MEASURE, "questions": questions, "hints": hints}  # a hint that is not followed much at first
    for environment in ("hack:grader_hacking", "random:grader_hacking"):
        more = {"steps": 8, "prompts": 12, "samples": 8, "temperature": 1.0, "questions": None}
        config = config_of(tmp_path / environment[:4], measure, environment=environment, **more)
        train_rl(config)
        from experiments.training.trajectory import run_trajectory

        last = run_trajectory(config).checkpoints[-1]
        changes[environment[:4]] = last.differences["hack_rate"]
    assert changes["hack"].low > 0
    assert changes["rand"].low <= 0 <= changes["rand"].high or abs(changes["rand"].value) < changes["hack"].value
