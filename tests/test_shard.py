"""A shard gives back what was put in, or says that it cannot."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from activations import HintprobeError, Site
from activations.checksums import BLOCK_BYTES
from activations.entries import Entries, Entry
from activations.model_store import ModelStore
from activations.shard import VERSION, from_numpy, read_index, write_shard
from activations.shard_values import Shard, verify_shard

SITES = (Site(0, "resid_pre"), Site(0, "resid_post"), Site(11, "resid_post"))


def entries_of(n: int, seed: int = 0) -> list[Entry]:
    rng = np.random.default_rng(seed)
    return [(rng.bytes(32), int(token)) for token in rng.integers(0, 2**31 - 1, n)]


def written(folder: Path, dtype: torch.dtype = torch.float32, n: int = 7, seed: int = 0):
    entries = entries_of(n, seed)
    generator = torch.Generator().manual_seed(seed)
    values = {site: torch.randn(n, 16, generator=generator).to(dtype) for site in SITES}
    return write(folder, entries, values), entries, values


def write(folder: Path, entries: list[Entry], values: dict[Site, torch.Tensor]) -> Path:
    return write_shard(folder, Entries.of(entries), sorted(values.items(), key=lambda pair: str(pair[0])))


def read_site(path: Path, site: Site) -> torch.Tensor:
    values = Shard(path).site(str(site))
    return from_numpy(values.run(0, len(values.values)).copy(), values.tag)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_round_trip_is_bit_exact(tmp_path: Path, dtype: torch.dtype):
    path, entries, values = written(tmp_path, dtype)
    index = read_index(path)
    assert index.entries.pairs() == entries
    assert set(index.sites) == set(map(str, SITES))
    for site in SITES:
        found = read_site(path, site)
        assert found.dtype == dtype
        assert torch.equal(found.view(torch.uint8), values[site].view(torch.uint8))
    verify_shard(path)


def test_every_bfloat16_there_is_survives(tmp_path: Path):
    """Infinities, signed zeros, subnormals and every NaN payload: a cast would lose some."""
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(64, 1024)
    path = write(tmp_path, entries_of(64), {SITES[0]: bits.view(torch.bfloat16)})
    assert torch.equal(read_site(path, SITES[0]).view(torch.uint16), bits)


def test_a_view_is_written_as_it_looks(tmp_path: Path):
    base = torch.arange(12.0).view(3, 4)
    path = write(tmp_path, entries_of(4), {SITES[0]: base.T})
    assert torch.equal(read_site(path, SITES[0]), base.T)


def test_the_name_is_the_content(tmp_path: Path):
    first, *_ = written(tmp_path)
    again, *_ = written(tmp_path)
    other, *_ = written(tmp_path, seed=1)
    assert first == again != other
    assert sorted(tmp_path.iterdir()) == sorted([first, other]), "and nothing temporary is left"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("activations.shard.os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Only the order can be seen without pulling a plug."""
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr("activations.shard.os.fsync", lambda fd: (order.append("fsync"), fsync(fd)))
    monkeypatch.setattr("activations.shard.os.replace", lambda a, b: (order.append("rename"), replace(a, b)))
    written(tmp_path)
    assert order == ["fsync", "rename", "fsync"], "the file, its name, the folder's entry"


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_shard_is_named(tmp_path: Path, kept: float):
    path, *_ = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    for look in (read_index, verify_shard, lambda p: read_site(p, SITES[0])):
        with pytest.raises(HintprobeError, match=f"{path.name} is damaged.*Nothing was deleted.*Move it aside"):
            look(path)
    assert path.exists()


def complaint_of(path: Path) -> str | None:
    try:
        verify_shard(path)
    except HintprobeError as error:
        return str(error)
    return None


def test_no_flipped_byte_goes_unnoticed(tmp_path: Path):
    """Wherever it falls: verify names the shard, or what is read has not changed."""
    path, entries, values = written(tmp_path, torch.bfloat16)
    whole = path.read_bytes()
    noticed = 0
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        complaint = complaint_of(path)
        if complaint is not None:
            assert path.name in complaint, at
            noticed += 1
            continue
        assert read_index(path).entries.pairs() == entries, at
        assert set(read_index(path).sites) == set(map(str, SITES)), at
        for site in SITES:
            assert torch.equal(read_site(path, site).view(torch.uint16), values[site].view(torch.uint16)), at
    payload = sum(v.nbytes for v in values.values()) + len(entries) * 36
    assert noticed >= payload // 7


