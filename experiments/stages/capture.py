"""Stage 3: one clean forward over each hinted and unhinted rollout; the residual stream goes to the store."""

import os
from collections import Counter
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
from activations.model_store import read_note, size_text
from activations.shard import VERSION
from activations.sites import decoder_blocks
from experiments.config import CaptureConfig
from experiments.prompts.positions import locate
from experiments.records import PositionRow, Rollout
from experiments.records.accounts import CaptureAccount
from experiments.records.stages import positions_table
from experiments.run.model_run import ModelRun, StageResult
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


class _PartDoneError(Exception):
    """This process has captured its part, and others have not."""


def run_capture(run: ModelRun) -> StageResult | None:
    """Capture the activations of a model's rollouts, or find that done.

    Returns:
        None where this process had a part of the rows and others are still missing: the last part finishes the stage.
    """
    settings = run.config.capture
    depends = (
        run.results["generate"].signature,
        settings.positions,
        settings.layers,
        run.config.numerics,
        settings.backend,
    )
    try:
        return run.stage(
            CaptureAccount,
            depends,
            lambda folder: _capture(run, folder),
            uses_model=True,
            still_there=lambda folder, account: _still_there(run, folder, account),
        )
    except _PartDoneError as done:
        run.reporter.say(f"  capture   {done}")
        return None


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


def _capture(run: ModelRun, folder: Path) -> CaptureAccount:
    table, rows, positions = places(run)
    backend = open_capture_backend(run.config.capture, run.loaded)
    store = ActivationStore(run.config.store_dir).of(backend.loaded)
    sites = captured_sites(run.config.capture, len(decoder_blocks(run.loaded.model)))
    mine = run.part.of([len(ids) for ids in rows]) if run.part else range(len(rows))
    request = [rows[i] for i in mine], [positions[i] for i in mine]
    plan = plan_capture(run.loaded, store, *request, sites)
    run.reporter.say(f"  capture   {plan.account.forward_rows} rows to run, {size_text(plan.account.n_bytes)} to write")
    with run.reporter.bar("capture", len(mine)) as tick:
        budget = run.config.capture.token_budget
        account = fill(run.loaded, store, *request, sites, budget, on_rows=tick, plan=plan, backend=backend)
    if run.part:
        missing = plan_capture(run.loaded, store, rows, positions, sites).account.forward_rows
        if missing:
            raise _PartDoneError(f"part {run.part} is done ({len(mine)} rows); other parts lack {missing} rows")
    positions_table(folder).replace(table)
    hinted = {r.id for r in _rollouts(run) if r.condition == "hinted"}
    reasons = Counter(
        f"{name}: {why}" for row in table if row.rollout_id in hinted for name, why in row.unresolved.items()
    )
    return CaptureAccount(
        rollouts=len(table),
        positions=account.requested,
        written=account.written,
        reused=account.reused,
        sites=tuple(str(site) for site in sites),
        store=store.folder.name,
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


STAGE = Stage(CaptureAccount, "capture", ("generate",), lambda run, _: run_capture(run))
