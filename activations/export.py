"""Activations for other programs: safetensors, and a folder of Parquet files that `datasets` reads."""

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from activations.entries import Entry
from activations.errors import HintprobeError
from activations.model_store import ModelStore, read_note
from activations.shard import from_numpy
from activations.shard_values import Shard

ExportFormat = Literal["safetensors", "parquet"]
Named = Sequence[tuple[Entry, Mapping[str, Any]]]
"""Lines to export: an entry, and what is told of it by column; every line has the same columns."""
NAMES = "names.csv"
"""What the entries of safetensors files are called, line by line."""
_GROUP_ROWS = 1024


@dataclass(frozen=True)
class _Lines:
    """What is exported of one shard.

    Attributes:
        entry: per line, which of the shard's entries.
        told: per line, further columns.
    """

    shard: Shard
    entry: Int[np.ndarray, "line"]
    told: Sequence[Mapping[str, Any]]

    def values(self, name: str) -> Tensor:
        """A site's values, line by line."""
        values = self.shard.site(name)
        return from_numpy(values.run(0, len(values.values)), values.tag)[torch.from_numpy(self.entry)]

    def example(self, name: str) -> Tensor:
        """One of them."""
        values = self.shard.site(name)
        return from_numpy(values.run(0, 1), values.tag)[0]


def export(
    store: ModelStore, out: Path, form: ExportFormat, sites: Sequence[str] = (), named: Named | None = None
) -> list[Path]:
    """Write a part of a store for other programs, one file per shard; every block is checked on the way.

    safetensors: ``row`` (uint8 ``[entry, 32]``, hash of the row), ``token`` (int32 ``[entry]``), and each site
    (``[entry, *feature]``, in the dtype it was captured in). Parquet: a line per entry with ``row`` (hexadecimal),
    ``token``, and each site as a flat list (bfloat16, which Parquet lacks, as float32; null where the shard lacks the
    site). Both carry the model's identity in their metadata. What stands in two shards stands in two files.

    Args:
        sites: names of the sites wanted; all if there are none.
        named: only these entries, each with further columns: in Parquet files beside the values, with safetensors in
            ``names.csv``, whose columns ``file`` and ``line`` say where the values are. An entry that is named twice
            stands in two lines.

    Returns:
        The files.

    Raises:
        HintprobeError: an unknown site, a damaged shard, none of the named entries, a folder that is there already or
            cannot be written, or a library that is not installed.
    """
    store.refresh()
    known = [str(site) for site in store.sites]
    unknown = sorted(set(sites) - set(known))
    if unknown or not known:
        raise HintprobeError(
            f"{store.folder} has no activations of {', '.join(unknown) or 'any site'}. It has: "
            f"{', '.join(known) or 'none'}."
        )
    wanted = [name for name in known if name in sites or not sites]
    identity = {key: str(value) for key, value in read_note(store.folder).items()}
    holding = [_lines(shard, named) for shard in store.shards() if set(shard.index.sites) & set(wanted)]
    holding = [lines for lines in holding if len(lines.entry)]
    if not holding:
        raise HintprobeError(f"{store.folder} holds none of the named activations. Capture them first.")
    write = _write_safetensors if form == "safetensors" else _parquet_writer(holding, wanted)
    try:
        out.mkdir(parents=True)
        paths = [write(out, one, [n for n in wanted if n in one.shard.index.sites], identity) for one in holding]
        return paths if named is None or form == "parquet" else [*paths, _write_names(out, paths, holding)]
    except OSError as error:
        reason = "it is there already" if isinstance(error, FileExistsError) else error.strerror or str(error)
        raise HintprobeError(
            f"The activations could not be exported to {out}: {reason}. Give a folder that does not exist yet, on a "
            "disk with room."
        ) from error


def _lines(shard: Shard, named: Named | None) -> _Lines:
    """The lines of one shard, in the order of its entries."""
    if named is None:
        return _Lines(shard, np.arange(len(shard.index.entries)), [{}] * len(shard.index.entries))
    told: dict[Entry, list[Mapping[str, Any]]] = defaultdict(list)
    for entry, columns in named:
        told[entry].append(columns)
    found = [(k, columns) for k, pair in enumerate(shard.index.entries.pairs()) for columns in told.get(pair, ())]
    return _Lines(shard, np.array([k for k, _ in found], dtype=np.int64), [columns for _, columns in found])


def _write_safetensors(out: Path, lines: _Lines, sites: Sequence[str], identity: dict[str, str]) -> Path:
    from safetensors.torch import save_file

    path = out / f"{lines.shard.path.stem}.safetensors"
    entries = lines.shard.index.entries
    tensors = {
        "row": torch.from_numpy(entries.rows[entries.row_of[lines.entry]]),
        "token": torch.from_numpy(entries.token[lines.entry].astype(np.int32)),
        **{name: lines.values(name).contiguous() for name in sites},
    }
    save_file(tensors, path, metadata=identity)
    return path


def _write_names(out: Path, paths: Sequence[Path], holding: Sequence[_Lines]) -> Path:
    path = out / NAMES
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "line", *holding[0].told[0]])
        writer.writeheader()
        for written, lines in zip(paths, holding, strict=True):
            writer.writerows({"file": written.name, "line": k, **told} for k, told in enumerate(lines.told))
    return path


def _parquet_writer(holding: Sequence[_Lines], wanted: Sequence[str]) -> Callable[..., Path]:
    """All files share one schema, so that `datasets` takes them as one table."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise HintprobeError("Export to Parquet needs pyarrow: pip install 'hintprobe[datasets]'.") from error

    columns = list(holding[0].told[0])
    told = pa.Table.from_pylist([{name: line[name] for name in columns} for one in holding for line in one.told])
    fields = {"row": pa.string(), "token": pa.int32(), **{name: told.schema.field(name).type for name in columns}}
    for one in holding:
        for name in set(wanted) & set(one.shard.index.sites):
            like = _numpy(one.example(name))
            fields[name] = pa.list_(pa.from_numpy_dtype(like.dtype), like.size)
    schema = pa.schema([(name, fields[name]) for name in ("row", "token", *columns, *wanted)])

    def write(out: Path, lines: _Lines, sites: Sequence[str], identity: dict[str, str]) -> Path:
        path = out / f"{lines.shard.path.stem}.parquet"
        entries = lines.shard.index.entries
        hexadecimal = np.array([row.tobytes().hex() for row in entries.rows])[entries.row_of[lines.entry]]
        token = entries.token[lines.entry]
        values = {name: _numpy(lines.values(name)) for name in sites}
        with parquet.ParquetWriter(path, schema.with_metadata(identity)) as file:
            for first in range(0, len(token), _GROUP_ROWS):
                rows = slice(first, first + _GROUP_ROWS)
                table: dict[str, Any] = {"row": hexadecimal[rows], "token": token[rows]}
                for name in columns:
                    table[name] = pa.array([line[name] for line in lines.told[rows]], fields[name])
                for name in wanted:
                    table[name] = (
                        pa.FixedSizeListArray.from_arrays(
                            pa.array(values[name][rows].reshape(-1)), fields[name].list_size
                        )
                        if name in values
                        else pa.nulls(len(table["token"]), fields[name])
                    )
                file.write_table(pa.table(table, schema=schema.with_metadata(identity)))
        return path

    return write


def _numpy(values: Tensor) -> NDArray[np.generic]:
    """As Parquet can hold it: bfloat16 as float32."""
    array: NDArray[np.generic] = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return array
