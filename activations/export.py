"""Activations for other programs: safetensors, and a folder of Parquet files that `datasets` reads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from activations.errors import HintprobeError
from activations.model_store import ModelStore, read_note
from activations.shard import from_numpy
from activations.shard_values import Shard

ExportFormat = Literal["safetensors", "parquet"]
_GROUP_ROWS = 1024


def export(store: ModelStore, out: Path, form: ExportFormat, sites: Sequence[str] = ()) -> list[Path]:
    """Write a part of a store for other programs, one file per shard; every block is checked on the way.

    safetensors: ``row`` (uint8 ``[entry, 32]``, hash of the row), ``token`` (int32 ``[entry]``), and each site
    (``[entry, *feature]``, in the dtype it was captured in). Parquet: a line per entry with ``row`` (hexadecimal),
    ``token``, and each site as a flat list (bfloat16, which Parquet lacks, as float32; null where the shard lacks the
    site). Both carry the model's identity in their metadata. What stands in two shards stands in two files.

    Args:
        sites: names of the sites wanted; all if there are none.

    Returns:
        The files.

    Raises:
        HintprobeError: an unknown site, a damaged shard, a folder that is there already or cannot be written, or a
            library that is not installed.
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
    write = _write_safetensors if form == "safetensors" else _parquet_writer(store.shards(), wanted)
    holding = [shard for shard in store.shards() if set(shard.index.sites) & set(wanted)]
    try:
        out.mkdir(parents=True)
        return [write(out, shard, [n for n in wanted if n in shard.index.sites], identity) for shard in holding]
    except OSError as error:
        reason = "it is there already" if isinstance(error, FileExistsError) else error.strerror or str(error)
        raise HintprobeError(
            f"The activations could not be exported to {out}: {reason}. Give a folder that does not exist yet, on a "
            "disk with room."
        ) from error


def _values(shard: Shard, name: str) -> Tensor:
    values = shard.site(name)
    return from_numpy(values.run(0, len(values.values)), values.tag)


def _write_safetensors(out: Path, shard: Shard, sites: Sequence[str], identity: dict[str, str]) -> Path:
    from safetensors.torch import save_file

    path = out / f"{shard.path.stem}.safetensors"
    entries = shard.index.entries
    tensors = {
        "row": torch.from_numpy(entries.rows[entries.row_of]),
        "token": torch.from_numpy(entries.token.astype(np.int32)),
        **{name: _values(shard, name) for name in sites},
    }
    save_file(tensors, path, metadata=identity)
    return path


def _parquet_writer(shards: Sequence[Shard], wanted: Sequence[str]) -> Callable[..., Path]:
    """All files share one schema, so that `datasets` takes them as one table."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise HintprobeError("Export to Parquet needs pyarrow: pip install 'hintprobe[datasets]'.") from error

    fields = {"row": pa.string(), "token": pa.int32()}
    for shard in shards:
        for name in set(wanted) & set(shard.index.sites):
            like = _plain(_values(shard, name)[:1])
            fields[name] = pa.list_(pa.from_numpy_dtype(like.dtype), like.size)
    schema = pa.schema([(name, fields[name]) for name in ("row", "token", *wanted)])

    def write(out: Path, shard: Shard, sites: Sequence[str], identity: dict[str, str]) -> Path:
        path = out / f"{shard.path.stem}.parquet"
        entries = shard.index.entries
        hexadecimal = np.array([row.tobytes().hex() for row in entries.rows])[entries.row_of]
        with parquet.ParquetWriter(path, schema.with_metadata(identity)) as file:
            for first in range(0, len(entries), _GROUP_ROWS):
                rows = slice(first, first + _GROUP_ROWS)
                columns: dict[str, Any] = {"row": hexadecimal[rows], "token": entries.token[rows]}
                n = len(columns["token"])
                for name in wanted:
                    values = _plain(_values(shard, name)[rows]) if name in sites else None
                    flat = None if values is None else pa.array(values.reshape(-1))
                    columns[name] = (
                        pa.nulls(n, fields[name])
                        if flat is None
                        else pa.FixedSizeListArray.from_arrays(flat, fields[name].list_size)
                    )
                file.write_table(pa.table(columns, schema=schema.with_metadata(identity)))
        return path

    return write


def _plain(values: Tensor) -> Any:
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
