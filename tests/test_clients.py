"""The client of OpenAI-compatible endpoints: bad replies are errors that say so, and no key is ever written."""

import threading
import time

import pytest
from fake_endpoint import chat, completion, fake_endpoint

from activations.errors import HintprobeError
from experiments.config.endpoint import Endpoint
from experiments.engines.clients import BudgetSpentError, Client, EndpointError, Usage, is_same_model

KEY = "sk-secret-0123456789"
ASK = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client():
    """``client(server, **settings)``: a client that is closed when the test ends."""
    made = []

    def make(server, **changes):
        settings = {"retries": 0, "timeout": 20, **changes}
        made.append(Client(Endpoint(base_url=server.base_url, model="m", **settings)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_chat_reply_is_read_with_what_the_server_gives_and_nothing_more(client):
    with fake_endpoint(lambda path, body: chat("(B)", message={"reasoning_content": "because"})) as server:
        one = client(server)
        reply = one.chat(ASK, max_tokens=7, temperature=0.0, seed=3, extra={"response_format": {"type": "text"}})
    assert (reply.text, reply.reasoning, reply.finish_reason, reply.model) == ("(B)", "because", "stop", "m")
    assert (reply.prompt_tokens, reply.completion_tokens) == (3, 2)
    assert reply.completion_ids is reply.logprobs is reply.margins is None
    (body,) = server.bodies
    assert body == {
        "model": "m", "messages": ASK, "max_tokens": 7, "temperature": 0.0, "seed": 3,
        "response_format": {"type": "text"},
    }  # fmt: skip
    assert one.usage == Usage(1, 3, 2)


def test_ids_logprobs_and_margins_are_read_where_they_come(client):
    given = {
        "token_ids": [5, 6],
        "prompt_token_ids": [1, 2, 3],
        "logprobs": {
            "tokens": ["a", "b"], "token_logprobs": [-0.1, -2.0], "text_offset": [0, 1],
            "top_logprobs": [{"a": -0.1, "c": -2.6}, {"d": -1.5, "b": -2.0}],
        },
    }  # fmt: skip
    with fake_endpoint(lambda path, body: completion("ab", choice=given)) as server:
        reply = client(server).complete([1, 2, 3], max_tokens=2, extra={"logprobs": 2})
    assert server.bodies[0]["prompt"] == [1, 2, 3]
    assert (reply.prompt_ids, reply.completion_ids, reply.logprobs) == ((1, 2, 3), (5, 6), (-0.1, -2.0))
    assert reply.margins == pytest.approx((2.5, 0.5))


def test_five_hundreds_are_tried_again_and_then_told(client):
    answers = [(500, "text/plain", "oops"), (503, "text/plain", "busy"), completion("fine")]
    with fake_endpoint(lambda path, body: answers[len(server.bodies) - 1]) as server:
        patient = client(server, retries=2)
        assert patient.complete("x", max_tokens=1).text == "fine"
    assert len(server.bodies) == 3
    with fake_endpoint(lambda path, body: (500, "text/html", "<html>oops</html>")) as server:
        with pytest.raises(EndpointError, match=r"answered 500.*oops") as raised:
            client(server).complete("x", max_tokens=1)
        assert raised.value.status == 500


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "text/html", "<html><body>Sign in</body></html>"), "Sign in"),
        ((200, "application/json", '{"object": "error", "message": "no"}'), "no completion"),
        ((200, "application/json", '{"model": "m", "choices": []}'), "no completion"),
        ((200, "application/json", '{"model": "m", "cho'), "could not be read|no completion"),
        (completion("hi", model="other"), "'other' answered"),
        (completion("hi", model="m-mini"), "'m-mini' answered"),
        (completion("hi", model=None), "no completion"),
        ((404, "application/json", '{"error": {"message": "The model m does not exist"}}'), "404.*does not exist"),
    ],
)
def test_what_is_no_reply_of_the_model_is_an_error(answer, said, client):
    with fake_endpoint(lambda path, body: answer) as server, pytest.raises(EndpointError, match=said):
        client(server).complete("x", max_tokens=1)


