"""Damaged shards: every flipped byte and every cut is told by name, or changes nothing that is read."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from activations import HintprobeError, ModelStore, Site
from activations.entries import Entries
from activations.maintenance import repair
from activations.store import ActivationStore
from experiments.cli import app

SITES = [Site(layer, component) for layer in range(6) for component in ("resid_post", "mlp_out")]
PART, ROWS, TOKENS, WIDTH = "part", 40, 3, 700


@pytest.fixture
def entries() -> list[tuple[bytes, int]]:
    rng = np.random.default_rng(0)
    return [(row, token) for row in (rng.bytes(32) for _ in range(ROWS)) for token in range(TOKENS)]


@pytest.fixture
def expected(entries) -> dict[Site, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {site: torch.randn(len(entries), WIDTH, generator=generator).to(torch.bfloat16) for site in SITES}


@pytest.fixture
def shard(entries, expected, tmp_path: Path) -> Path:
    folder = tmp_path / "store" / PART
    folder.mkdir(parents=True)
    note = {"format": "hintprobe-activations", "version": 2, "name": "m", "dtype": "bfloat16"}
    (folder / "identity.json").write_text(json.dumps(note))
    return ModelStore(folder).write(Entries.of(entries), dict(expected))


def damage(whole: bytes, rng: np.random.Generator, head: int) -> bytes:
    """One to four flipped bytes, a run of garbage, or a cut; half of the flips in HDF5's own structures."""
    kind = rng.choice(["flip", "flip", "flip", "garbage", "cut"])
    if kind == "cut":
        return whole[: int(rng.integers(len(whole)))]
    data = bytearray(whole)
    end = head if rng.random() < 0.5 else len(whole)
    if kind == "garbage":
        at = int(rng.integers(end))
        data[at : at + 64] = rng.bytes(len(data[at : at + 64]))
    else:
        for at in rng.integers(0, end, rng.integers(1, 5)):
            data[at] ^= int(rng.integers(1, 256))
    return bytes(data)


def structures_end(shard: Path) -> int:
    """HDF5's own structures lie before the first values, and the index after the last."""
    with h5py.File(shard) as file:
        return min(data.id.get_offset() for data in file["sites"].values())


def look(folder: Path, entries, expected, which: np.ndarray) -> bool:
    """Read whole sites and scattered rows; False if the shard was named as damaged, True if all is right."""
    try:
        store = ModelStore(folder)
        store.refresh()
        for k, site in enumerate(SITES):
            rows = store.rows(site, entries)
            found = rows[which] if k % 2 else rows[:]
            wanted = expected[site][which] if k % 2 else expected[site]
            assert torch.equal(found.view(torch.int16), wanted.view(torch.int16)), "wrong numbers"
    except HintprobeError as error:
        if ".h5" not in str(error):
            raise
        return False
    return True


def test_hundreds_of_damaged_shards_never_give_a_wrong_number(shard, entries, expected):
    rng = np.random.default_rng(0)
    whole, folder, head = shard.read_bytes(), shard.parent, structures_end(shard)
    noticed = 0
    for _ in range(300):
        bad = damage(whole, rng, head)
        shard.write_bytes(bad)
        noticed += not look(folder, entries, expected, rng.permutation(len(entries))[:50])
    assert 210 < noticed < 300, "some bytes are nobody's"


def test_the_command_line_names_the_damaged_shard_and_repairs(shard, entries, expected):
    rng = np.random.default_rng(1)
    whole, store, head = shard.read_bytes(), shard.parent.parent, structures_end(shard)
    runner, named = CliRunner(), 0
    for _ in range(24):
        shard.write_bytes(damage(whole, rng, head))
        done = runner.invoke(app, ["cache", "verify", str(store), "--json"])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        damaged = json.loads(done.stdout)["damaged"]
        assert done.exit_code == (2 if damaged else 0)
        for command in ("ls", "compact"):
            shown = runner.invoke(app, ["cache", command, str(store)])
            assert shown.exception is None or isinstance(shown.exception, SystemExit | HintprobeError)
        named += bool(damaged)
        if damaged:
            assert list(damaged) == [str(shard)]
            assert shard.name in damaged[str(shard)]
            assert "Traceback" not in done.output
            (moved,) = json.loads(runner.invoke(app, ["cache", "repair", str(store), "--json"]).stdout)["moved"]
            assert Path(moved["to"]).exists()
            assert not shard.exists()
            assert runner.invoke(app, ["cache", "verify", str(store)]).exit_code == 0
    assert named > 15


def test_an_undamaged_shard_is_read_and_left_alone(shard, entries, expected):
    assert look(shard.parent, entries, expected, np.arange(7))
    assert repair(ActivationStore(shard.parent.parent), PART) == []
    assert shard.exists()
