"""What a store does when something is broken or absent: it says so, names it, and loses nothing."""

import shutil
from pathlib import Path

import h5py
import pytest
import torch
from conftest import LAYERS, Tiny, some_rows

from activations import (
    ActivationStore,
    HintprobeError,
    LoadedModel,
    ModelStore,
    fill,
    residual_sites,
    row_hash,
)

SITES = residual_sites(LAYERS)
POSITIONS = [(4, 0), (16,)]


@pytest.fixture
def loaded(tiny: Tiny) -> LoadedModel:
    return tiny("llama")


@pytest.fixture
def rows(loaded: LoadedModel) -> list[tuple[int, ...]]:
    return some_rows(loaded, (5, 17))


@pytest.fixture
def store(loaded: LoadedModel, tmp_path: Path) -> ModelStore:
    return ActivationStore(tmp_path / "store").of(loaded)


def test_leftovers_of_a_killed_writer_are_ignored(loaded, store, rows):
    (store.folder / ".0123abcd.tmp").write_bytes(b"half a shard")
    fill(loaded, store, rows, POSITIONS, SITES)
    again = ModelStore(store.folder)
    again.refresh()
    assert again.verify() == 1
    entries = [(row_hash(rows[0]), 4)]
    assert torch.equal(again.read(SITES[1], entries), store.read(SITES[1], entries))


def test_a_damaged_shard_is_named_and_kept_and_can_be_replaced(loaded, store, rows):
    fill(loaded, store, rows, POSITIONS, SITES)
    (path,) = store.folder.glob("*.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HintprobeError, match=path.name):
        store.read(SITES[0], [(row_hash(rows[0]), 4)])
    with pytest.raises(HintprobeError, match=path.name):
        store.verify()
    with pytest.raises(HintprobeError, match=path.name):
        ModelStore(store.folder).refresh()
    assert path.exists()
    path.rename(path.with_suffix(".moved"))
    assert fill(loaded, ModelStore(store.folder), rows, POSITIONS, SITES).forward_rows == 2


def test_a_silent_change_of_values_is_found_by_verify(loaded, store, rows):
    fill(loaded, store, rows, POSITIONS, SITES)
    assert store.verify() == 1
    (path,) = store.folder.glob("*.h5")
    with h5py.File(path, "r+") as file:
        file["sites/resid_post.2"][0, 0] += 1e-3
    with pytest.raises(HintprobeError, match=rf"{path.name}.*checksum of site resid_post\.2"):
        store.verify()


def test_asking_for_what_is_not_there_is_refused(loaded, store, rows):
    fill(loaded, store, rows, POSITIONS, SITES[:2])
    here, elsewhere = (row_hash(rows[0]), 4), (row_hash(rows[0]), 3)
    assert store.read(SITES[0], [here]).shape == (1, 64)
    for site, entry in ((SITES[0], elsewhere), (SITES[3], here), (SITES[0], (row_hash((1,)), 4))):
        with pytest.raises(HintprobeError, match=rf"1 of 1 positions of {site} are not in the store"):
            store.read(site, [entry])
    with pytest.raises(HintprobeError, match="1 of 2 positions"):
        store.read(SITES[0], [here, elsewhere])
    with pytest.raises(HintprobeError, match="were asked for"):
        store.read(SITES[0], [])


def test_a_part_that_is_not_there_is_refused(loaded, store):
    root = ActivationStore(store.folder.parent)
    assert root.named(store.folder.name).folder == store.folder
    with pytest.raises(HintprobeError, match="no part 'other'"):
        root.named("other")


def test_a_place_that_cannot_be_written_is_told_in_words(loaded, tmp_path: Path):
    """Below a file: nobody can make a folder there, not even root."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HintprobeError, match=r"cannot be written: Not a directory.*`cache:`"):
        ActivationStore(tmp_path / "file" / "store").of(loaded)


def test_a_folder_that_vanishes_is_told_in_words(loaded, store, rows):
    (store.folder / "identity.json").unlink()
    shutil.rmtree(store.folder)
    with pytest.raises(HintprobeError, match=r"could not be written to .*Activations written before are safe"):
        fill(loaded, store, rows, POSITIONS, SITES)
