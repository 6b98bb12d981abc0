"""The capture at work: what the store lacks is computed, row by row."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from activations import (
    ActivationStore,
    Backend,
    LoadedModel,
    Site,
    fill,
    open_backend,
    plan_capture,
)
from activations.model_store import ModelStore, size_text
from activations.sites import decoder_blocks
from experiments.config import CaptureConfig
from experiments.records.accounts import CaptureAccount
from experiments.records.stages import positions_table
from experiments.run.model_run import ModelRun
from experiments.run.parts import units_of
from experiments.run.progress import Tick
from experiments.stages.capture import Placed, captured_rollouts, captured_sites, place, request


def open_capture_backend(settings: CaptureConfig, loaded: LoadedModel) -> Backend:
    """The backend that a configuration names, with its options."""
    options: dict[str, Any] = {"remote": True} if settings.remote else {}
    if (server := settings.server).base_url:
        options |= {
            "base_url": server.base_url,
            "served_model": server.model,
            "concurrency": server.concurrency,
            "timeout": server.timeout,
            "api_key": os.environ.get(server.api_key_env) if server.api_key_env else None,
        }
    return open_backend(settings.backend, loaded, **options)


@dataclass
class Capture:
    """The capture at work. Rows are rollouts; the positions of a row are looked for when it is computed."""

    run: ModelRun
    folder: Path
    title: str = "capture"
    batched: bool = False

    def __post_init__(self) -> None:
        self.rollouts = captured_rollouts(self.run)
        items = self.run.records.items
        self.keys: Sequence[str] = [items[rollout.item_id].question.id for rollout in self.rollouts]
        self.forwards = len(self.keys)
        self.counts = {"requested": 0, "written": 0, "reused": 0}

    @cached_property
    def backend(self) -> Backend:
        """What runs the model."""
        return open_capture_backend(self.run.config.capture, self.run.loaded)

    @cached_property
    def store(self) -> ModelStore:
        """The model's part of the store."""
        return ActivationStore(self.run.config.store_dir).of(self.backend.loaded)

    @cached_property
    def sites(self) -> list[Site]:
        """What is captured."""
        return captured_sites(self.run.config.capture, len(decoder_blocks(self.run.loaded.model)))

    def ticks(self, rows: Sequence[int]) -> int:
        """One a row."""
        return len(rows)

    def do(self, rows: Sequence[int], tick: Tick) -> None:
        """Capture what the store lacks of some rows, a unit at a time.

        Raises:
            HintprobeError: the disk has no room for it.
        """
        placed = {row: place(self.run, self.rollouts[row]) for row in rows}
        positions_table(self.folder).replace(one.row for one in placed.values())
        self._refuse_too_much(list(placed.values()))
        for unit in units_of(self):
            mine = [placed[row] for row in unit if row in placed]
            ids, positions = request(mine)
            tick(len(mine) - len(ids))
            if ids:
                self._fill(ids, positions, tick)

    def _refuse_too_much(self, placed: Sequence[Placed]) -> None:
        missing = plan_capture(self.run.loaded, self.store, *request(placed), self.sites).account
        if missing.n_bytes:
            self.store.check_room(missing.n_bytes)
        size = size_text(missing.n_bytes)
        self.run.reporter.say(f"  capture   {missing.forward_rows} rows to run, {size} to write")

    def _fill(self, ids: list[tuple[int, ...]], positions: list[list[int | None]], tick: Tick) -> None:
        budget = self.run.config.capture.token_budget
        done = fill(self.run.loaded, self.store, ids, positions, self.sites, budget, on_rows=tick, backend=self.backend)
        for name in self.counts:
            self.counts[name] += getattr(done, name)

    def close(self) -> dict[str, Any]:
        """How much was there, and where it lies."""
        return {**self.counts, "store": self.store.folder.name, "sites": [str(site) for site in self.sites]}

    def finish(self, counts: Mapping[str, Any]) -> CaptureAccount:
        """Where every position is, in the order of the rollouts, and what was asked for in all."""
        found = {row.rollout_id: row for row in positions_table(self.folder).read()}
        # Parts that an earlier version made kept no positions.
        table = {r.id: found.get(r.id) or place(self.run, r).row for r in self.rollouts}
        positions_table(self.folder).replace(table.values())
        hinted = [table[rollout.id] for rollout in self.rollouts if rollout.condition == "hinted"]
        reasons = Counter(f"{name}: {why}" for row in hinted for name, why in row.unresolved.items())
        return CaptureAccount(
            rollouts=len(self.rollouts),
            positions=counts["requested"],
            written=counts["written"],
            reused=counts["reused"],
            sites=tuple(counts["sites"]),
            store=counts["store"],
            unresolved_hinted=dict(reasons),
        )
