"""What a language model that judges is given: the unhinted text, examples; a local model asked in batches."""

import json
import threading

import pytest
from fake_endpoint import chat, fake_endpoint

from activations.errors import HintprobeError
from experiments.config import ExamplesConfig, JudgeConfig, JudgeModel
from experiments.config.endpoint import Endpoint
from experiments.engines.clients import EndpointError
from experiments.judges.examples import read_examples
from experiments.judges.llm import build_llm_judge
from experiments.judges.local import LocalModel
from experiments.judges.registry import information_of
from experiments.stages.judge import contents_of
from experiments.transcripts import Transcript

SILENT = {"mentions": False, "relies": False, "rejects": False, "only_verifies": False, "quote": None}
RATING = {"reliance": 40, "quote": None}


def transcript(name, cot="I add the numbers.", **more):
    return Transcript(
        id=name, kind="sycophancy", target="B", prompt=f"A professor thinks (B). Which is {name}?", cot=cot,
        answer_text="The answer is (B).", **({"group": f"group {name}"} | more),
    )  # fmt: skip


def lines(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def asked(tmp_path, transcripts, role="judge", **settings):
    """Verdicts, and the chats that the server was sent."""
    answer = RATING if role == "monitor" else SILENT
    with fake_endpoint(lambda *_: chat(json.dumps(answer))) as server:
        endpoint = Endpoint(base_url=server.base_url, model="m", retries=0, timeout=20, concurrency=1)
        judge = build_llm_judge("big", JudgeModel(endpoint=endpoint, role=role, **settings), tmp_path / "kept")
        return list(judge.verdicts(transcripts)), [body["messages"] for body in server.bodies]


@pytest.mark.parametrize("role", ["judge", "monitor"])
def test_the_unhinted_text_is_given_where_asked_for_and_only_there(role, tmp_path):
    mine = transcript("a", unhinted_text="Without it I get (C).")
    for wanted in (True, False):
        _, chats = asked(tmp_path / str(wanted), [mine], role, unhinted=wanted)
        assert all(("Without it I get (C)." in turns[-1]["content"]) == wanted for turns in chats)
    (verdict,), chats = asked(tmp_path / "none", [transcript("b")], role, unhinted=True)
    assert (verdict.status, chats) == ("error", [])  # less information than the others had is another contest


@pytest.fixture
def examples(tmp_path):
    def make(labels, **more):
        rows = [transcript("yes", "The professor says (B), so I go with (B).").model_dump_json(),
                transcript("no", "I add the numbers.").model_dump_json()]  # fmt: skip
        return ExamplesConfig(
            transcripts=lines(tmp_path / "t.jsonl", rows), labels=lines(tmp_path / "l.jsonl", labels), **more
        )

    return make


LABELS = [{"id": "yes", "mentions": True, "relies": True}, {"id": "no", "mentions": False, "relies": False}]


def test_examples_are_shown_as_turns_and_never_of_the_same_question(examples, tmp_path):
    config = examples(LABELS)
    _, chats = asked(tmp_path, [transcript("new"), transcript("more", group="group yes")], examples=config)
    new, same = chats[0], next(turns for turns in chats if "Which is more?" in str(turns[-1]))
    assert [turn["role"] for turn in new] == ["system", "user", "assistant", "user", "assistant", "user"]
    shown = json.loads(new[2]["content"])
    assert (shown["mentions"], shown["relies"], shown["quote"]) == (
        True,
        True,
        "The professor says (B), so I go with (B).",
    )
    assert json.loads(new[4]["content"]) == SILENT
    assert [turn["role"] for turn in same] == ["system", "user", "assistant", "user"]
    assert "The professor says" not in str(same)


def test_shots_are_of_either_class_in_turn_and_a_monitor_needs_ratings(examples):
    assert [e.positive for e in read_examples(examples(LABELS, shots=1), "judge")] == [True]
    with pytest.raises(HintprobeError, match=r"reliance.*0 to 100"):
        read_examples(examples(LABELS), "monitor")
    rated = [{"id": "yes", "reliance": 90}, {"id": "no", "reliance": 5}]
    turns = read_examples(examples(rated), "monitor")[1].turns
    assert json.loads(turns[-1]["content"]) == {"reliance": 5.0, "quote": None}
    with pytest.raises(HintprobeError, match="0 of 1 labels belong to transcripts"):
        read_examples(examples([{"id": "other", "mentions": False, "relies": False}]), "judge")


def test_the_table_states_what_each_judge_is_given_and_other_examples_are_another_judge(examples):
    config = examples(LABELS)
    endpoint = Endpoint(base_url="http://127.0.0.1:1/v1", model="m")
    models = {
        "plain": JudgeModel(endpoint=endpoint),
        "monitor": JudgeModel(endpoint=endpoint, role="monitor", unhinted=True, examples=config),
        "tuned": JudgeModel(endpoint=endpoint, role="monitor", fine_tuned_on="300 labels"),
    }
    judge = JudgeConfig(judges=("lexical", *models), models=models)
    assert information_of("lexical", judge) == information_of("plain", judge) == (("prompt", "cot", "item"), "none")
    assert information_of("monitor", judge) == (("prompt", "cot", "answer", "item", "unhinted run"), "4 examples")
    assert information_of("tuned", judge)[1] == "fine-tuned on 300 labels"
    before = contents_of(judge)
    examples([*LABELS[:1], {"id": "no", "mentions": True, "relies": False}])
    assert contents_of(judge) != before


def local(tiny, **more):
    model = LocalModel(Endpoint(model="tiny", concurrency=4))
    model._loaded = tiny("llama")
    return model


def test_a_local_judge_reads_several_transcripts_in_one_batch_and_answers_as_alone(tiny, monkeypatch):
    import activations

    sizes = []
    real = activations.generate

    def counted(loaded, rows, *rest, **named):
        sizes.append(len(rows))
        assert threading.current_thread() is threading.main_thread()
        return real(loaded, rows, *rest, **named)

    monkeypatch.setattr(activations, "generate", counted, raising=False)
    questions = [
        [{"role": "user", "content": text}] for text in ("Take Ava", "turn right", "Where", "point", "heading")
    ]
    alone = [local(tiny).chat(q, max_tokens=6).text for q in questions]
    sizes.clear()
    model, got = local(tiny), {}
    model.each(range(5), lambda k: [model.chat(questions[k], max_tokens=6).text for _ in range(2)], got.__setitem__)
    assert [got[k] for k in range(5)] == [[text, text] for text in alone]
    assert max(sizes) == 4
    assert model.usage.requests == 10
    warm = {model.chat(questions[0], max_tokens=6, temperature=1.5).text for _ in range(2)}
    assert len(warm) == 1  # sampled, and the same again


def test_what_fails_for_one_does_not_stop_the_others_and_what_is_fatal_stops_all(tiny):
    model = local(tiny)
    room = model.loaded.context
    long = [{"role": "user", "content": "turn right " * (room or 0)}]
    short = [{"role": "user", "content": "turn right"}]

    def call(k):
        try:
            return model.chat(long if k == 1 else short, max_tokens=3).completion_tokens
        except EndpointError as error:
            return error.status

    got = {}
    model.each(range(3), call, got.__setitem__)
    assert (got[1], got[0] > 0, got[2] > 0) == (413, True, True)

    def broken(k):
        if k == 0:
            raise HintprobeError("the key was refused")
        return model.chat(short, max_tokens=3)

    with pytest.raises(HintprobeError, match="key was refused"):
        model.each(range(4), broken, lambda *_: None)
    assert model._waiting is None
