"""Make sure that a store holds what is asked for: plan what is missing, refuse what does not fit, compute the rest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from activations.backends import Backend
from activations.batching import Ids
from activations.capturing import capture
from activations.components import COMPONENTS
from activations.entries import Entries, hashes, row_hash
from activations.model_store import ModelStore
from activations.models import LoadedModel
from activations.pending import CapturedRow, ShardWriter
from activations.sites import Site

WantedPositions = Sequence[Sequence[int | None]]
"""Per row, a token index for each named position, always in the same order; None where the row has none."""


@dataclass
class CaptureAccount:
    """What a request cost.

    Attributes:
        requested: token positions asked for, each once per row.
        reused: of these, found in the store.
        written: of these, computed.
        forward_rows: rows that went through the model.
        n_bytes: bytes of activations written.
    """

    requested: int = 0
    reused: int = 0
    written: int = 0
    forward_rows: int = 0
    n_bytes: int = 0


@dataclass(frozen=True)
class CapturePlan:
    """What is missing, in groups of rows that lack the same sites, and what it will take on disk.

    Attributes:
        n_rows, n_positions, n_bytes: distinct rows and token positions of the whole request, and the bytes of their
            activations, found or missing.
    """

    account: CaptureAccount
    groups: dict[tuple[Site, ...], list[CapturedRow]]
    n_rows: int
    n_positions: int
    n_bytes: int


@dataclass(frozen=True)
class _Request:
    """Distinct entries of a request in the order of its rows."""

    entries: Entries
    first_row: list[int]
    place: Int[np.ndarray, "entry"]


def _request(rows: Sequence[Ids], positions: WantedPositions) -> _Request:
    number: dict[bytes, int] = {}
    first_row: list[int] = []
    seen: dict[tuple[int, int], int] = {}
    for i, (ids, wanted) in enumerate(zip(rows, positions, strict=True)):
        row = number.setdefault(row_hash(ids), len(number))
        if row == len(first_row):
            first_row.append(i)
        for place, token in enumerate(wanted):
            if token is not None:
                seen.setdefault((row, token), place)
    pairs = np.array(list(seen), dtype=np.int64).reshape(-1, 2)
    entries = Entries(hashes(list(number)), pairs[:, 0].astype("<u4"), pairs[:, 1].astype("<i4"))
    return _Request(entries, first_row, np.fromiter(seen.values(), np.int64, len(seen)))


def _absent(store: ModelStore, entries: Entries, sites: Sequence[Site]) -> Bool[np.ndarray, "site entry"]:
    """Which entries are not there, per site; sites in the same shards are looked up once."""
    known: dict[tuple[int, ...], Bool[np.ndarray, entry]] = {}
    for site in sites:
        lots = store.index.lots_of(str(site))
        if lots not in known:
            known[lots] = ~store.index.locate(str(site), entries).found
    return np.array([known[store.index.lots_of(str(site))] for site in sites]).reshape(len(sites), len(entries))


def plan_capture(
    loaded: LoadedModel, store: ModelStore, rows: Sequence[Ids], positions: WantedPositions, sites: Sequence[Site]
) -> CapturePlan:
    """What of a request is missing, for a model at hand; otherwise as :func:`plan_missing`."""
    itemsize = loaded.model.dtype.itemsize
    return plan_missing(store, rows, positions, {site: site_width(loaded, site) * itemsize for site in sites})


def plan_missing(
    store: ModelStore, rows: Sequence[Ids], positions: WantedPositions, site_bytes: Mapping[Site, int]
) -> CapturePlan:
    """What of a request is missing.

    Args:
        store: a part of a store; one whose folder is not there holds nothing.
        rows: token ids of each row; rows that repeat are captured once.
        site_bytes: the wanted sites, and the bytes of one activation of each.

    Raises:
        HintprobeError: a shard is damaged.
    """
    sites = list(site_bytes)
    store.refresh()
    request = _request(rows, positions)
    entries = request.entries
    absent = _absent(store, entries, sites)
    lacking = np.zeros((len(sites), len(entries.rows)), dtype=bool)
    for k in range(len(sites)):
        lacking[k, entries.row_of[absent[k]]] = True
    todo = np.flatnonzero(absent.any(0))
    found: dict[int, CapturedRow] = {}
    for entry in todo.tolist():
        row = int(entries.row_of[entry])
        if row not in found:
            order = request.first_row[row]
            found[row] = CapturedRow(order, entries.rows[row].tobytes(), rows[order])
        found[row].tokens.append(int(entries.token[entry]))
        found[row].places.append(int(request.place[entry]))
    groups: dict[tuple[Site, ...], list[CapturedRow]] = {}
    for number in sorted(found):
        wanted = tuple(sorted(site for site, lacks in zip(sites, lacking[:, number], strict=True) if lacks))
        groups.setdefault(wanted, []).append(found[number])
    requested = sum(len(set(wanted) - {None}) for wanted in positions)
    account = CaptureAccount(
        requested=requested,
        reused=requested - len(todo),
        written=len(todo),
        forward_rows=len(found),
        n_bytes=sum(
            sum(site_bytes[site] for site in lacked) * sum(len(row.tokens) for row in group)
            for lacked, group in groups.items()
        ),
    )
    return CapturePlan(account, groups, len(entries.rows), len(entries), len(entries) * sum(site_bytes.values()))


def site_width(loaded: LoadedModel, site: Site) -> int:
    """Numbers in one activation of a site, told from the configuration alone."""
    return COMPONENTS[site.component].width(loaded.model.config.get_text_config())


def fill(
    loaded: LoadedModel,
    store: ModelStore,
    rows: Sequence[Ids],
    positions: WantedPositions,
    sites: Sequence[Site],
    token_budget: int = 32_768,
    on_rows: Callable[[int], None] | None = None,
    plan: CapturePlan | None = None,
    backend: Backend | None = None,
) -> CaptureAccount:
    """Make sure that the store holds these positions of these sites, computing only what is missing.

    Rows that repeat are captured once. A shard is written whenever enough is together, while the next batches are
    computed; a run that is killed loses at most the two that were not finished.

    Args:
        positions: per row its token indices; the k-th of all rows lie together in a shard and are read fastest.
        on_rows: called with the number of rows done; first with those that were there.
        plan: what :func:`plan_capture` found for the same request, where that was asked for before.
        backend: what runs the model; ``store`` must be the part of ``backend.loaded``.

    Raises:
        HintprobeError: a position outside its row, activations that are not finite, a disk that is too small or
            cannot be written, a damaged shard.
    """
    plan = plan or plan_capture(loaded, store, rows, positions, sites)
    if plan.account.n_bytes:
        store.check_room(plan.account.n_bytes)
    if on_rows:
        on_rows(len(rows) - plan.account.forward_rows)
    if plan.groups:
        with ShardWriter(store) as writer:
            for sites_lacking, group in plan.groups.items():
                ids, tokens = [row.ids for row in group], [row.tokens for row in group]
                for indices, captured in capture(loaded, ids, tokens, sites_lacking, token_budget, backend):
                    writer.add([group[i] for i in indices], captured)
                    if on_rows:
                        on_rows(len(indices))
                writer.flush()  # other sites make another shard
        store.refresh()
    return plan.account
