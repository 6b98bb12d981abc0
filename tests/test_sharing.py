"""Activations to an address and back: bit by bit the same, whatever was there, was stopped, or was damaged."""

import json
import shutil
from pathlib import Path

import fsspec
import pytest
import torch
from conftest import LAYERS, Tiny, some_rows
from typer.testing import CliRunner

from activations import ActivationStore, HintprobeError, fill, residual_sites, row_hash
from activations.sharing import Remote, pull, push
from experiments.cli import app

SITES = residual_sites(LAYERS)
LENGTHS = (5, 17, 9)
N_SHARDS = 3


@pytest.fixture
def store(tiny: Tiny, tmp_path: Path) -> ActivationStore:
    loaded = tiny("llama")
    opened = ActivationStore(tmp_path / "store")
    for row in some_rows(loaded, LENGTHS):
        fill(loaded, opened.of(loaded), [row], [(1, 3)], SITES)
    return opened


@pytest.fixture
def part(store: ActivationStore) -> str:
    (name,) = store.parts()
    return name


def same(tiny: Tiny, one: ActivationStore, other: ActivationStore, part: str) -> bool:
    entries = [(row_hash(row), token) for row in some_rows(tiny("llama"), LENGTHS) for token in (1, 3)]
    return all(torch.equal(one.named(part).read(s, entries), other.named(part).read(s, entries)) for s in SITES)


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_there_and_back_is_the_same_and_the_second_time_sends_nothing(tiny, store, part, tmp_path: Path, kind: str):
    address = str(tmp_path / "away") if kind == "folder" else f"memory://{tmp_path.name}/away"
    (sent,) = push(store, address)
    assert (sent.part, sent.sent, sent.there) == (part, N_SHARDS, 0)
    assert sent.n_bytes == sum(path.stat().st_size for path in store.named(part).paths())
    assert push(store, address, [part])[0].sent == 0
    fresh = ActivationStore(tmp_path / "fresh")
    assert pull(fresh, address)[0].sent == N_SHARDS
    assert same(tiny, store, fresh, part)
    assert fresh.of(tiny("llama")).folder.name == part, "a capture with the model finds them"
    assert (pull(fresh, address)[0].sent, pull(fresh, address)[0].there) == (0, N_SHARDS)


def test_a_stopped_transfer_goes_on_where_it_was(tiny, store, part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    address, fresh = str(tmp_path / "away"), ActivationStore(tmp_path / "fresh")
    local = type(fsspec.filesystem("file"))
    for name, act in (("put_file", lambda: push(store, address)), ("get_file", lambda: pull(fresh, address))):
        real, calls = getattr(local, name), []

        def failing(self, *arguments, real=real, calls=calls, **options):
            calls.append(arguments)
            if len(calls) == 2:
                raise ConnectionResetError("the line is dead")
            return real(self, *arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(local, name, failing)
            with pytest.raises(
                HintprobeError, match=r"stopped: the line is dead .*run the same command again to resume"
            ):
                act()
        (done,) = act()
        assert (done.sent, done.there) == (N_SHARDS - 1, 1)
    assert same(tiny, store, fresh, part)
    assert list((fresh.path / part).glob(".*.tmp")) == []


def test_half_a_shard_is_refused_by_a_pull_and_made_whole_by_a_push(tiny, store, part, tmp_path: Path):
    address, fresh = tmp_path / "away", ActivationStore(tmp_path / "fresh")
    push(store, str(address))
    first, second, _ = sorted((address / part).glob("*.h5"))
    first.write_bytes(first.read_bytes()[:-200])
    data = bytearray(second.read_bytes())
    data[-100] ^= 1
    for path, content in ((first, first.read_bytes()), (second, bytes(data))):
        whole = (store.path / part / path.name).read_bytes()
        path.write_bytes(content)
        with pytest.raises(HintprobeError, match=rf"{path.name} .* is damaged, or still being sent"):
            pull(fresh, str(address))
        assert not (fresh.path / part / path.name).exists()
        path.write_bytes(whole)
    first.write_bytes(first.read_bytes()[:-200])
    assert push(store, str(address))[0].sent == 1
    pull(fresh, str(address))
    assert same(tiny, store, fresh, part)


def test_a_damaged_shard_is_not_sent(store, part, tmp_path: Path):
    path = store.named(part).paths()[0]
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(HintprobeError, match=path.name):
        push(store, str(tmp_path / "away"))
    assert not (tmp_path / "away" / part / path.name).exists()


def test_what_is_not_what_its_name_says_is_not_taken(store, part, tmp_path: Path):
    address, fresh = tmp_path / "away", ActivationStore(tmp_path / "fresh")
    push(store, str(address))
    other = address / ("0" * 16)
    shutil.copytree(address / part, other)
    with pytest.raises(HintprobeError, match="is another than its name says"):
        pull(fresh, str(address), [other.name])
    assert not (fresh.path / other.name).exists()
    (other / "identity.json").write_text("[]")
    with pytest.raises(HintprobeError, match="is not an identity file of a part"):
        pull(fresh, str(address), [other.name])
    first = next((address / part).glob("*.h5"))
    shutil.copy(first, address / part / f"{'1' * 32}.h5")
    (address / part / "evil.py").write_text("x")
    with pytest.raises(HintprobeError, match=rf"{'1' * 32}\.h5 .* is damaged"):
        pull(fresh, str(address), [part])
    assert not (fresh.path / part / "evil.py").exists()


def test_addresses_that_lead_nowhere_are_told(store, tmp_path: Path):
    with pytest.raises(HintprobeError, match="cannot be used"):
        Remote.at("nosuchprotocol://x/y")
    with pytest.raises(HintprobeError, match=r"has no part at all"):
        pull(store, str(tmp_path / "nothing"))
    with pytest.raises(HintprobeError, match=r"has no part unknown"):
        push(store, str(tmp_path / "away"), ["unknown"])


def test_the_commands(store, part, tmp_path: Path):
    away, fresh = tmp_path / "away", tmp_path / "fresh"
    for command, folder in (("push", store.path), ("pull", fresh)):
        done = CliRunner().invoke(app, ["cache", command, str(away), "--store", str(folder), "--json"])
        assert done.exit_code == 0, done.output
        (told,) = json.loads(done.stdout)["parts"]
        assert (told["part"], told["sent"]) == (part, N_SHARDS)
    assert ActivationStore(fresh).parts() == [part]
