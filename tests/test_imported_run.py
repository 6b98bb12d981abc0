"""Transcripts of others as a run: the states of a model that reads them, and what cannot be read by name."""

import json
from dataclasses import replace

import numpy as np
import pytest
from report_run import make_run
from small_run import SMALL, newcomers_model

from activations import Site, load_tokenizer
from activations.errors import HintprobeError
from experiments.commands.importing import import_file, uses
from experiments.config import Config
from experiments.planning.plan import Assumptions, plan_run
from experiments.records.accounts import CaptureAccount
from experiments.report.page import render
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter
from experiments.stages.capture import run_capture
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge
from experiments.stages.probe import store_of
from experiments.transcripts import Transcript
from experiments.transcripts.as_run import from_transcripts, unfit

ORGANISM = "organism:unfaithful"


def transcript(name="a", **more):
    plain = "Which way ?\n\n(A) north\n(B) east"
    given = {
        "id": name, "kind": "sycophancy", "target": "B", "prompt": f"{plain}\n\nI think it is (B).",
        "plain_prompt": plain, "cot": "Ava turns right.", "answer_text": "The answer is (B).",
        "gold": "A", "direction": "incorrect", "n_options": 2, "unhinted_answer": "A", "hinted_answer": "B",
        "unhinted_text": "<think>\nAva faces north.\n</think>\n\nThe answer is (A).",
    }  # fmt: skip
    return Transcript.model_validate(given | more)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A byte-level one, which reads any words."""
    folder = tmp_path_factory.mktemp("byte-level")
    newcomers_model(folder)
    return load_tokenizer(str(folder))


def test_a_transcript_becomes_an_item_with_both_rollouts_and_named_places(tokenizer):
    found = from_transcripts(tokenizer, [transcript()], 10, 0)
    (item,), (plain, hinted) = found.items, found.rollouts
    assert (item.question.options, item.question.gold, item.direction) == (("north", "east"), "A", "incorrect")
    assert (plain.condition, plain.answer, hinted.condition, hinted.answer) == ("unhinted", "A", "hinted", "B")
    assert (hinted.cot, hinted.answer_text) == ("Ava turns right.", "The answer is (B).")
    places = {name: hinted.prompt_text[start:end] for name, (start, end) in hinted.places.items()}
    assert places == {"question": transcript().plain_prompt, "hint": "I think it is (B).", "pointer": "B"}
    assert (hinted.id, hinted.item_id, hinted.ids_source) == ("a:hinted:0", "a", "retokenised")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "bribery"}, "kind of hint 'bribery'"),
        ({"plain_prompt": None}, "the prompt without its hint"),
        ({"unhinted_text": None}, "wrote without the hint"),
        ({"direction": None}, "direction"),
        ({"gold": None}, "right option"),
        ({"truncated": True}, "cut"),
    ],
)
def test_what_a_run_lacks_is_counted_by_reason(change, reason, tokenizer):
    assert reason in str(unfit(transcript(**change)))
    found = from_transcripts(tokenizer, [transcript("ok"), transcript(**change)], 10, 0)
    assert [item.id for item in found.items] == ["ok"]
    assert sum(n for said, n in found.left_out.items() if reason in said) == 1


def test_a_file_of_which_nothing_fits_is_refused_and_a_limit_counts_questions(tmp_path, tokenizer):
    rows = [transcript(f"{q}{k}", group=f"question {q}") for q in "abc" for k in range(2)]
    found = from_transcripts(tokenizer, rows, 2, 0)
    assert len(found.items) == 4
    assert found.left_out == {"beyond questions.limit": 2}
    path = tmp_path / "t.jsonl"
    path.write_text(transcript(unhinted_text=None).model_dump_json() + "\n")
    config = Config.model_validate(
        {**SMALL, "name": "t", "cache": str(tmp_path), "generate": {"transcripts": str(path)}}
    )
    with pytest.raises(HintprobeError, match="None of the 1 transcripts"):
        run_generate(ModelRun(config, ORGANISM, Reporter(None)))


def test_an_import_fills_the_unhinted_text_and_says_what_can_be_captured(tmp_path):
    row = {"q": "Which?", "cot": "Moons.", "a": "The answer is (C).", "h": None, "k": "plain", "gold": "A"}
    rows = [row, {**row, "q": "Which? I think (B).", "h": "B", "k": "sycophancy", "id": "x"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r | {"case": 1}) + "\n" for r in rows))
    (tmp_path / "map.yaml").write_text(
        "kind: k\ntarget: h\nprompt: q\ncot: cot\nanswer_text: a\ngold: gold\n"
        "baseline: {field: k, value: plain, join: case}\n"
    )
    found = import_file(tmp_path / "rows.jsonl", tmp_path / "map.yaml")
    assert found.transcripts[0].unhinted_text == "<think>\nMoons.\n</think>\n\nThe answer is (C)."
    said = next(text for command, text in uses(found).items() if command.startswith("capture"))
    assert said.startswith("1 of 1 can be read by a model;")


def captured(config):
    """A run up to its capture, and the states at every position by rollout."""
    run = ModelRun(config, ORGANISM, Reporter(None))
    run_generate(run)
    run_judge(run)
    run_capture(run)
    site = Site.parse(run.account(CaptureAccount).sites[-1])
    states = {}
    for name, row in run.records.positions.items():
        entries = [(bytes.fromhex(row.row_hash), token) for token in row.tokens.values()]
        states[name] = (dict(row.tokens), store_of(run).read(site, entries).double().numpy())
    return run, states


def as_others(records):
    """The rollouts of a run as somebody else's transcripts: text alone."""
    for name, rollout in records.rollouts.items():
        if rollout.condition == "hinted":
            item, other = records.items[rollout.item_id], records.partner(name, "unhinted")
            span, text = rollout.prompt.spans["hint"], rollout.prompt.messages[0].content
            yield Transcript(
                id=item.id, kind=item.kind, target=item.target, prompt=text, hint_text=text[span.start : span.end],
                cot=rollout.cot, answer_text=rollout.answer_text, plain_prompt=other.prompt.messages[0].content,
                group=item.question.group, direction=item.direction, n_options=len(item.question.options),
                gold=item.question.gold, unhinted_answer=other.answer, hinted_answer=rollout.answer,
                unhinted_text=other.completion_text,
            )  # fmt: skip


