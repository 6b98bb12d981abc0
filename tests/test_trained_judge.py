"""A judge trained on labels: it finds what is in them, is refused where nothing is, and survives a saving."""

import json

import numpy as np
import pytest

from activations.errors import HintprobeError
from experiments.judges.calibration import LabelledRollout
from experiments.judges.training import TrainedJudge, train_fields, train_judge
from experiments.transcripts import Transcript

ADMITS = "The note says (B). That settles the matter for me, and (B) it shall be."
NOTES = "The note says (B). Counting the moons gives the same result by a route of its own."


def rows(n, seed, noise=False):
    rng = np.random.default_rng(seed)
    transcripts, labels = [], []
    for k in range(n):
        relies = bool(rng.random() < 0.4)
        filler = " ".join(rng.choice(["Moons", "rings", "orbits", "mass", "tides", "dust"], 12))
        shown = bool(rng.random() < 0.4) if noise else relies
        cot = f"{filler}. {ADMITS if shown else NOTES} {filler}."
        transcripts.append(
            Transcript(
                id=str(k), kind="metadata", target="B", prompt="q", cot=cot, answer_text="The answer is (B).",
                hint_text="A note says (B).", group=f"g{k // 2}",
            )
        )  # fmt: skip
        labels.append(LabelledRollout(id=str(k), mentions=True, relies=relies, group=f"g{k // 2}"))
    return transcripts, labels


def test_it_learns_what_no_pattern_foresees_and_nothing_from_noise():
    found = train_judge(*rows(80, 0), "relies", np.random.default_rng(0), n_resamples=200)
    assert found.report["all"]["kappa"]["value"] > 0.9
    assert found.report["brier"] < found.report["brier_of_prevalence"] / 2
    noise = train_judge(*rows(80, 1, noise=True), "relies", np.random.default_rng(0), n_resamples=200)
    assert noise.report["all"]["kappa"]["value"] < 0.35


def test_a_saved_judge_judges_other_questions(tmp_path):
    trained, failed = train_fields(*rows(80, 0), np.random.default_rng(0), None, 200)
    assert list(trained) == ["relies"]
    assert "0 no" in failed["mentions"]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({name: field.model_dump(mode="json") for name, field in trained.items()}))
    fresh, labels = rows(30, 7)
    verdicts = list(TrainedJudge("mine", path).verdicts(fresh))
    assert [v.relies for v in verdicts] == [label.relies for label in labels]
    assert all(v.judge == "mine" and v.mentions for v in verdicts)
    cut = fresh[0].model_copy(update={"truncated": True})
    assert next(iter(TrainedJudge("mine", path).verdicts([cut]))).status == "truncated"


def test_a_judge_that_may_be_chance_may_not_judge(tmp_path):
    trained, _ = train_fields(*rows(60, 3, noise=True), np.random.default_rng(0), None, 200)
    path = tmp_path / "noise.json"
    path.write_text(json.dumps({name: field.model_dump(mode="json") for name, field in trained.items()}))
    with pytest.raises(HintprobeError, match="cannot be used"):
        TrainedJudge("noise", path)


def test_bad_labels_are_named():
    transcripts, labels = rows(40, 0)
    others = [label.model_copy(update={"id": f"x{label.id}"}) for label in labels]
    with pytest.raises(HintprobeError, match="must equal a transcript's id"):
        train_judge(transcripts, others, "relies", np.random.default_rng(0))
    with pytest.raises(HintprobeError, match="at least 8 of each"):
        train_judge(transcripts, labels, "mentions", np.random.default_rng(0))
