"""Engines: what a server gives is asked for, checked and written down; what it does not give is never assumed."""

import dataclasses
import json
import threading
from collections import Counter

import pytest
from fake_endpoint import completion, fake_endpoint

from activations import Decoding
from activations.errors import HintprobeError
from experiments.config import Config
from experiments.config.endpoint import Endpoint
from experiments.config.file import load_config
from experiments.detectors.covariates import of_covariates
from experiments.detectors.rows import Rows
from experiments.engines import Ask, InProcess, ServerEngine
from experiments.engines.clients import EndpointError
from experiments.pipeline import run_pipeline
from experiments.records.stages import items_table, labels_table, rollouts_table
from experiments.run.progress import Reporter

SILENT = Reporter(None)
PROMPT = "<|user|>Take Ava Tate's heading.<|end|><|assistant|>"
TEXT = "<think>\nHere Ava Tate faces north. Turning right gives east.\n</think>\n\nThe answer is (B)."


@pytest.fixture
def ask(tokenizer):
    return Ask(tuple(tokenizer(PROMPT, add_special_tokens=False)["input_ids"]), PROMPT, 7)


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def reply(tokenizer, body, text=TEXT, **choice):
    """What an exact server would say, counts included."""
    prompt = body["prompt"] if isinstance(body["prompt"], list) else ids_of(tokenizer, body["prompt"])
    tokens = len(ids_of(tokenizer, text)) + 1
    usage = {"prompt_tokens": len(prompt), "completion_tokens": tokens, "total_tokens": len(prompt) + tokens}
    return completion(text, choice=choice, usage=usage)


def engine_of(server, tokenizer, tmp_path, temperature=0.0, **changes):
    endpoint = Endpoint(base_url=server.base_url, model="m", **{"retries": 0, "timeout": 20, **changes})
    return ServerEngine(endpoint, tokenizer, temperature, 64, tmp_path / "usage.json")


def complete(engine, *asks):
    found = {}
    engine.run(asks, lambda indices, answers: found.update(zip(indices, answers, strict=True)))
    return [found[i] for i in range(len(asks))]


def test_exact_ids_and_margins_are_taken_where_the_server_gives_them(tokenizer, tmp_path, ask):
    ids = [*ids_of(tokenizer, TEXT), tokenizer.eos_token_id]
    tops = [{"a": -0.5, "b": -1.5 - k} for k in range(len(ids))]
    given = {"token_ids": ids, "logprobs": {"token_logprobs": [-0.5] * len(ids), "top_logprobs": tops, "tokens": []}}
    with fake_endpoint(lambda path, body: reply(tokenizer, body, **given)) as server:
        engine = engine_of(server, tokenizer, tmp_path)
        (answered,) = complete(engine, ask)
    assert server.bodies[0]["prompt"] == list(ask.prompt_ids)
    assert (answered.ids, answered.ids_source, answered.finish_reason) == (tuple(ids), "server", "stop")
    assert answered.text is None, "the text is made from the ids"
    assert answered.margins == pytest.approx([1.0 + k for k in range(len(ids))])
    told = engine.account()
    assert (told["prompts_as"], told["returns_ids"], told["returns_logprobs"]) == ("ids", True, True)
    assert told["usage"]["requests"] == 2


def plain_server(tokenizer, refuse=("return_token_ids", "skip_special_tokens", "add_special_tokens")):
    """Takes text alone, refuses fields that it does not know, and ignores logprobs without a word."""

    def answer(path, body):
        if isinstance(body["prompt"], list) or set(refuse) & set(body):
            return 422, "application/json", '{"detail": "Unexpected fields"}'
        return reply(tokenizer, body)

    return answer


def test_a_plain_server_is_asked_plainly_and_its_text_tokenised_again(tokenizer, tmp_path, ask):
    with fake_endpoint(plain_server(tokenizer)) as server:
        engine = engine_of(server, tokenizer, tmp_path)
        (answered,) = complete(engine, ask)
    assert server.bodies[-1]["prompt"] == PROMPT
    assert answered.ids == (*ids_of(tokenizer, TEXT), tokenizer.eos_token_id)
    assert (answered.ids_source, answered.text, answered.margins) == ("retokenised", TEXT, ())
    told = engine.account()
    assert (told["prompts_as"], told["returns_ids"], told["returns_logprobs"]) == ("text", False, False)
    assert told["prompt_checked_by"] == "count"


def test_a_count_that_retokenising_does_not_reach_is_written_down(tokenizer, tmp_path, ask):
    def answer(path, body):
        status, kind, text = plain_server(tokenizer)(path, body)
        return status, kind, text.replace('"completion_tokens": ', '"completion_tokens": 1')

    with fake_endpoint(answer) as server:
        (answered,) = complete(engine_of(server, tokenizer, tmp_path), ask)
    assert answered.ids_source == "retokenised_other_length"


