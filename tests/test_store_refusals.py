"""What a store refuses before it starts, in words; what cannot be written can still be read."""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from conftest import LAYERS, Tiny, some_rows

from activations import (
    ActivationStore,
    HintprobeError,
    LoadedModel,
    Site,
    counting_forwards,
    fill,
    plan_capture,
    residual_sites,
    row_hash,
)
from activations.model_store import ModelStore, size_text
from activations.planner import site_width

SITES = [*residual_sites(LAYERS), Site(1, "head_z"), Site(2, "mlp_out")]
POSITIONS = [(4, 0), (16,)]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def loaded(tiny: Tiny) -> LoadedModel:
    return tiny("qwen3")


@pytest.fixture
def rows(loaded: LoadedModel) -> list[tuple[int, ...]]:
    return some_rows(loaded, (5, 17))


@pytest.fixture
def store(loaded: LoadedModel, tmp_path: Path) -> ModelStore:
    return ActivationStore(tmp_path / "store").of(loaded)


def test_the_estimate_is_what_is_then_written(loaded, store, rows):
    plan = plan_capture(loaded, store, rows, POSITIONS, SITES)
    account = fill(loaded, store, rows, POSITIONS, SITES, plan=plan)
    values = [store.read(site, [(row_hash(rows[0]), 4)]) for site in SITES]
    assert [value.shape[1] for value in values] == [site_width(loaded, site) for site in SITES]
    assert account.n_bytes == 3 * sum(value.nbytes for value in values)
    again = plan_capture(loaded, store, rows, POSITIONS, SITES).account
    assert (again.n_bytes, again.written, again.forward_rows) == (0, 0, 0)


def test_a_disk_that_is_too_small_is_refused_with_the_figures_before_any_forward(
    loaded, store, rows, monkeypatch: pytest.MonkeyPatch
):
    need = plan_capture(loaded, store, rows, POSITIONS, SITES).account.n_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, need - 1))
    with counting_forwards(loaded.model) as count:
        with pytest.raises(HintprobeError, match=rf"needs {size_text(need)} on disk.*has {size_text(need - 1)} free"):
            fill(loaded, store, rows, POSITIONS, SITES)
        assert count.calls == 0
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, need))
        fill(loaded, store, rows, POSITIONS, SITES)
        assert count.calls > 0


def test_sizes_are_told_in_words():
    assert size_text(1_230_000) == "1.2 MB"
    assert size_text(4_294_967_296) == "4.3 GB"


READ_ONLY = """
    import os, sys
    from pathlib import Path
    import torch
    from activations import HintprobeError, Site
    from activations.model_store import ModelStore

    os.setuid(65534)
    store, site, entry = ModelStore(Path(sys.argv[1])), Site(0, "resid_post"), (b"a" * 32, 0)
    store.refresh()
    print(float(store.read(site, [entry])[0, 0]), store.verify())
    for refused in (lambda: store.check_room(1), lambda: store.write([entry], {site: torch.ones(1, 3)})):
        try:
            refused()
        except HintprobeError as error:
            print(error)
"""


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="becomes another user, which only root can")
def test_a_read_only_store_is_read_and_not_written():
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as name:  # pytest closes its own folders to others whenever it starts
        Path(name).chmod(0o755)
        ModelStore(Path(name)).write([(b"a" * 32, 0)], {Site(0, "resid_post"): torch.full((1, 3), 7.0)})
        command = [sys.executable, "-c", textwrap.dedent(READ_ONLY), name]
        done = subprocess.run(command, check=False, timeout=120, cwd=root, capture_output=True, text=True)
    if "ModuleNotFoundError" in done.stderr or "No module named" in done.stderr:
        pytest.skip("another user cannot read this environment")
    read, *refused = done.stdout.splitlines() or [""]
    assert read == "7.0 1", done.stderr
    assert len(refused) == 2
    assert all("could not be written to" in line and "Activations written before are safe" in line for line in refused)


def test_a_store_of_another_version_is_left_alone(loaded, store, rows):
    note = store.folder / "identity.json"
    text = note.read_text()
    for version, words in ((3, "Upgrade hintprobe"), (1, "Capture again: an older store is left as it is")):
        note.write_text(text.replace('"version": 2', f'"version": {version}'))
        with pytest.raises(HintprobeError, match=rf"has version {version} of the activation format.*{words}"):
            ActivationStore(store.folder.parent).of(loaded)
    note.write_text(text)
    assert fill(loaded, ActivationStore(store.folder.parent).of(loaded), rows, POSITIONS, SITES).written == 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "x"}', "{}"])
def test_a_damaged_note_is_named(loaded, store, text: str):
    (store.folder / "identity.json").write_text(text)
    with pytest.raises(
        HintprobeError, match=r"identity\.json does not say whose activations this folder holds.*untouched"
    ):
        ActivationStore(store.folder.parent).of(loaded)