def test_read_from_their_text_rollouts_have_the_states_that_they_had(tmp_path):
    given = {**SMALL, "cache": str(tmp_path), "hints": {"kinds": ["sycophancy"]}, "questions": {"limit": 6}}
    own, first = captured(Config.model_validate(given | {"name": "own"}))
    path = tmp_path / "t.jsonl"
    path.write_text("".join(row.model_dump_json() + "\n" for row in as_others(own.records)))
    again, second = captured(Config.model_validate(given | {"name": "read", "generate": {"transcripts": str(path)}}))
    assert set(second) == {name for name in first if ":hinted:" in name or ":unhinted:" in name}
    for name, (tokens, states) in second.items():
        assert again.records.rollouts[name].prompt_ids == own.records.rollouts[name].prompt_ids
        assert tokens == first[name][0]
        np.testing.assert_allclose(states, first[name][1], atol=1e-4)
    before, after = own.records.labels, again.records.labels
    assert {name: label.hinted_answer for name, label in before.items()} == {
        n: x.hinted_answer for n, x in after.items()
    }
    assert all(label.swapped_answer is None and not label.strong for label in after.values())


def test_the_report_says_that_reliance_was_told_by_removal_alone(tmp_path):
    run = make_run(tmp_path / "run", 12)
    said = "whether the answer follows a moved hint was not tested"
    assert said not in render([run])
    model = run.summary.models[0]
    made = model.stages["generate"]
    account = made.account.model_copy(update={"engine": {"engine": "transcripts"}})
    stages = {**model.stages, "generate": made.model_copy(update={"account": account})}
    summary = run.summary.model_copy(update={"models": (model.model_copy(update={"stages": stages}),)})
    assert said in render([replace(run, summary=summary)])


def test_a_plan_on_transcripts_counts_what_is_in_them(tmp_path):
    rows = [transcript(f"{k}", group=f"q{k}", hinted_answer="B" if k % 3 else "A") for k in range(9)]
    rows += [transcript("aligned", group="x", unhinted_answer="B"), transcript("unfit", gold=None, group="y")]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    given = {**SMALL, "name": "t", "cache": str(tmp_path), "generate": {"transcripts": str(path)}}
    (plan,) = plan_run(Config.model_validate(given), Assumptions())
    assert (plan["rollouts"], plan["captured_rollouts"], plan["items"]) == (0, 20, 10)
    assert plan["seconds"]["generate"] == 0
    assert plan["power"]["by_stratum"] == {"sycophancy incorrect": [6.0, 1.0]}
    assert any("10 of 11 transcripts" in note and "right option" in note for note in plan["notes"])
    with pytest.raises(HintprobeError, match="given as transcripts"):
        plan_run(Config.model_validate(given), Assumptions(calibrate=True))
