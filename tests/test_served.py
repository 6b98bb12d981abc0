"""A real server on loopback: ``transformers serve`` with a shipped organism, killed in the middle and started again."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from activations import Decoding, generate, load_model
from experiments.config import Config
from experiments.engines.clients import EndpointError
from experiments.organisms.recipe import SHIPPED
from experiments.pipeline import run_pipeline
from experiments.records.stages import rollouts_table
from experiments.run.progress import Reporter

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

SILENT = Reporter(None)
FOLDER = str(SHIPPED / "unfaithful")
QUESTIONS, CUT = 10, 12


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ready(process, port, patience=150.0):
    end = time.monotonic() + patience
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                if answer.status == 200:
                    return True
        except OSError:
            time.sleep(0.2)
    return False


@contextmanager
def served(tmp_path):
    """The organism on a port of its own, in single precision, as the model in this process is."""
    port, log = free_port(), tmp_path / "server.log"
    command = [
        sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", FOLDER,
        "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32",
    ]  # fmt: skip
    (tmp_path / "hub").mkdir(exist_ok=True)
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
    try:
        assert ready(process, port), log.read_text(errors="replace")[-2000:]
        yield process, f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait(timeout=30)


def config(cache, base_url, **server):
    settings = {"base_url": base_url, "model": FOLDER, "retries": 0, "concurrency": 2, "timeout": 60, **server}
    return Config.model_validate(
        {
            "name": "t", "models": ["organism:unfaithful"], "cache": cache, "questions": {"limit": QUESTIONS},
            "generate": {"engine": "server", "max_new_tokens": 64, "server": settings}, "device": "cpu",
        }
    )  # fmt: skip


def folder_of(settings):
    (folder,) = settings.run_dir.glob("*/generate-*")
    return folder


def kill_after(path_of, n, process):
    """Kill the server once ``n`` rollouts are on disk."""

    def watch():
        end = time.monotonic() + 120
        while time.monotonic() < end:
            found = [path.read_bytes().count(b"\n") for path in path_of()]
            if found and found[0] >= n:
                break
            time.sleep(0.005)
        process.kill()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_killed_server_loses_nothing_and_its_greedy_tokens_are_the_models_own(tmp_path: Path):
    with served(tmp_path) as (process, base_url):
        settings = config(tmp_path / "cache", base_url)
        watching = kill_after(lambda: list(settings.run_dir.glob("*/generate-*/rollouts.jsonl")), CUT, process)
        with pytest.raises(EndpointError, match="could not be reached"):
            run_pipeline(settings, SILENT, until="generate")
        watching.join(timeout=30)
    kept = {rollout.id: rollout for rollout in rollouts_table(folder_of(settings)).read()}
    assert CUT <= len(kept) < QUESTIONS * 4
    assert not (folder_of(settings) / "done.json").exists()

    with served(tmp_path) as (_, base_url):
        with pytest.raises(EndpointError, match=r"pinned to|answered 4"):
            run_pipeline(config(tmp_path / "wrong", base_url, model="somebody/else"), SILENT, until="generate")
        again = config(tmp_path / "cache", base_url)
        run_pipeline(again, SILENT, until="generate")
    assert folder_of(again) == folder_of(settings)
    rollouts = {rollout.id: rollout for rollout in rollouts_table(folder_of(again)).read()}
    assert {name: rollouts[name] for name in kept} == kept
    account = json.loads((folder_of(again) / "done.json").read_text())["account"]
    assert account["rollouts"] == len(rollouts) >= QUESTIONS * 3

    engine = account["engine"]
    assert engine["prompts_as"] == "text", "this server refuses token ids"
    assert engine["prompt_checked_by"] == "count"
    assert not engine["returns_ids"]
    assert not engine["returns_logprobs"], "asked for, and ignored without a word"
    assert account["completion_ids_from"] == {"retokenised": len(rollouts)}
    assert all(rollout.margins == () for rollout in rollouts.values())

    mine = generate(load_model(FOLDER, "float32", "cpu"), [r.prompt_ids for r in rollouts.values()], Decoding(0.0, 64))
    assert [completion.ids for completion in mine] == [r.completion_ids for r in rollouts.values()]
    assert all(rollout.answer is not None and rollout.cot for rollout in rollouts.values())
