"""Hidden states from a vLLM server: the right numbers at the right places, and no others."""

from pathlib import Path

import pytest
import torch
from conftest import Tiny, some_rows
from fake_vllm import fake_vllm

from activations import (
    ActivationStore,
    HintprobeError,
    LoadedModel,
    Site,
    capture_batch,
    check_model,
    fill,
    open_backend,
)
from activations.backends.vllm_files import server_arguments
from activations.batching import pad_right

SITES = [Site(0, "resid_pre"), Site(0, "resid_post"), Site(2, "resid_pre"), Site(3, "resid_post")]
POSITIONS = [(4, 0), (16, 2), (8,)]


@pytest.fixture
def loaded(tiny: Tiny) -> LoadedModel:
    return tiny("llama")


@pytest.fixture
def rows(loaded: LoadedModel) -> list[tuple[int, ...]]:
    return some_rows(loaded, (5, 17, 9))


def test_it_reads_what_native_reads_and_leaves_no_file(loaded, rows, tmp_path: Path):
    expected = capture_batch(loaded, rows, POSITIONS, SITES)
    with fake_vllm(loaded, tmp_path / "shm") as (url, seen):
        backend = open_backend("vllm", loaded, base_url=url)
        found = capture_batch(loaded, rows, POSITIONS, SITES, backend=backend)
        right = pad_right(rows, loaded.tokenizer.pad_token_id, loaded.device)
        again = backend.read(right, torch.tensor([[4, 0], [16, 2], [8, 8]]), SITES)
    for site in SITES:
        assert torch.allclose(found[site], expected[site], atol=1e-3)
        assert torch.allclose(again[site], expected[site], atol=1e-3)
        assert not torch.allclose(found[site], expected[site].flip(0), atol=1e-2), "the comparison can fail"
    assert {tuple(body["prompt"]) for body in seen} == set(rows)
    assert {body["max_tokens"] for body in seen} == {1}
    assert list((tmp_path / "shm").iterdir()) == []


def test_the_store_keeps_its_numbers_under_an_identity_of_their_own(loaded, rows, tmp_path: Path):
    store = ActivationStore(tmp_path / "store")
    with fake_vllm(loaded, tmp_path / "shm") as (url, seen):
        backend = open_backend("vllm", loaded, base_url=url)
        part = store.of(backend.loaded)
        account = fill(loaded, part, rows, [(4, 0), (16, 2), (8, None)], SITES, backend=backend)
        assert account.forward_rows == 3
        again = fill(loaded, part, rows, [(4, 0), (16, 2), (8, None)], SITES, backend=backend)
        assert (again.forward_rows, len(seen)) == (0, 3)
        assert backend.loaded.identity["vllm"] == "0.22.0"
    with fake_vllm(loaded, tmp_path / "shm", version="0.23.0") as (url, _):
        other = open_backend("vllm", loaded, base_url=url)
        assert len({part.folder, store.of(loaded).folder, store.of(other.loaded).folder}) == 3


def test_check_passes_and_sees_states_of_the_wrong_layer(loaded, tmp_path: Path):
    with fake_vllm(loaded, tmp_path / "shm") as (url, _):
        report = check_model(loaded, open_backend("vllm", loaded, base_url=url))
    assert report.passed, report.failed
    assert "every site equals the native backend's" in [finding.name for finding in report.findings]

    def late(tensors):
        return tensors | {"hidden_states": tensors["hidden_states"].roll(1, dims=1).contiguous()}

    with fake_vllm(loaded, tmp_path / "shm", late) as (url, _):
        report = check_model(loaded, open_backend("vllm", loaded, base_url=url))
    assert {"every site equals the native backend's", "the residual stream equals transformers' hidden states"} <= set(
        report.failed
    )


def shorter(tensors):
    return tensors | {"hidden_states": tensors["hidden_states"][3:].contiguous()}


def other_ids(tensors):
    return tensors | {"token_ids": tensors["token_ids"] + 1}


def fewer_layers(tensors):
    return tensors | {"hidden_states": tensors["hidden_states"][:, 1:].contiguous()}


def zeros(tensors):
    tensors["hidden_states"][1] = 0
    return tensors


def half(tensors):
    return tensors | {"hidden_states": tensors["hidden_states"].half()}


def nothing(tensors):
    return {"states": tensors["hidden_states"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shorter, r"its states have the shape \[2, 5, 64\] for 5 tokens.*no-enable-prefix-caching"),
        (other_ids, r"its token ids \(5\) are not the 5 that were sent"),
        (fewer_layers, r"all layer ids from 0 to 4 in eagle_aux_hidden_state_layer_ids"),
        (zeros, "the states of some tokens are all zero"),
        (half, r"gives torch.float16, and the model is loaded in torch.float32"),
        (nothing, r"it holds \['states'\]"),
    ],
)
def test_files_that_are_not_what_was_asked_for_are_refused(loaded, rows, tmp_path: Path, change, words: str):
    with (
        fake_vllm(loaded, tmp_path / "shm", change) as (url, _),
        pytest.raises(HintprobeError, match=words),
    ):
        capture_batch(loaded, rows[:1], [(0,)], SITES, backend=open_backend("vllm", loaded, base_url=url))


def test_what_it_cannot_do_and_where_it_is_not_is_said(loaded, rows, tmp_path: Path):
    with pytest.raises(HintprobeError, match="needs the address of a server"):
        open_backend("vllm", loaded)
    with pytest.raises(HintprobeError, match="does not answer"):
        open_backend("vllm", loaded, base_url="http://127.0.0.1:9/v1")
    with fake_vllm(loaded, tmp_path / "shm") as (url, _):
        backend = open_backend("vllm", loaded, base_url=url)
        with pytest.raises(HintprobeError, match="head_z"):
            capture_batch(loaded, rows, POSITIONS, [Site(0, "head_z")], backend=backend)
        batch = pad_right(rows, 0, loaded.device)
        with pytest.raises(HintprobeError, match="does not edit"):
            backend.logits(batch)
        wrong = open_backend("vllm", loaded, base_url=url, served_model="another")
        with pytest.raises(HintprobeError, match=r"status 404: .*The model `another` does not exist"):
            capture_batch(loaded, rows, POSITIONS, SITES, backend=wrong)


def test_the_servers_arguments_name_every_layer():
    words = server_arguments(36, Path("/dev/shm/states"))
    assert f"{list(range(37))}" in words[1]
    assert {"--no-enable-prefix-caching", "--no-enable-chunked-prefill"} <= set(words)