@pytest.mark.parametrize("served", ["m", "m-2026-01-31", "m-0613", "m@main", "m:latest"])
def test_dated_revisions_are_the_same_model(served, client):
    with fake_endpoint(lambda path, body: completion("hi", model=served)) as server:
        assert client(server).complete("x", max_tokens=1).model == served


def test_another_name_is_accepted_only_when_it_is_given(client):
    with fake_endpoint(lambda path, body: completion("hi", model="other")) as server:
        assert client(server, served_as="other").complete("x", max_tokens=1).text == "hi"
    with fake_endpoint(lambda path, body: completion("hi")) as server, pytest.raises(EndpointError, match="'m' answ"):
        client(server, served_as="other").complete("x", max_tokens=1)


def test_a_server_that_is_not_there(client):
    with fake_endpoint(lambda path, body: completion("hi")) as server:
        pass
    with pytest.raises(EndpointError, match="could not be reached"):
        client(server).complete("x", max_tokens=1)


@pytest.mark.parametrize(
    "limit", [{"max_requests": 2}, {"max_total_tokens": 10}, {"max_cost": 8.0, "price_in": 1e6, "price_out": 1e6}]
)
def test_a_budget_stops_before_the_next_request(limit, client):
    with fake_endpoint(lambda path, body: completion("hi")) as server:
        one = client(server, **limit)
        one.complete("x", max_tokens=1)
        one.complete("x", max_tokens=1)
        with pytest.raises(BudgetSpentError, match="2 requests, 6 \\+ 4 tokens"):
            one.complete("x", max_tokens=1)
    assert len(server.bodies) == 2


def test_concurrency_is_bounded_and_results_come_in_the_callers_thread(client):
    def slowly(path, body):
        time.sleep(0.05)
        return completion(body["prompt"])

    kept, threads = {}, set()

    def keep(job, reply):
        kept[job] = reply.text
        threads.add(threading.current_thread())

    with fake_endpoint(slowly) as server:
        one = client(server, concurrency=3)
        one.each([str(i) for i in range(9)], lambda job: one.complete(job, max_tokens=1), keep)
    assert kept == {str(i): str(i) for i in range(9)}
    assert server.most_at_once == 3
    assert threads == {threading.current_thread()}


def test_after_a_failure_nothing_more_is_begun_and_what_was_answered_is_kept(client):
    kept = []
    refused = (400, "text/plain", "no")
    with fake_endpoint(lambda path, body: refused if body["prompt"] == "4" else completion("hi")) as server:
        one = client(server, concurrency=1)
        with pytest.raises(EndpointError, match="400"):
            one.each([str(i) for i in range(9)], lambda j: one.complete(j, max_tokens=1), lambda j, r: kept.append(j))
    assert kept == ["0", "1", "2", "3"]
    assert len(server.bodies) == 5


def test_a_key_is_sent_and_shown_nowhere(monkeypatch, capsys, client):
    monkeypatch.setenv("MY_KEY", KEY)
    refusal = (401, "application/json", f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}')
    with fake_endpoint(lambda path, body: refusal) as server:
        one = client(server, api_key_env="MY_KEY")
        with pytest.raises(EndpointError) as raised:
            one.chat(ASK, max_tokens=1)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    shown = f"{raised.value} {one!r} {one.endpoint.model_dump_json()} {capsys.readouterr()}"
    assert "MY_KEY" in shown
    assert "[key]" in shown
    assert KEY not in shown


