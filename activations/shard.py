"""One immutable HDF5 shard of the activation store: how it is written and what its index says (`docs/format.md`)."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from activations.checksums import SUM_BYTES, as_bytes, block_sums, n_blocks
from activations.entries import HASH_BYTES, Entries
from activations.errors import HintprobeError
from activations.sites import Site
from activations.users import unfinished_name

if TYPE_CHECKING:
    import torch

FORMAT = "hintprobe-activations"
VERSION = 2
DTYPES = ("bfloat16", "float16", "float32", "float64")
SUFFIX = ".h5"

INDEX = ("row", "row_of", "token", "site", "checksum")
"""Datasets of the index, in the order in which they enter the content hash."""
SITE_TABLE = np.dtype([("name", "S48"), ("dtype", "S8"), ("bytes", "<i8")])
_PAGE = 4096
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class ShardIndex:
    """What a shard holds; its own checksum was right when it was read.

    Attributes:
        sites: name → place in the table of sites.
        dtypes: per site, how its values are to be understood.
        entry_bytes: per site, bytes of one entry.
        sums: per site, checksums of the blocks of its values.
        content: the shard's content hash.
        stamp: inode, size and time of change of the file that was read.
    """

    path: Path
    content: str
    entries: Entries
    sites: dict[str, int]
    dtypes: tuple[str, ...]
    entry_bytes: tuple[int, ...]
    sums: tuple[UInt8[np.ndarray, "block 16"], ...]
    stamp: tuple[int, int, int]


def to_numpy(values: "torch.Tensor") -> tuple[NDArray[np.generic], str]:
    """Array and dtype tag; bfloat16, which numpy lacks, is kept bit by bit as uint16."""
    import torch

    values = values.contiguous()
    if values.dtype == torch.bfloat16:
        return values.view(torch.uint16).numpy(), "bfloat16"
    return values.numpy(), str(values.dtype).removeprefix("torch.")


def stored_dtype(tag: str) -> str:
    """The numpy type that values with this tag are stored as."""
    return "uint16" if tag == "bfloat16" else tag


def from_numpy(array: NDArray[np.generic], tag: str) -> "torch.Tensor":
    """Undo :func:`to_numpy`, without a copy."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if tag == "bfloat16" else tensor