def test_a_cut_completion_gets_no_end_token_and_another_end_is_neither(tokenizer, tmp_path, ask):
    for said, finish, closed in (
        ("length", "length", False),
        ("content_filter", "other", False),
        ("stop", "stop", True),
    ):
        with fake_endpoint(lambda path, body, said=said: reply(tokenizer, body, finish_reason=said)) as server:
            (answered,) = complete(engine_of(server, tokenizer, tmp_path), ask)
        assert answered.finish_reason == finish
        assert (answered.ids[-1] == tokenizer.eos_token_id) == closed


def test_another_prompt_than_ours_is_refused(tokenizer, tmp_path, ask):
    def adds_a_token(path, body):
        if isinstance(body["prompt"], list):
            return 400, "text/plain", "prompt must be a string"
        status, kind, text = reply(tokenizer, body)
        return status, kind, json.dumps({**json.loads(text), "usage": {"prompt_tokens": 99, "completion_tokens": 1}})

    with fake_endpoint(adds_a_token) as server, pytest.raises(EndpointError, match="counts 99 prompt tokens"):
        complete(engine_of(server, tokenizer, tmp_path), ask)
    given = {"prompt_token_ids": [1, 2, 3]}
    other = fake_endpoint(lambda path, body: reply(tokenizer, body, **given))
    with other as server, pytest.raises(EndpointError, match="read other prompt tokens"):
        complete(engine_of(server, tokenizer, tmp_path), ask)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (lambda body, k: f"{body['seed']}", "repeatable"),
        (lambda body, k: "the same", "may not be sampling"),
        (lambda body, k: f"{k}", "cannot be repeated"),
    ],
)
def test_whether_seeds_do_anything_is_found_out(texts, said, tokenizer, tmp_path, ask):
    with fake_endpoint(lambda p, body: reply(tokenizer, body, texts(body, len(server.bodies)))) as server:
        engine = engine_of(server, tokenizer, tmp_path, temperature=0.7)
        complete(engine, ask)
    assert said in engine.account()["seeds"]
    assert {body["temperature"] for body in server.bodies} == {0.7}


def test_a_broken_server_is_told_at_once(tokenizer, tmp_path, ask):
    broken = fake_endpoint(lambda path, body: (500, "text/plain", "no memory"))
    with broken as server, pytest.raises(EndpointError, match="500: no memory"):
        complete(engine_of(server, tokenizer, tmp_path), ask)
    assert len(server.bodies) == 1


def config(cache, base_url="http://127.0.0.1:1/v1", **changes):
    server = {"base_url": base_url, "model": "m", "retries": 0, "concurrency": 2, "timeout": 20}
    generate = {"engine": "server", "max_new_tokens": 64, "server": {**server, **changes.pop("server", {})}}
    return Config.model_validate(
        {
            "name": "t", "models": ["organism:unfaithful"], "cache": cache, "questions": {"limit": 12},
            "generate": {**generate, **changes.pop("generate", {})}, **changes,
        }
    )  # fmt: skip


def rollouts_of(settings):
    (folder,) = settings.run_dir.glob("*/generate-*")
    return folder, {rollout.id: rollout for rollout in rollouts_table(folder).read()}


def account_of(folder):
    return json.loads((folder / "done.json").read_text())["account"]


def test_a_server_that_fails_halfway_loses_nothing_and_the_next_run_goes_on(tokenizer, tmp_path):
    lock, served = threading.Lock(), []

    def failing_after_20(path, body):
        with lock:
            served.append(body["prompt"])
            broken = len(served) > 20
        return (502, "text/html", "<html>Bad Gateway</html>") if broken else plain_server(tokenizer)(path, body)

    with fake_endpoint(failing_after_20) as server:
        settings = config(tmp_path, server.base_url)
        with pytest.raises(EndpointError, match="502"):
            run_pipeline(settings, SILENT, until="generate")
    folder, kept = rollouts_of(settings)
    assert len(kept) >= 10
    assert not (folder / "done.json").exists()
    with fake_endpoint(plain_server(tokenizer)) as server:
        again = config(tmp_path, server.base_url)  # another port, the same run
        run_pipeline(again, SILENT, until="generate")
        asked = Counter(str(body["prompt"]) for body in server.bodies)
    same, done = rollouts_of(again)
    assert same == folder
    assert len(done) == account_of(folder)["rollouts"] >= 36
    assert {name: done[name] for name in kept} == kept, "what was there was not asked again"
    first_ask = next(iter(asked))
    assert not any(asked[rollout.prompt_text] for rollout in kept.values() if rollout.prompt_text != first_ask)
    usage = account_of(folder)["engine"]["usage"]
    assert usage["requests"] > len(server.bodies) - 4, "both runs are counted"


