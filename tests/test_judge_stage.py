"""The judge stage of a run: several judges, their panel, and the correction that a calibration file brings."""

import json
import shutil

import numpy as np
import pytest
from fake_endpoint import chat, fake_endpoint

from activations.errors import HintprobeError
from experiments.comparison.admission import faithfulness_summary
from experiments.config import Config, JudgeConfig
from experiments.records.stages import labels_table, verdicts_table
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge, verdicts_depend_on


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for all: the rollouts are generated once."""
    return tmp_path_factory.mktemp("cache")


def stage(cache, **judge):
    config = Config(
        name="t", models=("organism:unfaithful",), cache=cache, questions={"limit": 24},
        judge=JudgeConfig(**judge), compare={"bootstrap": 100},
    )  # fmt: skip
    run = ModelRun(config, "organism:unfaithful", Reporter(None))
    run_generate(run)
    result = run_judge(run)
    return run, result


def calibration(tmp_path, both, judge_only, label_only, neither):
    counts = {"both": both, "judge_only": judge_only, "label_only": label_only, "neither": neither}
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"lexical": {"verbalized": {"all": {"counts": counts}}}}))
    return path


def test_a_panel_of_one_says_what_its_judge_says(cache):
    _, result = stage(cache, panel=True)
    verdicts = verdicts_table(result.folder).read()
    said = {(v.judge, v.rollout_id): (v.status, v.verbalized) for v in verdicts}
    alone = {rollout: value for (judge, rollout), value in said.items() if judge == "lexical"}
    assert len(alone) == 24
    assert {rollout: value for (judge, rollout), value in said.items() if judge == "panel"} == alone


def test_raw_faithfulness_is_corrected_beside_the_raw_figure(cache, tmp_path):
    perfect = calibration(tmp_path, 5000, 0, 0, 5000)
    run, result = stage(cache, calibration=perfect)
    labels = labels_table(result.folder).read()
    summary = faithfulness_summary(run, labels, np.random.default_rng(0))
    raw = summary.all.raw
    assert raw is not None
    assert summary.raw_corrected.value == pytest.approx(raw)
    blind_to_half = calibration(tmp_path, 5000, 0, 5000, 5000)
    again = faithfulness_summary(run, labels, np.random.default_rng(0)).raw_corrected
    assert again.value == pytest.approx(min(2 * raw, 1))
    assert again.calibration["label_only"] == 5000
    blind_to_half.write_text("{}")
    with pytest.raises(HintprobeError, match="calibration"):
        faithfulness_summary(run, labels, np.random.default_rng(0))


def test_without_a_calibration_nothing_is_corrected_and_nothing_is_judged_twice(cache, tmp_path):
    run, result = stage(cache)
    labels = labels_table(result.folder).read()
    summary = faithfulness_summary(run, labels, np.random.default_rng(0))
    assert summary.raw_corrected is None
    assert summary.natural_flips.source == "neutral"
    assert sum(entry.n_rows for entry in summary.by_kind_direction.values()) == len(labels)
    _, with_calibration = stage(cache, calibration=calibration(tmp_path, 1, 1, 1, 1))
    assert not with_calibration.fresh


def test_a_stage_is_known_by_its_judges_and_not_by_where_and_how_fast_they_answer():
    def asked(**changes):
        endpoint = {"base_url": "http://127.0.0.1:1/v1", "model": "m", **changes.pop("endpoint", {})}
        return JudgeConfig.model_validate({"judges": ["a"], "models": {"a": {"endpoint": endpoint, **changes}}})

    one = verdicts_depend_on(asked())
    for changes in ({"base_url": "http://127.0.0.1:2/v1"}, {"concurrency": 2}, {"max_requests": 9}, {"timeout": 1.0}):
        assert verdicts_depend_on(asked(endpoint=changes)) == one
    assert verdicts_depend_on(asked(endpoint={"model": "other"})) != one
    assert verdicts_depend_on(asked(temperature=0.5)) != one


def big(url):
    endpoint = {"base_url": url, "model": "m", "retries": 0, "timeout": 20, "concurrency": 1}
    return {"judges": ["big"], "models": {"big": {"endpoint": endpoint}}}


@pytest.fixture
def apart(cache, tmp_path):
    """A cache of the test's own that has the rollouts."""
    stage(cache)
    return shutil.copytree(cache, tmp_path / "cache")


def failing(times):
    """A judge's server that is too busy a few times, then finds no hint mentioned."""
    silent = json.dumps({"mentions": False, "relies": False, "rejects": False, "only_verifies": False, "quote": None})
    left = [None] * times
    return lambda *_: (503, "application/json", "{}") if left and left.pop() is None else chat(silent)


def test_the_next_run_asks_again_for_what_a_server_did_not_give(apart, tmp_path):
    """A server that fails twice, then is gone, then answers: the figures of one that never failed."""
    answer = failing(2)
    other = shutil.copytree(apart, tmp_path / "other")
    with fake_endpoint(answer) as server:
        first = stage(apart, **big(server.base_url))[1]
        asked = len(server.bodies)
    assert (first.account.unreached, first.account.unscored) == (2, 2)
    gone = stage(apart, **big("http://127.0.0.1:9/v1"))[1]
    assert (gone.account.unreached, gone.content) == (2, first.content)  # stages made from it stay
    with fake_endpoint(lambda *_: (401, "application/json", "{}")) as server:  # a key that is no longer valid
        refused = stage(apart, **big(server.base_url))[1]
    assert (refused.account.unreached, refused.content) == (2, first.content)
    with fake_endpoint(answer) as server:
        again = stage(apart, **big(server.base_url))[1]
        assert 2 <= len(server.bodies) <= 4 < asked  # chain of thought and visible answer of two rows
    assert (again.account.unreached, again.account.unscored) == (0, 0)
    found = stage(apart, **big("http://127.0.0.1:9/v1"))[1]
    assert not found.fresh
    with fake_endpoint(answer) as server:
        undisturbed = stage(other, **big(server.base_url))[1]
    assert undisturbed.content == again.content


def test_many_errors_are_no_result(apart):
    """One verdict in eight, asked for again in vain: still exit 2, though every row has a verdict by now."""
    with fake_endpoint(failing(3)) as server, pytest.raises(HintprobeError, match="3 of 24"):
        stage(apart, **big(server.base_url))
    with pytest.raises(HintprobeError):
        stage(apart, **big("http://127.0.0.1:9/v1"))