@pytest.mark.parametrize("part", ["row", "row_of", "token", "site", "checksum", "values"])
def test_each_part_is_under_a_checksum(tmp_path: Path, part: str):
    path, *_ = written(tmp_path, torch.bfloat16)
    verify_shard(path)
    with h5py.File(path, "r+") as file:
        name = "sites/resid_post.11" if part == "values" else f"index/{part}"
        data = file[name][...]
        data.view(np.uint8).reshape(-1)[-1] ^= 1
        file[name][...] = data
    with pytest.raises(HintprobeError, match=f"{path.name} is damaged"):
        verify_shard(path)
    with pytest.raises(HintprobeError, match=f"{path.name} is damaged"):
        read_site(path, SITES[2])


def test_only_the_blocks_that_are_read_are_hashed(tmp_path: Path):
    """A damaged block concerns its own rows and no others."""
    entries, n = entries_of(64), 4 * BLOCK_BYTES // 64 // 4
    path = write(tmp_path, entries, {SITES[0]: torch.randn(64, n)})
    with h5py.File(path, "r+") as file:
        file[f"sites/{SITES[0]}"][40, 5] += 1
    shard = Shard(path).site(str(SITES[0]))
    shard.run(0, 32), shard.run(48, 64), shard.check_slots(np.array([1, 63, 33 - 2]))
    assert shard.pending.sum() == 1
    for look in (lambda: shard.run(40, 41), lambda: shard.check_slots(np.array([3, 40])), lambda: shard.run(0, 64)):
        with pytest.raises(
            HintprobeError, match=rf"{path.name} is damaged: the checksum of site resid_pre\.0.*block 2"
        ):
            look()


@pytest.mark.parametrize("width", [3, BLOCK_BYTES // 4, BLOCK_BYTES // 4 + 1, 3 * BLOCK_BYTES // 4 + 5])
def test_entries_narrower_and_wider_than_a_block_are_checked_whole(tmp_path: Path, width: int):
    path = write(tmp_path, entries_of(5), {SITES[0]: torch.randn(5, width)})
    whole = path.read_bytes()
    with h5py.File(path) as file:
        start = file[f"sites/{SITES[0]}"].id.get_offset()
    generator = np.random.default_rng(0)
    for slot in range(5):
        at = start + slot * width * 4 + int(generator.integers(width * 4))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        values = Shard(path).site(str(SITES[0]))
        with pytest.raises(HintprobeError, match="is damaged"):
            values.check_slots(np.array([slot]))
        with pytest.raises(HintprobeError, match="is damaged"):
            values.run(slot, slot + 1)


def test_a_shard_that_is_cut_or_replaced_while_it_is_open_is_noticed(tmp_path: Path):
    """Reading beyond the end of a mapping would end the process."""
    path, *_ = written(tmp_path)
    other, *_ = written(tmp_path, seed=1)
    shard = Shard(path)
    assert shard.site("resid_pre.0").run(0, 7).shape == (7, 16)
    os.truncate(path, 3000)
    with pytest.raises(HintprobeError, match=f"{path.name} is damaged"):
        shard.site("resid_pre.0")
    path.write_bytes(other.read_bytes())
    with pytest.raises(HintprobeError, match=f"{path.name} is damaged: another shard"):
        shard.site("resid_pre.0")


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["index/row"] = [1]
    with pytest.raises(HintprobeError, match="does not name the activation format"):
        read_index(path)


def test_a_newer_version_is_refused_in_clear_words(tmp_path: Path):
    path, *_ = written(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = VERSION + 1
    for look in (read_index, verify_shard, lambda p: read_site(p, SITES[0])):
        with pytest.raises(HintprobeError, match=f"version {VERSION + 1}.*reads version {VERSION}.*Upgrade") as caught:
            look(path)
        assert "damaged" not in str(caught.value)


def test_a_shard_that_is_gone_is_not_called_damaged(tmp_path: Path):
    with pytest.raises(HintprobeError, match="cannot be read: there is none") as caught:
        read_site(tmp_path / "x.h5", SITES[0])
    assert "damaged" not in str(caught.value)


LIMITED = """
    import resource, sys
    from pathlib import Path
    import torch
    from activations import HintprobeError, Site
    from activations.model_store import ModelStore

    store = ModelStore(Path(sys.argv[1]))
    store.write([(b"a" * 32, 0)], {Site(0, "resid_post"): torch.zeros(1, 100)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        store.write([(b"b" * 32, 0)], {Site(0, "resid_post"): torch.zeros(1, 100_000)})
    except HintprobeError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
def test_a_full_disk_is_told_in_words_and_loses_nothing(tmp_path: Path):
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), str(tmp_path)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, check=True, timeout=60, cwd=root, capture_output=True, text=True)
    assert "could not be written" in done.stdout
    assert "File too large. Activations" in done.stdout
    assert "Activations written before are safe" in done.stdout
    store = ModelStore(tmp_path)
    store.refresh()
    assert store.verify() == 1
    assert store.has(Site(0, "resid_post"), (b"a" * 32, 0))
    assert not store.has(Site(0, "resid_post"), (b"b" * 32, 0))
    assert len(list(tmp_path.iterdir())) == 1