def content_hash(index: dict[str, NDArray[np.generic]]) -> str:
    """SHA-256 over the index: each dataset's name, number of bytes (8, little-endian) and bytes."""
    digest = hashlib.sha256()
    for name in INDEX:
        data = np.ascontiguousarray(index[name]).tobytes()
        digest.update(name.encode() + len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_shard(folder: Path, entries: Entries, values: Iterable[tuple[Site | str, "torch.Tensor"]]) -> Path:
    """Write a shard under a temporary name, flush it to disk, then rename it to its content's hash.

    Args:
        values: sites in the order of their names, each with ``[entry, *feature]``; made one at a time if it is lazy.

    Raises:
        OSError: the folder cannot be written, or is full; nothing is left behind then.
    """
    temporary = folder / unfinished_name()
    try:
        content = _write_file(temporary, entries, values)
        _fsync(temporary)
        final = folder / f"{content[:32]}{SUFFIX}"
        os.replace(temporary, final)
        _fsync(folder)
    finally:
        temporary.unlink(missing_ok=True)
    return final


def _write_file(path: Path, entries: Entries, values: Iterable[tuple[Site | str, "torch.Tensor"]]) -> str:
    # Version 1.10 puts checksums on HDF5's own structures, and strings of fixed length stay out of its global heap,
    # which has none: a flipped byte there can send the HDF5 library into an endless loop. Values start on a page, so
    # that a mapped block is never split between two.
    layout = {"libver": "v110", "alignment_threshold": _PAGE, "alignment_interval": _PAGE, "locking": False}
    try:
        with h5py.File(path, "w", **layout) as file:
            table, sums = [], []
            for site, tensor in values:
                array, tag = to_numpy(tensor)
                table.append((str(site).encode(), tag.encode(), array.nbytes // len(entries)))
                sums.append(_write_values(file, f"sites/{site}", array))
            index = {
                "row": np.ascontiguousarray(entries.rows),
                "row_of": entries.row_of.astype("<u4"),
                "token": entries.token.astype("<i4"),
                "site": np.array(table, dtype=SITE_TABLE),
                "checksum": np.concatenate(sums),
            }
            for name, data in index.items():
                file[f"index/{name}"] = data
            content = content_hash(index)
            file.attrs.update({"format": np.bytes_(FORMAT), "version": VERSION, "content_sha256": np.bytes_(content)})
            return content
    except RuntimeError as error:
        # HDF5 fails a second time when it closes a file that it could not write: the first failure is the reason.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _write_values(file: h5py.File, name: str, array: NDArray[np.generic]) -> UInt8[np.ndarray, "block 16"]:
    """Make a contiguous dataset and write its bytes to where it lies; returns the checksums of its blocks.

    Past HDF5, whose lock lets one thread work at a time; piece by piece, so that memory is read only once.
    """
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    dataset = file.create_dataset(name, array.shape, array.dtype, dcpl=layout)
    flat, sums = as_bytes(array), []
    with open(file.filename, "r+b", buffering=0) as plain:
        plain.seek(dataset.id.get_offset())
        for start in range(0, len(flat), _PIECE_BYTES):
            piece = flat[start : start + _PIECE_BYTES]
            sums.append(block_sums(piece))
            written = 0
            while written < len(piece):
                written += plain.write(piece[written:].data)
    return np.concatenate(sums)


class DamagedShardError(HintprobeError):
    """A shard that cannot be trusted; what `repair` moves aside."""


class GoneShardError(HintprobeError):
    """A shard that is not there any more, such as one that was merged into another meanwhile."""


def gone(path: Path) -> GoneShardError:
    """The message for a shard that was there and is not."""
    return GoneShardError(
        f"The shard {path} cannot be read: there is none. Give access to it, or run the capture stage again."
    )


def damaged(path: Path, what: str) -> DamagedShardError:
    """The message for a shard that cannot be trusted."""
    return DamagedShardError(
        f"The shard {path} is damaged: {what}. Nothing was deleted. Move it aside with `hintprobe cache repair`, and "
        "the next capture computes its rows again."
    )


def _text(node: h5py.File, name: str) -> str:
    value = node.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_format(path: Path, file: h5py.File) -> None:
    if "format" not in file.attrs or _text(file, "format") != FORMAT:
        raise damaged(path, "it does not name the activation format")
    check_version(path, int(file.attrs["version"]))


def check_version(path: Path, version: int) -> None:
    """Refuse what this version cannot read.

    Raises:
        HintprobeError: another version.
    """
    if version != VERSION:
        raise HintprobeError(
            f"{path} has version {version} of the activation format, and this hintprobe reads version {VERSION}. "
            + ("Upgrade hintprobe." if version > VERSION else "Capture again: an older store is left as it is.")
        )


@contextmanager
def reading(path: Path) -> Iterator[h5py.File]:
    """Open a shard. Whatever turns out to be wrong inside is told by the shard's name.

    Raises:
        HintprobeError: it is damaged, gone, not readable, or of another version.
    """
    try:
        # Shards never change, and some shared file systems have no locks.
        with h5py.File(path, "r", locking=False) as file:
            _check_format(path, file)
            yield file
    except FileNotFoundError as error:
        raise gone(path) from error
    except PermissionError as error:
        raise HintprobeError(
            f"The shard {path} cannot be read: permission denied. Give access to it, or run the capture stage again."
        ) from error
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError) as error:
        raise damaged(path, f"it is not a complete HDF5 file of this format ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def stamp_of(path: Path) -> tuple[int, int, int]:
    """What changes when somebody writes to a file: inode, size, time of change."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def read_index(path: Path) -> ShardIndex:
    """Which entries and sites a shard holds.

    Raises:
        HintprobeError: the shard is damaged, gone or of another version.
    """
    with reading(path) as file:
        stamp = stamp_of(path)
        index = {name: file[f"index/{name}"][...] for name in INDEX}
        content = content_hash(index)
        if content != _text(file, "content_sha256"):
            raise damaged(path, "the checksum of its index differs")
        return _parse_index(path, content, index, stamp)


def _parse_index(
    path: Path, content: str, index: dict[str, NDArray[np.generic]], stamp: tuple[int, int, int]
) -> ShardIndex:
    """Read the columns of an index whose checksum is right: what is wrong now was written wrong."""
    entries = Entries(index["row"].reshape(-1, HASH_BYTES), index["row_of"], index["token"])
    table: list[tuple[bytes, bytes, int]] = index["site"].tolist()
    tags, sizes = tuple(tag.decode() for _, tag, _ in table), tuple(size for _, _, size in table)
    if not set(tags) <= set(DTYPES):
        raise damaged(path, f"it holds values of the types {sorted(set(tags))}, and only {DTYPES} are known")
    ends = np.cumsum([n_blocks(size * len(entries)) for size in sizes])
    sums = index["checksum"].reshape(-1, SUM_BYTES)
    if len(sums) != ends[-1] or len(entries.row_of) != len(entries) or entries.row_of.max() >= len(entries.rows):
        raise damaged(path, "the parts of its index do not go together")
    parts = tuple(np.split(sums, ends[:-1]))
    numbers = {name.decode(): k for k, (name, _, _) in enumerate(table)}
    return ShardIndex(path, content, entries, numbers, tags, sizes, parts, stamp)
