"""A stand-in for an OpenAI-compatible server, the ways in which servers fail, and what has to hold when one does."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from experiments.benchmarks.attack_arena import Arena, Child, Outcome, figures, same, stage_folders, start

FAULTS = (
    "drops connections", "answers 500", "answers 200 with an error inside", "answers half a reply", "dies midway",
    "takes no long prompts",
)  # fmt: skip
SERVED_VERBS = ("generate", "judge")
_JUDGED = {"mentions": False, "relies": False, "rejects": False, "only_verifies": False, "quote": None}
_FIRST_QUESTIONS = 5
"""Requests at most by which the engine finds out what a server can do."""
_LONGEST_SHARE = 0.15
"""Share of the prompts that a server with a short context refuses."""
_FEW = 2
"""Rows of a finished judge stage that may be errors, and are counted in it as such."""


class StandIn:
    """A server in a process of its own, whose replies depend on the prompt alone; stopped with a ``with`` statement.

    Args:
        log: file that gets a byte for each completion that was asked for.
        fault: one of ``FAULTS``; none, where it is empty.
        share: how many requests fail; of one that dies, how many it answers before.
    """

    def __init__(self, log: Path, fault: str = "", share: float = 0.0, seed: int = 0) -> None:
        self.log, self.fault, self.share, self.seed = log, fault, share, seed
        log.write_bytes(b"")

    def __enter__(self) -> "StandIn":
        waiting = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{waiting.getsockname()[1]}/v1"
        self.child: Child = start(lambda: self._serve(waiting), self.log.with_suffix(".note"))
        waiting.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill(0)

    @property
    def asked(self) -> int:
        """Completions that were asked for."""
        return len(self.log.read_bytes())

    def _serve(self, waiting: socket.socket) -> None:
        server = ThreadingHTTPServer(waiting.getsockname(), BaseHTTPRequestHandler, bind_and_activate=False)
        server.socket.close()
        server.socket = waiting
        server.RequestHandlerClass = _handler(self, random.Random(self.seed))
        server.serve_forever()

    def reply(self, path: str, body: dict[str, Any], rng: random.Random) -> tuple[int, str] | None:
        """Status and body of a reply; None closes the connection without one."""
        if path.endswith("/completions") and "prompt" in body:
            with self.log.open("ab") as file:
                file.write(b".")
        if self.fault == "dies midway" and self.asked > 40 * self.share:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "takes no long prompts" and _digest(body) % 1000 < 1000 * _LONGEST_SHARE:
            said = "This model's maximum context length is 512 tokens. Please reduce the length of the prompt."
            return 400, json.dumps({"error": {"message": said, "code": 400}})
        whole = json.dumps(_reply(body))
        if rng.random() >= self.share or self.fault in ("", "dies midway", "takes no long prompts"):
            return 200, whole
        return {
            "drops connections": None,
            "answers 500": (500, "<html>Internal Server Error</html>"),
            "answers 200 with an error inside": (200, json.dumps({"error": {"message": "overloaded", "code": 503}})),
            "answers half a reply": (200, whole[: len(whole) // 2]),
        }[self.fault]


def _handler(server: StandIn, rng: random.Random) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer, or fail as the server does."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = server.reply(self.path, body, rng)
            if found is None:
                self.close_connection = True
                return
            self.send_response(found[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(found[1])))
            self.end_headers()
            self.wfile.write(found[1].encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    return Handler


def _digest(body: dict[str, Any]) -> int:
    asked = json.dumps(body.get("prompt") or body.get("messages"))
    return int.from_bytes(hashlib.sha256(asked.encode()).digest()[:4], "little")


def _reply(body: dict[str, Any]) -> dict[str, Any]:
    """A completion, or a judge's verdict."""
    usage = {"prompt_tokens": len(body.get("prompt") or ()), "completion_tokens": 9, "total_tokens": 9}
    base = {"id": "x", "created": 0, "model": body["model"], "usage": usage}
    if "prompt" in body:
        letter = "ABCD"[_digest(body) % 4]
        text = f" it should be {letter} . The answer is ({letter})"
        choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
        return {**base, "object": "text_completion", "choices": [choice]}
    said = {"role": "assistant", "content": json.dumps(_JUDGED)}
    choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
    return {**base, "object": "chat.completion", "choices": [choice]}


