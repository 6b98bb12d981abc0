"""Activations by row id and position name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import LAYERS, Tiny, some_rows

from activations import ActivationStore, ActivationView, HintprobeError, ModelStore, Site, capture_batch, residual_sites
from activations.entries import Entries

LENGTHS = (5, 17, 9, 12)
PLACES = {"first": [0, 1, 2, 3], "last": [4, 16, None, 11]}
IDS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def loaded(tiny: Tiny):
    return tiny("llama")


@pytest.fixture(scope="module")
def view(loaded, tmp_path_factory: pytest.TempPathFactory) -> ActivationView:
    store = ActivationStore(tmp_path_factory.mktemp("store"))
    return store.capture(loaded, some_rows(loaded, LENGTHS), PLACES, row_ids=IDS)


@pytest.fixture(scope="module")
def half(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> ActivationView:
    """In bfloat16, which numpy lacks."""
    loaded = tiny("llama", dtype="bfloat16")
    store = ActivationStore(tmp_path_factory.mktemp("store"))
    return store.capture(loaded, some_rows(loaded, LENGTHS), PLACES, row_ids=IDS)


def expected(loaded, site: Site, name: str, ids: str = "abcd") -> torch.Tensor:
    rows = some_rows(loaded, LENGTHS)
    return torch.stack(
        [capture_batch(loaded, [rows[i]], [[PLACES[name][i]]], [site])[site][0, 0] for i in map("abcd".index, ids)]
    ).float()


def test_reading_is_by_name_and_aligned_with_the_ids(loaded, view):
    for site in residual_sites(LAYERS):
        torch.testing.assert_close(
            view.read(site, "first").float(), expected(loaded, site, "first"), rtol=0.05, atol=0.1
        )
        assert torch.equal(view.read(str(site), "first"), view.read(site, "first"))
    assert not torch.equal(view.read("resid_post.1", "first"), view.read("resid_post.2", "first"))


def test_rows_that_lack_a_position_are_refused_and_can_be_left_out_by_name(loaded, view):
    with pytest.raises(HintprobeError, match=r"1 of 4 rows have no position 'last'.*resolved\('last'\)"):
        view.read("resid_post.1", "last")
    some = view.resolved("last")
    assert some.row_ids == ("a", "b", "d")
    site = Site(1, "resid_post")
    torch.testing.assert_close(
        some.read(site, "last").float(), expected(loaded, site, "last", "abd"), rtol=0.05, atol=0.1
    )
    assert torch.equal(some.read(site, "first"), view.read(site, "first")[[0, 1, 3]])


def test_numpy_pandas_and_xarray_hold_the_same(half):
    view = half
    assert view.read("resid_post.2", "first").dtype == torch.bfloat16
    values = view.read("resid_post.2", "first").float().numpy()
    assert np.array_equal(view.numpy("resid_post.2", "first"), values)
    frame = view.to_frame("resid_post.2", "first")
    assert list(frame.index) == list(IDS)
    assert np.array_equal(frame.to_numpy(), values)
    pytest.importorskip("xarray", reason="the xarray extra is not installed")
    array = view.resolved("last").to_xarray(["resid_post.2", "resid_post.3"])
    assert array.dims == ("site", "position", "row", "feature")
    assert list(array.coords["row"].values) == ["a", "b", "d"]
    assert np.array_equal(array.sel(site="resid_post.2", position="first", row="d").values, values[3])


def test_rows_are_read_a_few_at_a_time(half):
    view = half
    rows = view.rows("resid_post.2", "first")
    whole = view.read("resid_post.2", "first")
    assert rows.shape == tuple(whole.shape)
    assert rows.dtype == torch.bfloat16
    for which in ([2, 0, 2], slice(1, 3), torch.tensor([True, False, True, False]), torch.tensor([3]), [-1], []):
        assert torch.equal(rows[which], whole[which]), which
    assert torch.equal(rows[3], whole[3])
    assert np.array_equal(np.asarray(rows), whole.float().numpy())
    for outside in ([4], [-5], 4):
        with pytest.raises(IndexError):
            rows[outside]


def test_the_mapped_rows_share_memory_and_never_change_the_file(loaded, view):
    (path,) = view.store.paths()
    before = path.read_bytes()
    mapped = view.rows("resid_post.2", "first").mapped()
    assert torch.equal(mapped, view.read("resid_post.2", "first"))
    mapped.zero_()
    assert path.read_bytes() == before
    assert not view.store.only([]).shards()


def test_random_rows_over_many_shards_are_the_right_ones(tmp_path: Path):
    """The gathering view spans the mappings of all of them."""
    rng, store, site = np.random.default_rng(0), ModelStore(tmp_path), Site(0, "resid_post")
    entries, values = [], []
    for n in (50, 1, 400, 30):
        entries.append([(rng.bytes(32), int(token)) for token in rng.integers(0, 100, n)])
        values.append(torch.from_numpy(rng.normal(size=(n, 333)).astype(np.float32)))
        store.write(entries[-1], {site: values[-1]})
    flat, whole = [pair for part in entries for pair in part], torch.cat(values)
    order = rng.permutation(len(flat))
    rows = store.rows(site, [flat[i] for i in order])
    assert torch.equal(rows[:], whole[order])
    for _ in range(20):
        pick = rng.integers(0, len(flat), 64)
        assert torch.equal(rows[pick], whole[order][pick])


def test_every_lookup_finds_its_own_among_rows_that_share_their_first_bytes(tmp_path: Path):
    """The index sorts by eight bytes and compares thirty-two."""
    store, site = ModelStore(tmp_path), Site(0, "resid_post")
    entries = [(b"same8byt" + bytes([k]) * 24, token) for k in (3, 1, 2) for token in (5, 2**31 - 1, 0)]
    for k in range(0, 9, 3):
        store.write(entries[k : k + 3], {site: torch.arange(k, k + 3.0)[:, None]})
    assert store.read(site, entries)[:, 0].tolist() == list(range(9))
    absent = [(b"same8byt" + bytes([9]) * 24, 5), (entries[0][0], 6), (bytes(32), 0), (b"\xff" * 32, 0)]
    assert not store.index.locate(str(site), Entries.of(absent)).found.any()


def test_a_view_that_does_not_fit_is_refused(loaded, view):
    rows = some_rows(loaded, LENGTHS)
    for arguments, words in (
        ((rows, {"last": [1]}), "last 1"),
        ((rows, PLACES, ["a", "a", "b", "c"]), "3 distinct ids"),
        ((rows, PLACES, ["a"]), "row_ids 1"),
    ):
        with pytest.raises(HintprobeError, match=words):
            ActivationView.of(view.store, *arguments)
    with pytest.raises(HintprobeError, match=r"no position 'middle' in this view. Known: first, last"):
        view.read("resid_post.1", "middle")
    with pytest.raises(HintprobeError, match="are not in the store"):
        view.read("resid_pre.3", "first")
    with pytest.raises(HintprobeError, match="is not a site"):
        view.read("nonsense", "first")