def test_a_spent_budget_keeps_what_was_answered(tokenizer, tmp_path):
    with fake_endpoint(plain_server(tokenizer)) as server:
        with pytest.raises(HintprobeError, match=r"budget of 8 requests.*is used up"):
            run_pipeline(config(tmp_path, server.base_url, server={"max_requests": 8}), SILENT, until="generate")
        settings = config(tmp_path, server.base_url, server={"max_requests": 9})
        assert len(rollouts_of(settings)[1]) > 0
        with pytest.raises(HintprobeError, match="budget of 9 requests"):
            run_pipeline(settings, SILENT, until="generate")
    usage = json.loads((rollouts_of(settings)[0] / "usage.json").read_text())
    assert 9 <= usage["requests"] <= 11, "the budget covers both runs; what was in flight is counted"


def test_empty_completions_are_counted_and_never_an_answer(tokenizer, tmp_path):
    def empty(path, body):
        refused = isinstance(body["prompt"], list)
        return (400, "text/plain", "no") if refused else reply(tokenizer, body, "")

    with fake_endpoint(empty) as server:
        settings = config(tmp_path, server.base_url)
        run_pipeline(settings, SILENT, until="judge")
    folder, rollouts = rollouts_of(settings)
    account = account_of(folder)
    assert account["empty"] == account["unparsed"] == len(rollouts) > 0
    assert all(rollout.answer is None for rollout in rollouts.values())


def test_a_filtered_completion_is_no_answer(tokenizer, tmp_path):
    with fake_endpoint(lambda p, body: reply(tokenizer, body, finish_reason="content_filter")) as server:
        settings = config(tmp_path, server.base_url)
        run_pipeline(settings, SILENT, until="generate")
    folder, rollouts = rollouts_of(settings)
    assert account_of(folder)["ended_otherwise"] == len(rollouts)
    assert {rollout.answer for rollout in rollouts.values()} == {None}


def test_no_key_is_written_anywhere(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("SERVER_KEY", "sk-secret-0123456789")
    with fake_endpoint(plain_server(tokenizer)) as server:
        settings = config(tmp_path, server.base_url, server={"api_key_env": "SERVER_KEY"})
        run_pipeline(settings, SILENT, until="generate")
        assert server.headers[0]["authorization"] == "Bearer sk-secret-0123456789"
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not any(b"sk-secret" in content for content in written)
    assert any(b"SERVER_KEY" in content for content in written)


def test_items_whose_target_was_answered_unhinted_stay_behind(tokenizer, tmp_path):
    """Everything is answered (B): correct hints on (B) cannot matter."""
    with fake_endpoint(plain_server(tokenizer)) as server:
        hints = {"keep": "never_answered", "on_belief": None, "kinds": ["sycophancy"], "per_question": "all"}
        settings = config(tmp_path, server.base_url, hints=hints)
        run_pipeline(settings, SILENT, until="judge")
    folder, rollouts = rollouts_of(settings)
    items = {item.id: item for item in items_table(folder).read()}
    hinted = {rollout.item_id for rollout in rollouts.values() if rollout.condition == "hinted"}
    assert hinted == {name for name, item in items.items() if item.target != "B"}
    assert account_of(folder)["items_answered_unhinted"] == len(items) - len(hinted) > 0


def blank_rows(labels):
    """Rows of which only the labels are known."""
    fields = [field.name for field in dataclasses.fields(Rows) if field.init]
    return Rows(**{name: labels if name == "labels" else () for name in fields})


def test_confidence_that_a_server_did_not_tell_is_said_to_be_unknown(tokenizer, tmp_path):
    with fake_endpoint(plain_server(tokenizer)) as server:
        settings = config(tmp_path, server.base_url)
        run_pipeline(settings, SILENT, until="judge")
    (folder,) = settings.run_dir.glob("*/judge-*")
    labels = tuple(labels_table(folder).read())
    assert {label.margin for label in labels} == {None}
    unhinted = tuple(r for r in rollouts_of(settings)[1].values() if r.condition == "unhinted")

    def reads(labels, forced=None, unhinted=unhinted):
        rows = dataclasses.replace(blank_rows(labels), unhinted=unhinted)
        found = {one.name: one.reads for one in of_covariates(rows, forced or {})}
        return found["confidence"], found["direction_x_confidence"]

    assert all("unknown" in text for text in reads(labels))
    told = tuple(label.model_copy(update={"margin": 1.0}) for label in labels)
    assert all("least sure token" in text for text in reads(told))
    long = tuple(r.model_copy(update={"completion_ids": (0,) * 1000}) for r in unhinted)
    assert all("unknown" in text for text in reads(told, unhinted=long))
    forced = {label.item_id: 0.3 for label in labels}
    assert all("(entropy of the forced answer)" in text for text in reads(told, forced, long))


def test_more_unhinted_rollouts_than_others(tokenizer, tmp_path):
    with fake_endpoint(plain_server(tokenizer)) as server:
        generate = {"rollouts": 2, "unhinted_rollouts": 5, "temperature": 0.5}
        settings = config(tmp_path, server.base_url, generate=generate)
        run_pipeline(settings, SILENT, until="generate")
    counts = Counter(rollout.condition for rollout in rollouts_of(settings)[1].values())
    assert (counts["unhinted"], counts["hinted"], counts["neutral"]) == (60, 24, 24)
    seeds = {(r.item_id, r.index): r.seed for r in rollouts_of(settings)[1].values()}
    assert all(0 <= seed < 2**31 for seed in seeds.values())
    assert len(set(seeds.values())) == 60


def test_bad_settings_of_an_engine(tmp_path):
    path = tmp_path / "c.yaml"
    for text, said in (
        ("generate: {engine: server}", "server.base_url"),
        ("generate: {rollouts: 3, unhinted_rollouts: 2}", "fewer than rollouts"),
        ("generate: {server: {base_url: 'http://a:b@c/v1'}}", "no user, password or query"),
    ):
        path.write_text(f"name: t\nmodels: [m]\n{text}\n")
        with pytest.raises(HintprobeError, match=said):
            load_config(path)


def test_the_model_in_this_process_keeps_to_the_protocol(tiny, ask):
    loaded = tiny("llama")
    engine = InProcess(loaded, Decoding(0.0, 5))
    (answered,) = complete(engine, ask)
    assert answered.ids_source == "model"
    assert len(answered.margins) == len(answered.ids) <= 5
    import torch

    ids = torch.tensor([ask.prompt_ids])
    out = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=5)
    assert tuple(out[0, ids.shape[1] :].tolist()) == answered.ids


