"""Stage 3: one clean forward over each hinted and unhinted rollout; the residual stream goes to the store."""

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
    residual_sites,
    row_hash,
)
from activations.batching import Ids
from activations.entries import Entries
from activations.errors import HintprobeError
from activations.model_store import ModelStore, read_note, size_text
from activations.shard import VERSION
from activations.sites import decoder_blocks
from experiments.config import CaptureConfig
from experiments.prompts.positions import locate
from experiments.records import PositionRow, Rollout
from experiments.records.accounts import CaptureAccount
from experiments.records.stages import positions_table
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.progress import Tick
from experiments.run.sharing import split
from experiments.run.stage import Stage

CAPTURED = ("hinted", "unhinted")


def captured_sites(settings: CaptureConfig, n_layers: int) -> list[Site]:
    """The residual stream at the blocks asked for, and around the first one.

    Raises:
        HintprobeError: the model has no such block.
    """
    every = residual_sites(n_layers)
    if settings.layers is None:
        return every
    if beyond := [layer for layer in settings.layers if not -n_layers <= layer < n_layers]:
        raise HintprobeError(
            f"`capture.layers` names {', '.join(map(str, beyond))}, and this model has {n_layers} blocks: 0 to "
            f"{n_layers - 1}, or -{n_layers} to -1 from the end."
        )
    kept = {0} | {layer % n_layers for layer in settings.layers}
    return [every[0], *(every[layer + 1] for layer in sorted(kept))]


def run_capture(run: ModelRun) -> StageResult | None:
    """Capture the activations of a model's rollouts, or find that done."""
    settings = run.config.capture
    depends = (
        run.results["generate"].signature,
        settings.positions,
        settings.layers,
        run.config.numerics,
        settings.backend,
    )
    return split(
        run,
        CaptureAccount,
        depends,
        lambda folder: _Capture(run, folder),
        uses_model=True,
        still_there=lambda folder, account: _still_there(run, folder, account),
    )


def _still_there(run: ModelRun, folder: Path, account: CaptureAccount) -> bool:
    """Does the store hold every position of a finished capture? Shards may have been moved aside since."""
    part = run.config.store_dir / account.store
    if not part.is_dir() or read_note(part).get("version", VERSION) != VERSION:
        return False
    store = ActivationStore(run.config.store_dir).named(part.name)
    table = positions_table(folder).read()
    entries = Entries.of([(bytes.fromhex(row.row_hash), token) for row in table for token in row.tokens.values()])
    return all(store.index.locate(site, entries).found.all() for site in account.sites)


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
class _Capture:
    """The capture at work. Rows are rollouts that have any of the positions."""

    run: ModelRun
    folder: Path
    title: str = "capture"
    batched: bool = True

    def __post_init__(self) -> None:
        self.table, self.ids, self.positions = places(self.run)
        rollouts, items = self.run.records.rollouts, self.run.records.items
        placed = [rollouts[row.rollout_id] for row in self.table if row.tokens]
        self.keys: Sequence[str] = [items[rollout.item_id].question.id for rollout in placed]
        self.forwards = len(self.keys)
        self.counts = {"requested": 0, "written": 0, "reused": 0}

    @cached_property
    def backend(self) -> Backend:
        """What runs the model."""
        return open_capture_backend(self.run.config.capture, self.run.loaded)

    @cached_property
    def store(self) -> ModelStore:
        """The model's part of the store, once it is known to have room for all that is missing."""
        store = ActivationStore(self.run.config.store_dir).of(self.backend.loaded)
        missing = plan_capture(self.run.loaded, store, self.ids, self.positions, self.sites).account
        if missing.n_bytes:
            store.check_room(missing.n_bytes)
        size = size_text(missing.n_bytes)
        self.run.reporter.say(f"  capture   {missing.forward_rows} rows to run, {size} to write")
        return store

    @cached_property
    def sites(self) -> list[Site]:
        """What is captured."""
        return captured_sites(self.run.config.capture, len(decoder_blocks(self.run.loaded.model)))

    def ticks(self, rows: Sequence[int]) -> int:
        """One a row."""
        return len(rows)

    def do(self, rows: Sequence[int], tick: Tick) -> None:
        """Capture what the store lacks of some rows."""
        request = [self.ids[row] for row in rows], [self.positions[row] for row in rows]
        budget = self.run.config.capture.token_budget
        done = fill(self.run.loaded, self.store, *request, self.sites, budget, on_rows=tick, backend=self.backend)
        for name in self.counts:
            self.counts[name] += getattr(done, name)

    def close(self) -> dict[str, Any]:
        """How much was there, and where it lies."""
        return {**self.counts, "store": self.store.folder.name, "sites": [str(site) for site in self.sites]}

    def finish(self, counts: Mapping[str, Any]) -> CaptureAccount:
        """Where every position is, and what was asked for in all."""
        positions_table(self.folder).replace(self.table)
        hinted = {r.id for r in _rollouts(self.run) if r.condition == "hinted"}
        reasons = Counter(
            f"{name}: {why}" for row in self.table if row.rollout_id in hinted for name, why in row.unresolved.items()
        )
        return CaptureAccount(
            rollouts=len(self.table),
            positions=counts["requested"],
            written=counts["written"],
            reused=counts["reused"],
            sites=tuple(counts["sites"]),
            store=counts["store"],
            unresolved_hinted=dict(reasons),
        )


def _rollouts(run: ModelRun) -> list[Rollout]:
    return [r for r in run.records.rollouts.values() if r.condition in CAPTURED]


def places(run: ModelRun) -> tuple[list[PositionRow], list[Ids], list[list[int | None]]]:
    """Where the positions of each rollout are; token ids and positions of the rows that have any. Loads no weights."""
    names = run.config.capture.positions
    table: list[PositionRow] = []
    rows: list[Ids] = []
    positions: list[list[int | None]] = []
    for rollout in _rollouts(run):
        found, missing = locate(run.tokenizer, run.records.items[rollout.item_id], rollout, names)
        ids = rollout.prompt_ids + rollout.completion_ids
        table.append(PositionRow(rollout_id=rollout.id, row_hash=row_hash(ids).hex(), tokens=found, unresolved=missing))
        if found:
            rows.append(ids)
            positions.append([found.get(name) for name in names])
    return table, rows, positions


STAGE = Stage(CaptureAccount, "capture", ("generate",), lambda run, _: run_capture(run), parts=True)