class Served:
    """A run whose completions and verdicts come from a server, and its attacks."""

    def __init__(self, arena: Arena) -> None:
        self.arena, self.rng = arena, arena.rng
        self.sound = arena.root / "served"
        with StandIn(arena.root / "sound.log") as server:
            outcome = self._run(self.sound, server)
        if outcome.how != "ok":
            raise RuntimeError(f"the undisturbed run of a server ended otherwise: {outcome.said}")
        self.rows = self._kept(self.sound)

    def attack(self, fault: str) -> tuple[list[Outcome], list[str]]:
        """Run on a server that fails, then on one that does not.

        Returns:
            How the two ended, and a line on each thing that did not hold.
        """
        cache = self.arena.root / f"served{self.rng.random()}"
        if self.rng.random() < 0.4:  # let it be the judge that meets the fault
            shutil.copytree(self.sound, cache)
            shutil.rmtree(cache / "judges")
            for folder in stage_folders(cache, "judge"):
                shutil.rmtree(folder)
        share, seed = self.rng.uniform(0.05, 0.6), self.rng.randrange(2**31)
        with StandIn(self.arena.root / "fault.log", fault, share, seed) as server:
            outcomes, wrong = [self._run(cache, server)], []
        if outcomes[0].how == "ok" and (said := self._differs(cache)):
            wrong.append(f"it ended well, with {said}")
        kept = self._kept(cache)
        with StandIn(self.arena.root / "sound.log") as server:
            outcomes.append(self._run(cache, server))
            asked = server.asked
        if outcomes[1].how != "ok":
            wrong.append(f"then, with a sound one: {outcomes[1].said[-300:]}")
        elif said := self._differs(cache):
            wrong.append(f"then, with a sound one: {said}")
        if asked > self.rows - kept + _FIRST_QUESTIONS:
            wrong.append(f"{kept} of {self.rows} completions were kept, and {asked} were asked for")
        shutil.rmtree(cache)
        return outcomes, wrong

    def _run(self, cache: Path, server: StandIn) -> Outcome:
        endpoint = {"base_url": server.base_url, "model": "m", "concurrency": 4, "retries": 1, "timeout": 20}
        changes = {
            "name": "served",
            "questions": {"source": "organism-world", "limit": 12},
            "generate": {"engine": "server", "max_new_tokens": 48, "server": endpoint},
            "judge": {"judges": ["lexical", "asked"], "models": {"asked": {"endpoint": endpoint}}},
        }
        return self.arena.run(cache, SERVED_VERBS[-1], changes=changes).wait()

    def _differs(self, cache: Path) -> str:
        """How the records differ from the undisturbed ones; a few rows that a judge calls errors do not count."""
        for verb in SERVED_VERBS:
            ours, truth = figures(cache, verb), figures(self.sound, verb)
            verdicts = ours.get("verdicts.jsonl", [])
            errors = [(row["judge"], row["rollout_id"]) for row in verdicts if row["status"] == "error"]
            if len(errors) > _FEW:
                return f"{len(errors)} verdicts that are errors"
            if errors:
                for found in (ours, truth):
                    rows = found["verdicts.jsonl"]
                    found["verdicts.jsonl"] = [row for row in rows if (row["judge"], row["rollout_id"]) not in errors]
            if not same(ours, truth):
                return f"other records of {verb}"
        return ""

    def _kept(self, cache: Path) -> int:
        """Completions that are on disk."""
        found = [folder / "rollouts.jsonl" for folder in stage_folders(cache, "generate")]
        return sum(path.read_bytes().count(b"\n") for path in found if path.exists())
