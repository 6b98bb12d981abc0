"""The attacks' stand-in servers fail as they say, and what a careless program makes of that is counted."""

import json
import os
import random
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from activations.errors import HintprobeError
from experiments.benchmarks.attack_arena import start
from experiments.benchmarks.attack_counts import KEYS, add, read_sum
from experiments.benchmarks.attack_kinds import Attack
from experiments.benchmarks.attack_servers import FAULTS, Served, StandIn
from experiments.run.stopping import STOPPED, stoppable

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def ask(server: StandIn, prompt: list[int]) -> tuple[int | None, str]:
    """Status and body; no status where the connection was closed."""
    body = json.dumps({"model": "m", "prompt": prompt}).encode()
    request = urllib.request.Request(f"{server.base_url}/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None, ""


def told(server: StandIn) -> list[tuple[int | None, str]]:
    return [ask(server, [k]) for k in range(12)]


def test_stand_ins_fail_as_they_say(tmp_path: Path):
    with StandIn(tmp_path / "log") as server:
        sound = told(server)
        assert [status for status, _ in sound] == [200] * 12
        assert server.asked == 12
    assert told(server) == [(None, "")] * 12, "it is gone"
    found = {}
    for fault in FAULTS:
        with StandIn(tmp_path / "log", fault, share=0.2 if fault == "dies midway" else 1.0) as server:
            found[fault] = told(server)
    assert set(found["drops connections"]) == {(None, "")}
    assert {status for status, _ in found["answers 500"]} == {500}
    assert all(
        status == 200 and "error" in json.loads(text) for status, text in found["answers 200 with an error inside"]
    )
    assert [sound[k][1][: len(text)] for k, (_, text) in enumerate(found["answers half a reply"])] == [
        text for _, text in found["answers half a reply"]
    ]
    assert found["dies midway"] == sound[:8] + [(None, "")] * 4
    refused = [(status, text) for status, text in found["takes no long prompts"] if status != 200]
    assert 0 < len(refused) < 12
    assert all(status == 400 and "context length" in text for status, text in refused)


class Careless:
    """A program that goes on from a failing server in some wrong way, in the place of a run."""

    def __init__(self, root: Path, way: str) -> None:
        self.root, self.rng, self.way, self.runs = root, random.Random(0), way, 0

    def run(self, cache: Path, until: str, changes: dict) -> SimpleNamespace:
        self.runs += 1
        failing = self.runs == 2
        folder = cache / "runs" / "served" / "m" / "generate-1"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{"id": k, "text": "fine"} for k in range(20)]
        if self.way == "loses rows" and self.runs > 1:
            rows = rows[1:]
        if self.way == "takes an error for an answer" and self.runs > 1:
            rows[0]["text"] = "Internal Server Error"
        server = SimpleNamespace(base_url=changes["generate"]["server"]["base_url"])
        for row in [] if self.runs == 3 and self.way != "asks again" else rows:
            ask(server, [row["id"]])
        (folder / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (cache / "judges").mkdir(exist_ok=True)
        how = "traceback" if failing and self.way == "falls" else "ok"
        return SimpleNamespace(wait=lambda: SimpleNamespace(how=how, said="KeyError"))


@pytest.mark.parametrize(
    ("way", "wrong"),
    [
        ("is careful", 0),
        ("loses rows", 2),
        ("takes an error for an answer", 2),
        ("asks again", 1),
    ],
)
def test_what_a_careless_program_makes_of_a_failing_server_is_seen(tmp_path: Path, way, wrong):
    served = Served(Careless(tmp_path, way))
    outcomes, said = served.attack("answers 500")
    assert len(outcomes) == 2
    assert len(said) == wrong, said


def test_a_traceback_over_a_server_is_counted(tmp_path: Path):
    trials = Attack(Careless(tmp_path, "falls"))
    trials.fail_server()
    assert (trials.counts["servers"], trials.counts["servers_wrong"], trials.counts["tracebacks"]) == (1, 0, 1)


def sleeping() -> None:
    with stoppable():
        time.sleep(30)


def test_a_process_that_is_ended_says_so_and_one_without_a_handler_does_not(tmp_path: Path):
    note = tmp_path / "note"
    ended = start(sleeping, note).kill(0.5, signal.SIGTERM)
    assert (ended.how, ended.said[:8]) == ("told", "Stopped.")
    assert start(lambda: time.sleep(30), note).kill(0.2, signal.SIGTERM).how == "killed"


@pytest.mark.parametrize(
    ("how", "said", "right", "wrong", "tracebacks"),
    [
        ("told", STOPPED, True, 0, 0),
        ("told", "Something else.", True, 1, 0),
        ("told", STOPPED, False, 1, 0),
        ("traceback", "KeyboardInterrupt", True, 0, 1),
    ],
)
def test_what_follows_a_stop_is_counted(tmp_path: Path, how, said, right, wrong, tracebacks):
    first = SimpleNamespace(how=how, said=said)

    class Arena:
        root, rng, seconds = (
            tmp_path,
            random.Random(0),
            dict.fromkeys(("generate", "judge", "capture", "probe", "patch", "compare"), 0),
        )

        def copy(self, without=None):
            (tmp_path / "copy").mkdir()
            return tmp_path / "copy"

        def run(self, cache, until):
            return SimpleNamespace(kill=lambda after, number: first, wait=lambda: SimpleNamespace(how="ok", said=""))

        def is_right(self, cache, until):
            return right

    trials = Attack(Arena())
    trials.stop()
    assert (trials.counts["stops"], trials.counts["stops_wrong"], trials.counts["tracebacks"]) == (1, wrong, tracebacks)


def test_runs_add_up_in_a_file_each_seed_once(tmp_path: Path):
    path = tmp_path / "sum.json"
    one = {**dict.fromkeys(KEYS, 0), "kills": 3, "seconds": 2.0, "seed": 1, "said": []}
    add(path, one, "abc")
    two = add(path, {**one, "seed": 2, "kills": 4, "kills_wrong": 1, "said": ["kills_wrong: x"]}, "abd")
    assert two == read_sum(path)
    assert (two["kills"], two["kills_wrong"], two["seconds"], two["said"]) == (7, 1, 4.0, ["kills_wrong: x"])
    assert [(run["seed"], run["commit"]) for run in two["runs"]] == [(1, "abc"), (2, "abd")]
    with pytest.raises(HintprobeError, match="seed 2 already"):
        add(path, {**one, "seed": 2}, "abd")
    assert read_sum(path) == two
    path.write_text('{"kills": 3}')
    with pytest.raises(HintprobeError, match="no sum of attacks"):
        add(path, one, None)
