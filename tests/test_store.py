"""Nothing is computed twice, nothing is mixed up, and nothing is lost."""

import dataclasses
import hashlib
import json
import struct
from pathlib import Path

import h5py
import pytest
import torch
from conftest import LAYERS, Tiny, some_rows

from activations import (
    ActivationStore,
    LoadedModel,
    ModelStore,
    Site,
    capture_batch,
    counting_forwards,
    fill,
    residual_sites,
    row_hash,
)

SITES = residual_sites(LAYERS)
LENGTHS = (5, 17, 9, 12)
POSITIONS = [(4, 0), (16,), (0, 3, 8), (11, 5)]


@pytest.fixture
def loaded(tiny: Tiny) -> LoadedModel:
    return tiny("llama")


@pytest.fixture
def rows(loaded: LoadedModel) -> list[tuple[int, ...]]:
    return some_rows(loaded, LENGTHS)


@pytest.fixture
def store(loaded: LoadedModel, tmp_path: Path) -> ModelStore:
    return ActivationStore(tmp_path / "store").of(loaded)


def shards(store: ModelStore) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in store.folder.glob("*.h5")}


def counted(loaded: LoadedModel, store: ModelStore, rows, positions, sites=SITES, **kwargs):
    """What a fill reports, how many rows really went through the model, and which blocks ran."""
    blocks: list[int] = []
    handles = [
        block.mlp.register_forward_hook(lambda *_, k=k: blocks.append(k))
        for k, block in enumerate(loaded.model.model.layers)
    ]
    try:
        with counting_forwards(loaded.model) as count:
            account = fill(loaded, store, rows, positions, sites, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return account, count.rows, set(blocks)


def check_values(loaded: LoadedModel, store: ModelStore, rows, positions, sites=SITES) -> None:
    for row, wanted in zip(rows, positions, strict=True):
        expected = capture_batch(loaded, [row], [wanted], sites)
        for site in sites:
            found = store.read(site, [(row_hash(row), p) for p in wanted])
            torch.testing.assert_close(found, expected[site][0], rtol=1e-4, atol=1e-4)


def test_values_come_back_in_the_order_asked_for(loaded, store, rows):
    fill(loaded, store, rows, POSITIONS, SITES, token_budget=20)
    check_values(loaded, store, rows, POSITIONS)
    entries = [(row_hash(row), p) for row, wanted in zip(rows, POSITIONS, strict=True) for p in wanted]
    forward = store.read(SITES[2], entries)
    assert torch.equal(store.read(SITES[2], entries[::-1]), forward.flip(0))
    assert torch.equal(store.read(SITES[2], [entries[1]] * 3), forward[1].expand(3, -1))
    assert len({tuple(v.tolist()) for v in forward}) == len(entries), "no two entries are alike"
    assert not torch.equal(forward, store.read(SITES[3], entries))


def test_a_second_fill_writes_nothing_and_runs_nothing(loaded, store, rows):
    first, n_rows, _ = counted(loaded, store, rows, POSITIONS)
    assert (first.requested, first.reused, first.written, first.forward_rows, n_rows) == (8, 0, 8, 4, 4)
    before = shards(store)
    assert before
    for again in (store, ModelStore(store.folder)):
        second, n_rows, _ = counted(loaded, again, rows, POSITIONS)
        assert (second.requested, second.reused, second.written, second.forward_rows, n_rows) == (8, 8, 0, 0, 0)
    assert shards(store) == before


def test_more_rows_compute_only_the_new_ones(loaded, store, rows):
    fill(loaded, store, rows[:2], POSITIONS[:2], SITES)
    account, n_rows, _ = counted(loaded, store, rows, POSITIONS)
    assert (account.reused, account.written, n_rows) == (3, 5, 2)
    check_values(loaded, store, rows, POSITIONS)


def test_more_positions_compute_only_their_rows(loaded, store, rows):
    fill(loaded, store, rows, POSITIONS, SITES)
    wider = [(4, 0), (16, 2), (0, 3, 8), (11, 5)]
    before = set(shards(store))
    account, n_rows, _ = counted(loaded, store, rows, wider)
    assert (account.reused, account.written, n_rows) == (8, 1, 1)
    (new,) = set(shards(store)) - before
    with h5py.File(store.folder / new) as file:
        assert file["index/token"][...].tolist() == [2]
    check_values(loaded, store, rows, wider)


def test_more_sites_write_only_the_new_ones_and_go_no_deeper(loaded, store, rows):
    account, _, blocks = counted(loaded, store, rows, POSITIONS, [Site(3, "resid_post")])
    assert blocks == {0, 1, 2, 3}
    before = set(shards(store))
    wider = [Site(0, "resid_post"), Site(1, "resid_post"), Site(3, "resid_post")]
    account, n_rows, blocks = counted(loaded, store, rows, POSITIONS, wider)
    assert (account.written, n_rows, blocks) == (8, 4, {0, 1})
    (new,) = set(shards(store)) - before
    with h5py.File(store.folder / new) as file:
        assert sorted(file["sites"]) == ["resid_post.0", "resid_post.1"]
    check_values(loaded, store, rows, POSITIONS, wider)


def test_rows_that_lack_different_sites_are_kept_apart(loaded, store, rows):
    fill(loaded, store, rows[:2], POSITIONS[:2], [Site(3, "resid_post")])
    fill(loaded, store, rows, POSITIONS, [Site(0, "resid_post"), Site(3, "resid_post")])
    held = {}
    for path in store.folder.glob("*.h5"):
        with h5py.File(path) as file:
            held.setdefault(tuple(sorted(file["sites"])), []).append(len(file["index/token"]))
    assert held == {("resid_post.3",): [3], ("resid_post.0",): [3], ("resid_post.0", "resid_post.3"): [5]}


def test_rows_that_repeat_are_captured_once(loaded, store, rows):
    twice = [rows[0], rows[1], rows[0]]
    account, n_rows, _ = counted(loaded, store, twice, [(4, 4), (16,), (2, 4)])
    assert (account.requested, account.written, n_rows) == (4, 3, 2)
    check_values(loaded, store, twice, [(4,), (16,), (2, 4)])


def test_shards_are_closed_when_large_enough(loaded, store, rows, monkeypatch: pytest.MonkeyPatch):
    fill(loaded, store, rows[:1], POSITIONS[:1], SITES)
    monkeypatch.setattr("activations.pending.SHARD_BYTES", 1)
    fill(loaded, store, rows, POSITIONS, SITES, token_budget=1)
    assert len(shards(store)) == 1 + 3, "one per batch"
    check_values(loaded, store, rows, POSITIONS)


def test_a_stopped_fill_goes_on_where_it_was(loaded, store, rows, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("activations.pending.SHARD_BYTES", 1)
    done = []

    def stop(n: int) -> None:
        done.append(n)
        if sum(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(loaded, store, rows, POSITIONS, SITES, token_budget=1, on_rows=stop)
    _, n_rows, _ = counted(loaded, ModelStore(store.folder), rows, POSITIONS)
    assert n_rows == 2


def test_a_fill_that_was_stopped_and_finished_is_bit_identical_to_one_that_was_not(
    loaded, rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Batches change the rounding, so what is left must fall into the batches it would have been in."""
    monkeypatch.setattr("activations.pending.SHARD_BYTES", 1)
    many = some_rows(loaded, tuple(range(5, 40)))
    positions = [(0, len(row) - 1) for row in many]
    entries = [(row_hash(row), p) for row, wanted in zip(many, positions, strict=True) for p in wanted]

    def stop_after(n: int):
        left = [n]

        def tick(rows: int) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        return tick

    undisturbed = ActivationStore(tmp_path / "undisturbed").of(loaded)
    fill(loaded, undisturbed, many, positions, SITES, token_budget=100)
    for n in (1, 4, 9):
        store = ActivationStore(tmp_path / f"stopped{n}").of(loaded)
        with pytest.raises(KeyboardInterrupt):
            fill(loaded, store, many, positions, SITES, token_budget=100, on_rows=stop_after(n))
        assert 0 < fill(loaded, store, many, positions, SITES, token_budget=100).reused < len(entries)
        for site in SITES:
            assert torch.equal(store.read(site, entries), undisturbed.read(site, entries))


def test_progress_adds_up_to_the_rows_asked_for(loaded, store, rows):
    for positions in (POSITIONS[:1], POSITIONS, POSITIONS):
        done: list[int] = []
        fill(loaded, store, rows[: len(positions)], positions, SITES, token_budget=20, on_rows=done.append)
        assert sum(done) == len(positions)


def test_bfloat16_is_kept_bit_by_bit(tiny: Tiny, tmp_path: Path):
    half = tiny("llama", dtype="bfloat16")
    store = ActivationStore(tmp_path).of(half)
    rows = some_rows(half, (9,))
    fill(half, store, rows, [range(9)], SITES)
    expected = capture_batch(half, rows, [range(9)], SITES)
    for site in SITES:
        found = store.read(site, [(row_hash(rows[0]), p) for p in range(9)])
        assert found.dtype == torch.bfloat16
        assert torch.equal(found, expected[site][0])


def test_every_part_of_the_identity_gets_its_own_folder(tiny: Tiny, tmp_path: Path):
    root = ActivationStore(tmp_path)
    base = tiny("llama")
    others = [
        tiny("llama", seed=1),
        tiny("llama", dtype="bfloat16"),
        tiny("qwen3"),
        dataclasses.replace(base, tokenizer_hash="0" * 64),
    ]
    folders = [root.of(model).folder for model in (base, *others)]
    assert len(set(folders)) == 5
    assert root.of(dataclasses.replace(base, name="another name")).folder == folders[0]


def test_another_models_activations_are_never_found(tiny: Tiny, tmp_path: Path):
    """Both are called `model`."""
    one, two = tiny("llama"), tiny("llama", seed=1)
    rows = some_rows(one, LENGTHS)
    root = ActivationStore(tmp_path)
    fill(one, root.of(one), rows, POSITIONS, SITES)
    account, n_rows, _ = counted(two, root.of(two), rows, POSITIONS)
    assert (account.reused, n_rows) == (0, 4)
    entries = [(row_hash(rows[0]), 4)]
    assert not torch.equal(root.of(one).read(SITES[2], entries), root.of(two).read(SITES[2], entries))


def test_the_folder_says_whose_it_is(loaded, store):
    note = json.loads((store.folder / "identity.json").read_text())
    assert note == {"format": "hintprobe-activations", "version": 2, "name": "model", **loaded.identity}
    identity = json.dumps({**loaded.identity, "version": 2}, sort_keys=True)
    assert store.folder.name == hashlib.sha256(identity.encode()).hexdigest()[:16]


def test_a_row_is_known_by_its_token_ids():
    ids = (5, 70_000, 1)
    assert row_hash(ids) == hashlib.sha256(struct.pack("<3i", *ids)).digest()
    assert row_hash(ids) == row_hash(list(ids))
    assert len({row_hash(r) for r in ((5,), (5, 0), (0, 5), (), ids)}) == 5


def test_what_another_process_writes_meanwhile_is_found(loaded, rows, tmp_path: Path):
    root = ActivationStore(tmp_path)
    early = root.of(loaded)
    fill(loaded, root.of(loaded), rows[:2], POSITIONS[:2], SITES)
    entry = (row_hash(rows[0]), 4)
    assert not early.has(SITES[0], entry), "not before it looks"
    _, n_rows, _ = counted(loaded, early, rows, POSITIONS)
    assert n_rows == 2, "a fill looks first"
    late = root.of(loaded)
    assert late.has(SITES[0], entry)
    assert early.verify() == len(shards(early))


def test_the_kth_positions_of_all_rows_lie_together(loaded, store, rows):
    """Whatever the order of the batches, and where a row lacks one: that is what makes one position a single read."""
    positions = [(4, 0, 2), (16, 3, 5), (0, None, 8), (11, 5, 1)]
    fill(loaded, store, rows, positions, SITES, token_budget=20)
    (path,) = store.folder.glob("*.h5")
    with h5py.File(path) as file:
        hashes = [row.tobytes() for row in file["index/row"][...][file["index/row_of"][...]]]
        held = list(zip(hashes, file["index/token"][...].tolist(), strict=True))
    expected = [(row_hash(row), wanted[k]) for k in range(3) for row, wanted in zip(rows, positions, strict=True)]
    assert held == [pair for pair in expected if pair[1] is not None]
    check_values(loaded, store, rows, [(4, 2), (16, 5), (0, 8), (11, 1)])
    assert store.rows(SITES[2], held[:4]).mapped() is not None, "one run, no copy"


def test_two_writers_of_the_same_rows_do_no_harm(loaded, rows, tmp_path: Path):
    root = ActivationStore(tmp_path)
    stores = [root.of(loaded), root.of(loaded)]
    for k, store in enumerate(stores):
        values = {site: torch.full((1, 64), float(k)) for site in SITES[:1]}
        store.write([(row_hash(rows[0]), 4)], values)
        store.refresh()
    assert stores[0].verify() == 2
    value = root.of(loaded).read(SITES[0], [(row_hash(rows[0]), 4)])
    assert value.unique().numel() == 1, "one of the two, never a mixture"
