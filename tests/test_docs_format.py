"""The documents say what is on disk and in a config, field by field, and a reader made from them alone works."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import pytest
import torch
import yaml
from conftest import LAYERS, Tiny, TinyFolder, some_rows
from pydantic import BaseModel, Field, PositiveFloat

import experiments.records
from activations import ActivationStore, HintprobeError, Site, capture_batch, fill, residual_sites
from activations.shard import DTYPES, FORMAT, INDEX, SITE_TABLE, VERSION
from experiments.config import Config
from experiments.pipeline import write_summary
from experiments.records import Record
from experiments.records.accounts import DirectionsAccount
from experiments.records.summary import SUMMARY_VERSION, Summary
from experiments.run.model_run import RECORDS_VERSION, ModelRun
from experiments.schema import DOCS, PAGES, RECORDS, config_sections, filled, record_table, tables_of, type_name

FORMAT_PAGE = (DOCS / "format.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_are_those_of_the_models(page: str):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == filled(text, tables_of(page)), "run `python -m experiments.schema`"


@pytest.mark.parametrize("page", PAGES)
def test_a_field_that_is_added_renamed_or_retyped_would_be_noticed(page: str):
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, table in tables_of(page).items():
        changed = table.replace("|", "||", 1) if "`" not in table else table.replace("`", "`x", 1)
        assert filled(text, {**tables_of(page), name: changed}) != text, name


def test_every_record_is_documented():
    records = {v for v in vars(experiments.records).values() if isinstance(v, type) and issubclass(v, Record)}
    assert records - {Record} <= set(RECORDS)
    for record in RECORDS:
        assert all(field.description for field in record.model_fields.values()), record


def test_every_key_of_the_config_is_documented():
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for name in Config.model_fields:
        if name not in config_sections():
            assert f"| `{name}` |" in text
    for section, model in config_sections().items():
        for name, field in model.model_fields.items():
            assert f"| `{section}.{name}` |" in text
            assert field.description, name


def test_a_page_that_lacks_a_table_or_asks_for_another_is_refused():
    block = "<!-- fields:A -->\n<!-- end -->\n"
    assert filled(f"x\n{block}y", {"A": "t\n"}) == "x\n<!-- fields:A -->\nt\n<!-- end -->\ny"
    for text, tables in ((block, {}), ("", {"A": ""}), (block * 2, {"A": ""}), (block, {"B": ""})):
        with pytest.raises(HintprobeError, match="disagree about the tables"):
            filled(text, tables)


def test_types_are_told_in_the_words_of_json():
    class Example(BaseModel):
        a: tuple[int, ...] = Field(description="x | y", min_length=1)
        b: float | None = Field(0.5, description="share", ge=0, le=1)

    assert record_table(Example).splitlines()[2:] == [
        "| `a` | array of integer, at least 1 | x \\| y |",
        "| `b` | number or null, ≥ 0, ≤ 1 | share |",
    ]
    with pytest.raises(HintprobeError, match="no word for the type"):
        type_name(bytes)


def test_the_versions_are_those_of_the_code():
    rows = dict(re.findall(r"^\| (records|summary|activation shards) .* \| (\d+) \|$", FORMAT_PAGE, re.MULTILINE))
    expected = {"records": RECORDS_VERSION, "summary": SUMMARY_VERSION, "activation shards": VERSION}
    assert {name: int(version) for name, version in rows.items()} == expected
    assert FORMAT in FORMAT_PAGE
    assert all(f"`{dtype}`" in FORMAT_PAGE for dtype in DTYPES)


def documented_keys(heading: str) -> set[str]:
    """First column of the tables of a section."""
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", FORMAT_PAGE, re.DOTALL | re.MULTILINE)[1]
    return {
        key for cell in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for key in re.findall(r"`([^`]+)`", cell)
    }


def test_markers_and_summaries_hold_the_keys_that_are_documented(tiny_folder: TinyFolder, tmp_path: Path):
    config = Config(name="r", models=(str(tiny_folder("llama")),), cache=tmp_path)
    run = ModelRun(config, config.models[0])
    result = run.stage(DirectionsAccount, (), lambda folder: DirectionsAccount(tested=3, dropped={}), uses_model=False)
    done = json.loads((result.folder / "done.json").read_text())
    assert set(done) == documented_keys("Stages")
    assert done["signature"][:8] == result.folder.name.removeprefix("directions-")
    assert result.folder.parent == tmp_path / "runs" / "r" / f"model-{run.fingerprint[:8]}"
    summary = write_summary(config, [run])
    written = json.loads((config.run_dir / "summary.json").read_text())
    assert set(written) - {"checksum"} == set(Summary.model_fields)
    assert summary.models[0].stages["directions"].account == DirectionsAccount(tested=3, dropped={})


def test_the_example_of_a_config_is_one():
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert Config.model_validate(yaml.safe_load(example)).name == "demo"


@pytest.fixture(scope="module")
def reader() -> dict[str, object]:
    """The reader as the document prints it; it may import nothing of ours."""
    (code,) = re.findall(r"```python\n(.*?)```", FORMAT_PAGE, re.DOTALL)
    assert set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)) == {
        "hashlib", "struct", "pathlib", "h5py", "numpy", "xxhash",
    }  # fmt: skip
    assert len([line for line in code.splitlines() if line.strip()]) <= 45
    namespace: dict[str, object] = {}
    exec(compile(code, "docs/format.md", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_documents_reader_reads_what_the_store_wrote(tiny: Tiny, tmp_path: Path, reader, dtype: str):
    loaded = tiny("qwen3", dtype=dtype)
    store = ActivationStore(tmp_path).of(loaded)
    rows, positions, sites = some_rows(loaded, (6, 9)), [(5, 1), (0, 8)], residual_sites(LAYERS)
    for k in range(2):
        fill(loaded, store, rows[k : k + 1], positions[k : k + 1], sites)
    for row, wanted in zip(rows, positions, strict=True):
        expected = capture_batch(loaded, [row], [wanted], sites)
        for site in sites:
            for slot, token in enumerate(wanted):
                found = reader["read"](store.folder, str(site), row, token)
                assert found.dtype == np.float32
                assert torch.equal(torch.from_numpy(found), expected[site][0, slot].float())
    assert reader["read"](store.folder, "resid_post.0", rows[0], 2) is None
    assert reader["read"](store.folder, "resid_post.9", rows[0], 5) is None
    assert reader["read"](store.folder, "resid_post.0", rows[0][:-1], 1) is None


def test_the_documents_checksums_notice_damage(tiny: Tiny, tmp_path: Path, reader):
    loaded = tiny("llama")
    store = ActivationStore(tmp_path).of(loaded)
    (row,) = some_rows(loaded, (6,))
    fill(loaded, store, [row], [(3,)], [Site(0, "resid_post")])
    (path,) = store.folder.glob("*.h5")
    corner = (0, 0)
    damage = {"sites/resid_post.0": corner, "index/token": 0, "index/row": corner, "index/checksum": corner}
    for part, index in damage.items():
        with h5py.File(path, "r+") as file:
            before = file[part][index]
            file[part][index] = before + 1 if before < 200 else before - 1
        with pytest.raises(ValueError, match="damaged"):
            reader["read"](store.folder, "resid_post.0", row, 3)
        with h5py.File(path, "r+") as file:
            file[part][index] = before
    assert reader["read"](store.folder, "resid_post.0", row, 3) is not None


def test_the_folders_name_is_made_as_the_document_says(tiny: Tiny, tmp_path: Path):
    folder = ActivationStore(tmp_path).of(tiny("llama")).folder
    note = json.loads((folder / "identity.json").read_text())
    keys = sorted(set(note) - {"format", "name", "version"})
    pairs = ", ".join([*(f'"{key}": "{note[key]}"' for key in keys), '"version": 2'])
    assert folder.name == hashlib.sha256(f"{{{pairs}}}".encode("ascii")).hexdigest()[:16]
    documented = re.search(r"### Identity.*?### Rows", FORMAT_PAGE, re.DOTALL)[0]
    assert all(f"`{key}`" in documented for key in note)


def test_shards_hold_exactly_what_the_document_lists(tiny: Tiny, tmp_path: Path):
    loaded = tiny("llama")
    store = ActivationStore(tmp_path).of(loaded)
    (row,) = some_rows(loaded, (6,))
    fill(loaded, store, [row], [(3, 4)], [Site(0, "resid_post")])
    (path,) = store.folder.glob("*.h5")
    with h5py.File(path) as file:
        assert set(file.attrs) == {"format", "version", "content_sha256"}
        assert set(file) == {"index", "sites"}
        assert all(f"`index/{name}`" in FORMAT_PAGE for name in file["index"])
        assert set(file["index"]) == set(INDEX)
        index = {name: (data.shape, data.dtype) for name, data in file["index"].items()}
        assert index["row"] == ((1, 32), np.uint8)
        assert index["row_of"] == ((2,), np.uint32)
        assert index["token"] == ((2,), np.int32)
        assert index["site"] == ((1,), SITE_TABLE)
        assert index["checksum"] == ((1, 16), np.uint8)
        values = file["sites/resid_post.0"]
        assert not values.attrs
        assert values.chunks is None
        assert values.compression is None
        assert path.name == file.attrs["content_sha256"].decode()[:32] + ".h5"


def test_limits_of_elements_are_those_that_they_have():
    assert type_name(tuple[Annotated[float, Field(ge=0, le=1)], ...]) == "array of number ≥ 0, ≤ 1"
    assert type_name(tuple[PositiveFloat, ...]) == "array of number > 0"