def test_a_missing_key_is_told_before_anything_is_asked(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(HintprobeError, match=r"MY_KEY.*not set"):
        Client(Endpoint(base_url="http://127.0.0.1:1/v1", model="m", api_key_env="MY_KEY"))


def test_no_other_key_is_taken_from_the_environment(monkeypatch, client):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with fake_endpoint(lambda path, body: completion("hi")) as server:
        client(server).complete("x", max_tokens=1)
    assert KEY not in str(server.headers)


@pytest.mark.parametrize("url", ["http://me:secret@host/v1", "https://host/v1?key=secret", "file:///etc/passwd"])
def test_addresses_that_hold_secrets_are_refused(url):
    with pytest.raises(ValueError, match="base_url"):
        Endpoint(base_url=url, model="m")


def test_an_endpoint_without_address_or_model_is_refused():
    with pytest.raises(HintprobeError, match="base_url"):
        Client(Endpoint(model="m"))


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("openai/gpt-oss-20b", "gpt-oss-20b", True),
        ("gpt-oss-20b", "openai/gpt-oss-20b", True),
        ("claude-x-latest", "claude-x-20241022", True),
        ("meta/llama:free", "meta/llama", True),
        ("/models/Qwen3-8B/", "Qwen3-8B", True),
        ("unsloth/Qwen3-8B", "Qwen/Qwen3-8B", False),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06", False),
        ("gpt-4o", "gpt-4o-mini", False),
        ("openai/gpt-4o", "gpt-4", False),
    ],
)
def test_usual_other_forms_of_a_models_name(asked, served, same):
    assert is_same_model(asked, served) is same


INSIDE = [
    '{"error": {"code": 429, "message": "rate limited upstream"}}',
    '{"error": {"code": "503", "message": "overloaded"}, "choices": null}',
    '{"model": "m", "choices": [{"index": 0, "text": "", "finish_reason": "error", "error": {"code": 502}}]}',
]


@pytest.mark.parametrize("body", INSIDE)
def test_an_error_inside_a_200_is_tried_again(body, client, monkeypatch):
    monkeypatch.setattr("experiments.engines.clients.time.sleep", lambda seconds: None)
    answers = [(200, "application/json", body), completion("fine")]
    with fake_endpoint(lambda path, body: answers[len(server.bodies) - 1]) as server:
        assert client(server, retries=1).complete("x", max_tokens=1).text == "fine"
    with fake_endpoint(lambda path, _: (200, "application/json", body)) as server:
        with pytest.raises(EndpointError, match="answered 200 with the error") as raised:
            client(server, retries=2).complete("x", max_tokens=1)
        assert raised.value.status in (429, 502, 503)
        assert len(server.bodies) == 3


def test_a_refusal_inside_a_200_is_told_at_once(client):
    body = '{"error": {"code": 403, "message": "no such plan"}}'
    with fake_endpoint(lambda path, _: (200, "application/json", body)) as server:
        with pytest.raises(EndpointError, match="no such plan"):
            client(server, retries=3).complete("x", max_tokens=1)
        assert len(server.bodies) == 1


def test_margins_where_two_tokens_have_one_text(client):
    """The dictionary of the completions API keeps one of them; the token taken has a score of its own."""
    tops = [{"a": -0.1, "b": -2.0}, {"\ufffd": -0.7}]
    logprobs = {"tokens": ["a", "\ufffd"], "token_logprobs": [-0.1, -0.1], "top_logprobs": tops, "text_offset": [0, 1]}
    with fake_endpoint(lambda path, body: completion("a\ufffd", choice={"logprobs": logprobs})) as server:
        assert client(server).complete("x", max_tokens=2).margins == pytest.approx((1.9, 0.6))
    logprobs["top_logprobs"] = [tops[0], {"\ufffd": -0.1}]  # what the other one had is not known
    with fake_endpoint(lambda path, body: completion("a\ufffd", choice={"logprobs": logprobs})) as server:
        assert client(server).complete("x", max_tokens=2).margins is None


def test_margins_in_the_chat_form_of_llama_cpp(client):
    token = {"token": "a", "logprob": -0.1, "top_logprobs": [{"token": "a", "logprob": -0.1}, {"logprob": -2.0}]}
    with fake_endpoint(lambda path, body: completion("a", choice={"logprobs": {"content": [token]}})) as server:
        reply = client(server).complete("x", max_tokens=1)
    assert reply.margins == pytest.approx((1.9,))
    assert reply.logprobs == (-0.1,)
