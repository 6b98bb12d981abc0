"""Stage 3: one clean forward over each hinted and unhinted rollout; the residual stream goes to the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from activations import (
    ActivationStore,
    Site,
    residual_sites,
    row_hash,
)
from activations.entries import Entries
from activations.errors import HintprobeError
from activations.model_store import read_note
from activations.shard import VERSION
from experiments.config import CaptureConfig
from experiments.prompts.positions import locate
from experiments.records import PositionRow, Rollout
from experiments.records.accounts import CaptureAccount
from experiments.records.stages import positions_table
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.parts import Work
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
            f"`capture.layers` names {', '.join(map(str, beyond))}, but this model has {n_layers} blocks: 0 to "
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

    def work(folder: Path) -> Work:
        from experiments.stages.work.capture import Capture

        return Capture(run, folder)

    return split(
        run,
        CaptureAccount,
        depends,
        work,
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


def captured_rollouts(run: ModelRun) -> list[Rollout]:
    """The rollouts whose activations are kept."""
    return [r for r in run.records.rollouts.values() if r.condition in CAPTURED]


@dataclass(frozen=True)
class Placed:
    """A rollout with the token index of each of its positions.

    Attributes:
        row: as the stage keeps it.
        ids: token ids of prompt and completion; the store knows the row by them.
        indices: per position of the configuration, its token; None where it is not resolved.
    """

    row: PositionRow
    ids: tuple[int, ...]
    indices: list[int | None]


def place(run: ModelRun, rollout: Rollout) -> Placed:
    """Where the positions of a rollout are. Loads no weights."""
    names = run.config.capture.positions
    found, missing = locate(run.tokenizer, run.records.items[rollout.item_id], rollout, names)
    ids = rollout.prompt_ids + rollout.completion_ids
    row = PositionRow(rollout_id=rollout.id, row_hash=row_hash(ids).hex(), tokens=found, unresolved=missing)
    return Placed(row, ids, [found.get(name) for name in names])


def request(placed: Sequence[Placed]) -> tuple[list[tuple[int, ...]], list[list[int | None]]]:
    """Token ids and positions of the rows that have any position."""
    kept = [one for one in placed if one.row.tokens]
    return [one.ids for one in kept], [one.indices for one in kept]


STAGE = Stage(CaptureAccount, "capture", ("generate",), lambda run, _: run_capture(run), parts=True)
