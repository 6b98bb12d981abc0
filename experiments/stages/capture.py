"""Stage 3: one clean forward over each hinted and unhinted rollout; the residual stream goes to the store."""

from collections import Counter
from pathlib import Path
from typing import Any

from activations import ActivationStore, fill, open_backend, residual_sites, row_hash
from activations.sites import decoder_blocks
from experiments.context import ModelRun, StageResult
from experiments.positions import PositionRow, locate
from experiments.stages.generate import items_table, rollouts_table
from experiments.tables import RecordTable

CAPTURED = ("hinted", "unhinted")


def positions_table(folder: Path) -> RecordTable[PositionRow]:
    """Where the named positions of each captured rollout are."""
    return RecordTable(folder / "positions.jsonl", PositionRow)


def run_capture(run: ModelRun) -> StageResult:
    """Capture the activations of a model's rollouts, or find that done."""
    settings = run.config.capture
    depends = (run.results["generate"].signature, settings.positions, run.config.numerics, settings.backend)

    def still_there(account: dict[str, Any]) -> bool:
        return bool((run.config.store_dir / account["store"]).is_dir())

    return run.stage("capture", depends, lambda folder: _capture(run, folder), uses_model=True, still_there=still_there)


def _capture(run: ModelRun, folder: Path) -> dict[str, Any]:
    generated = run.results["generate"].folder
    item_of = {item.id: item for item in items_table(generated).read()}
    rollouts = [r for r in rollouts_table(generated).read() if r.condition in CAPTURED]
    table, rows, positions, reasons = [], [], [], Counter[str]()
    for rollout in rollouts:
        found, missing = locate(run.loaded.tokenizer, item_of[rollout.item_id], rollout, run.config.capture.positions)
        ids = rollout.prompt_ids + rollout.completion_ids
        table.append(PositionRow(rollout_id=rollout.id, row_hash=row_hash(ids).hex(), tokens=found, unresolved=missing))
        if rollout.condition == "hinted":
            reasons.update(f"{name}: {reason}" for name, reason in missing.items())
        if found:
            rows.append(ids)
            positions.append([found.get(name) for name in run.config.capture.positions])
    backend = open_backend(run.config.capture.backend, run.loaded)
    store = ActivationStore(run.config.store_dir).of(backend.loaded)
    sites = residual_sites(len(decoder_blocks(run.loaded.model)))
    with run.reporter.bar("capture", len(rows)) as tick:
        account = fill(
            run.loaded,
            store,
            rows,
            positions,
            sites,
            run.config.capture.token_budget,
            on_rows=tick,
            backend=backend,
        )
    positions_table(folder).replace(table)
    return {
        "rollouts": len(rollouts),
        "positions": account.requested,
        "written": account.written,
        "reused": account.reused,
        "sites": [str(site) for site in sites],
        "store": store.folder.name,
        "unresolved_hinted": dict(reasons),
    }
