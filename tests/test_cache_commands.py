"""Looking after a store: what is shown is there, what is merged is the same, what is deleted was named."""

import gc
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import LAYERS, Tiny, some_rows
from typer.testing import CliRunner

from activations import ActivationStore, HintprobeError, ModelStore, fill, residual_sites, row_hash
from activations.compact import compact
from activations.entries import Entries
from activations.maintenance import remove, repair, summarise
from activations.users import unfinished_name
from experiments.cli import app

SITES = residual_sites(LAYERS)
LENGTHS = (5, 17, 9, 12, 7, 11)
POSITIONS = [(4, 0), (16, 2), (8, 3), (11, 5), (6, 1), (10, None)]


def run(*arguments: object) -> dict:
    done = CliRunner().invoke(app, ["cache", *map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def store(tiny: Tiny, tmp_path: Path) -> ActivationStore:
    """A store of one model in six shards, two of them with one site alone."""
    loaded, opened = tiny("llama", dtype="bfloat16"), ActivationStore(tmp_path / "store")
    rows = some_rows(loaded, LENGTHS)
    for k in range(4):
        fill(loaded, opened.of(loaded), rows[k : k + 1], POSITIONS[k : k + 1], SITES)
    for k in range(4, 6):
        fill(loaded, opened.of(loaded), rows[k : k + 1], POSITIONS[k : k + 1], SITES[:1])
    return opened


@pytest.fixture
def part(store: ActivationStore) -> ModelStore:
    return store.named(store.parts()[0])


@pytest.fixture
def entries(tiny: Tiny) -> list[tuple[bytes, int]]:
    rows = some_rows(tiny("llama"), LENGTHS)
    return [(row_hash(r), p) for r, wanted in zip(rows, POSITIONS, strict=True) for p in wanted if p is not None]


def test_ls_counts_what_is_there(store, part):
    (part.folder / unfinished_name()).write_bytes(b"")
    (shown,) = run("ls", store.path)["parts"]
    assert shown["part"] == part.folder.name
    assert shown["identity"]["dtype"] == "bfloat16"
    assert (shown["shards"], shown["rows"], shown["entries"]) == (6, 6, 11)
    assert shown["sites"] == [str(site) for site in SITES]
    assert shown["n_bytes"] == sum(path.stat().st_size for path in part.paths())
    assert (shown["unfinished"], shown["aside"], shown["unreadable"]) == (1, 0, None)


def test_compaction_changes_no_bit_and_leaves_one_shard_for_each_set_of_sites(store, part, entries):
    before = {site: part.read(site, entries[:8]) for site in SITES}
    first = part.read(SITES[0], entries)
    reader = store.named(part.folder.name)
    reader.rows(SITES[0], entries)
    (done,) = run("compact", store.path)["parts"].values()
    assert done == {"before": 6, "after": 2}
    for again in (reader, store.named(part.folder.name)):
        assert torch.equal(again.read(SITES[0], entries), first), "an open reader finds the merged shards by itself"
        assert all(torch.equal(again.read(site, entries[:8]), before[site]) for site in SITES)
    assert part.verify() == 2
    assert run("compact", store.path)["parts"].popitem()[1] == {"before": 2, "after": 2}


def test_compaction_keeps_one_position_of_all_rows_together(store, part, entries):
    compact(part)
    firsts = [entry for entry in entries[:8] if entry in entries[:8:2]]
    where = part.index.locate(str(SITES[1]), Entries.of(firsts))
    assert len(set(where.shard.tolist())) == 1
    assert sorted(where.slot.tolist()) == list(range(4))


def test_compaction_keeps_to_the_size_asked_for_and_leaves_large_shards(part):
    size = 2 * 64 * 2 * len(SITES)
    assert compact(part, target_bytes=2 * size).after == 2 + 1, "four in pairs, and the two with one site"
    names = {path.name for path in part.paths()}
    compact(part, target_bytes=2 * size)
    assert {path.name for path in part.paths()} == names


def test_a_compaction_that_is_killed_leaves_no_gap_and_can_be_repeated(part, entries, monkeypatch: pytest.MonkeyPatch):
    before = part.read(SITES[0], entries)

    def killed(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(part)
    assert torch.equal(ModelStore(part.folder).read(SITES[0], entries), before)
    assert compact(part).after == 2
    assert torch.equal(part.read(SITES[0], entries), before)


def test_compaction_of_a_damaged_store_touches_nothing(part):
    path = part.paths()[0]
    with h5py.File(path, "r+") as file:
        site = next(iter(file["sites"].values()))
        site[0, 0] ^= 1
    names = part.paths()
    with pytest.raises(HintprobeError, match=path.name):
        compact(ModelStore(part.folder))
    assert set(names) <= set(part.paths())


def test_repair_leaves_living_writers_and_moves_what_dead_ones_left(store, part):
    mine = part.folder / unfinished_name()
    dead = part.folder / f".{socket.gethostname()}.{2**22 + 1}.{'0' * 32}.tmp"
    other, old = (part.folder / f".elsewhere.7.{k * 32}.tmp" for k in "12")
    for path in (mine, dead, other, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    moved = run("repair", store.path)["moved"]
    assert {Path(move["path"]) for move in moved} == {dead, old}
    assert mine.exists()
    assert other.exists()
    assert all(Path(move["to"]).read_bytes() == b"half" for move in moved)
    assert len(part.paths()) == 6
    assert run("repair", store.path)["moved"] == []


def test_repair_leaves_a_shard_of_a_newer_version_where_it_is(store, part):
    path = part.paths()[0]
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 3
    assert repair(store, part.folder.name) == []
    assert path.exists()
    assert "version 3" in summarise(store, part.folder.name).unreadable


def test_gc_deletes_what_was_asked_for_and_only_with_yes(tiny: Tiny, store, part):
    path = part.paths()[0]
    path.write_bytes(path.read_bytes()[:-100])
    run("repair", store.path)
    loaded = tiny("qwen3")
    other = store.of(loaded)
    fill(loaded, other, some_rows(loaded, (5,)), [(1,)], SITES)
    (listed,) = run("gc", store.path, "--aside")["paths"]
    assert Path(listed).exists()
    run("gc", store.path, "--aside", "--yes")
    assert not Path(listed).exists()
    assert len(part.paths()) == 5
    run("gc", store.path, "--part", other.folder.name, "--yes")
    assert store.parts() == [part.folder.name]
    assert not other.folder.exists()
    for arguments, words in (([], "No files were chosen"), (["--part", "nothing"], "has no part 'nothing'")):
        done = CliRunner().invoke(app, ["cache", "gc", str(store.path), *arguments])
        assert isinstance(done.exception, HintprobeError)
        assert words in str(done.exception)


def test_gc_removes_nothing_outside_the_store(store, part, tmp_path: Path):
    outside = tmp_path / "outside"
    elsewhere, theirs = outside / "part", outside / "files"
    shutil.copytree(part.folder, elsewhere)
    (elsewhere / "aside").mkdir()
    theirs.mkdir()
    dead = f".{socket.gethostname()}.{2**22 + 1}.{'0' * 32}.tmp"
    for path in (elsewhere / "aside" / "x.h5", elsewhere / dead, theirs / "mine.txt"):
        path.write_text("kept")
    (store.path / "linked").symlink_to(elsewhere)
    (part.folder / "aside").symlink_to(theirs)
    before = sorted(path for path in outside.rglob("*"))
    removed = run("gc", store.path, "--aside", "--unfinished", "--yes")["paths"]
    assert removed == [str(part.folder / "aside")], "the link itself, and nothing of the linked part"
    run("gc", store.path, "--part", "linked", "--yes")
    assert store.parts() == [part.folder.name]
    assert not (store.path / "linked").is_symlink()
    (part.folder / "aside").mkdir()
    (part.folder / "aside" / "file").symlink_to(theirs / "mine.txt")
    (part.folder / "aside" / "folder").symlink_to(theirs)
    run("gc", store.path, "--aside", "--yes")
    assert list((part.folder / "aside").iterdir()) == []
    assert sorted(path for path in outside.rglob("*")) == before
    with pytest.raises(HintprobeError, match="does not lie inside the store"):
        remove(store, [theirs / "mine.txt"])
    assert (theirs / "mine.txt").read_text() == "kept"


def test_gc_refuses_a_part_that_another_process_uses_until_it_ends(store, part):
    command = (
        "import sys; from activations import ActivationStore\n"
        "store = ActivationStore(sys.argv[1]).named(sys.argv[2])\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", command, str(store.path), part.folder.name]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        done = CliRunner().invoke(app, ["cache", "gc", str(store.path), "--part", part.folder.name, "--yes"])
        assert f"in use by process {process.pid} on" in str(done.exception)
        assert len(part.paths()) == 6
        process.kill()
    killed = f".{process.pid}."
    assert [path for path in part.folder.glob(".*.use") if killed in path.name], "a killed process leaves its mark"
    run("gc", store.path, "--unfinished", "--yes")
    assert not [path for path in part.folder.glob(".*.use") if killed in path.name]
    run("gc", store.path, "--part", part.folder.name, "--yes")
    assert store.parts() == []


def test_a_mark_ends_with_what_it_was_made_for(store, part):
    def marks() -> int:
        return len(list(part.folder.glob(".*.use")))

    gc.collect()
    before = marks()
    opened = store.named(part.folder.name)
    assert marks() == before + 1
    del opened
    gc.collect()
    assert marks() == before


def test_a_place_without_a_store_is_refused(tmp_path: Path):
    for command in ("ls", "verify", "repair", "compact"):
        done = CliRunner().invoke(app, ["cache", command, str(tmp_path / "nothing")])
        assert "There is no store at" in str(done.exception)


def test_export_to_safetensors_is_bit_exact(store, part, entries, tmp_path: Path):
    from safetensors import safe_open

    compact(part)
    files = run("export", part.folder.name, tmp_path / "out", "--store", store.path)["files"]
    assert len(files) == 2
    seen = 0
    for name in files:
        with safe_open(tmp_path / "out" / name, "pt") as file:
            assert file.metadata()["dtype"] == "bfloat16"
            pairs = zip(file.get_tensor("row").numpy(), file.get_tensor("token").tolist(), strict=True)
            keys = [(row.tobytes(), token) for row, token in pairs]
            for site in SITES:
                if str(site) in set(file.keys()):
                    seen += len(keys)
                    assert torch.equal(file.get_tensor(str(site)), part.read(site, keys))
    assert seen == 8 * len(SITES) + 3


def test_export_to_parquet_is_read_by_datasets(store, part, entries, tmp_path: Path):
    datasets = pytest.importorskip("datasets", reason="the datasets extra is not installed")
    run("export", part.folder.name, tmp_path / "out", "--store", store.path, "--format", "parquet")
    files = sorted(map(str, (tmp_path / "out").glob("*.parquet")))
    table = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path / "hf")).with_format("numpy")
    assert table.column_names == ["row", "token", *map(str, SITES)]
    keys = [(bytes.fromhex(row), int(token)) for row, token in zip(table["row"], table["token"], strict=True)]
    assert sorted(keys) == sorted(entries)
    assert np.array_equal(np.stack(table[str(SITES[0])][:]), part.read(SITES[0], keys).float().numpy())
    lacking = [value is None for value in table.with_format(None)[str(SITES[1])][:]]
    assert [key in entries[8:] for key in keys] == lacking, "null where the site was not captured"


def test_export_refuses_what_is_not_there_and_what_is_there(store, part, tmp_path: Path):
    (tmp_path / "out").mkdir()
    for arguments, words in (
        ((part.folder.name, tmp_path / "out"), "it is there already"),
        ((part.folder.name, tmp_path / "new", "--site", "resid_post.77"), "has no activations of resid_post.77"),
        (("nothing", tmp_path / "new"), "has no part 'nothing'"),
    ):
        command = ["cache", "export", *map(str, arguments), "--store", str(store.path)]
        assert words in str(CliRunner().invoke(app, command).exception)
