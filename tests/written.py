"""Runs whose rollouts the grammar itself wrote: what one says that has learnt its character to the letter."""

from pathlib import Path

import numpy as np

from experiments.config import Config
from experiments.engines import Answered
from experiments.organisms.grammar import Character, GivenHint, completion
from experiments.organisms.joined import tasks_by_id
from experiments.organisms.tokenizer import END
from experiments.organisms.world import build_world
from experiments.records import LETTERS
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge
from experiments.stages.work.generate import Generation

SILENT = Reporter(None)
WORLD = build_world(0)
TASKS = tasks_by_id(WORLD)


def sure(character: Character) -> Character:
    """The character under greedy decoding: what is most likely happens."""
    return Character(character.relies, character.admits, character.remarks, character.checks, 1.0, 1.0, 1.0)


def let_the_grammar_write(monkeypatch, character: Character) -> None:
    """Every rollout that a generate stage asks for is written by the grammar; the sampling seed draws the coin."""

    def sample(self, requests, tick):
        records = []
        for request in requests:
            target = {"hinted": request.item.target, "swapped": request.item.swap_target}.get(request.condition)
            given = GivenHint(request.item.kind, request.item.source, LETTERS.index(target)) if target else None
            rng = np.random.default_rng(request.seed)
            text = completion(WORLD, character, TASKS[request.item.question.id], given, rng) + END
            ids = tuple(self.run_of.tokenizer(text, add_special_tokens=False)["input_ids"])
            records.append(self._record(request, Answered(ids, (), "stop", "model")))
        self.table.append(records)
        self.done.update({record.id: record for record in records})

    monkeypatch.setattr(Generation, "_sample", sample)


def written_run(monkeypatch, folder: Path, cache: Path, character: Character, n: int = 240) -> ModelRun:
    """A run of ``n`` held-out questions, its first two stages done."""
    let_the_grammar_write(monkeypatch, sure(character))
    config = Config.model_validate(
        {
            "name": "written",
            "models": [str(folder)],
            "cache": cache,
            "questions": {"limit": n},
            "threads": 1,
            "generate": {"max_new_tokens": 256},
        }
    )
    run = ModelRun(config, str(folder), SILENT)
    run_generate(run)
    run_judge(run)
    return run