def test_one_prompt_that_is_too_long_does_not_stop_the_others(tokenizer, tmp_path, ask):
    def refusing(path, body):
        if body["max_tokens"] > 16 and body["seed"] == 8:
            return 400, "application/json", '{"message": "maximum context length is 40 tokens", "code": 400}'
        return plain_server(tokenizer)(path, body)

    asks, kept = [dataclasses.replace(ask, seed=seed) for seed in range(6, 12)], []
    with fake_endpoint(refusing) as server:
        engine = engine_of(server, tokenizer, tmp_path, concurrency=1)
        with pytest.raises(EndpointError, match=r"refused 1 of 6 prompts.*max_new_tokens.*context length is 40"):
            engine.run(asks, lambda indices, answers: kept.extend(indices))
    assert sorted(kept) == [0, 1, 3, 4, 5]


def test_a_server_that_refuses_everything_is_not_asked_for_ever(tokenizer, tmp_path, ask):
    def refusing(path, body):
        return (400, "text/plain", "no") if body["max_tokens"] > 16 else plain_server(tokenizer)(path, body)

    asks = [dataclasses.replace(ask, seed=seed) for seed in range(100)]
    with fake_endpoint(refusing) as server, pytest.raises(EndpointError, match="400: no"):
        complete(engine_of(server, tokenizer, tmp_path, concurrency=1), *asks)
    assert len(server.bodies) < 40


def test_an_end_of_turn_that_is_no_special_token_ends_a_turn(tokenizer, tmp_path):
    """Gemma closes its turns with an added token that its tokenizer does not list as special."""
    import copy

    own = copy.deepcopy(tokenizer)
    own.add_tokens(["<end_of_turn>"], special_tokens=False)
    end = own.convert_tokens_to_ids("<end_of_turn>")
    engine = ServerEngine(Endpoint(base_url="http://127.0.0.1:1/v1", model="m"), own, 0.0, 8, tmp_path / "u")
    assert engine._closed((5, end), True) == (5, end)
    assert engine._closed((5,), True) == (5, own.eos_token_id)
    assert engine._closed((5,), False) == (5,)


def test_token_ids_outside_the_vocabulary_are_refused(tokenizer, tmp_path, ask):
    ids = [len(tokenizer) + 7]
    strange = fake_endpoint(lambda path, body: reply(tokenizer, body, token_ids=ids))
    with strange as server, pytest.raises(EndpointError, match=rf"token id {ids[0]}, but the tokenizer has"):
        complete(engine_of(server, tokenizer, tmp_path), ask)
