"""Rows of files, folders and hub datasets, each with the words that say where it stands."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError

_MMLU_COLUMNS = ("question", "A", "B", "C", "D", "answer")
_TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Row:
    """One row of a source.

    Attributes:
        where: what a message says of its place, such as "Line 3 of questions.jsonl".
        name: a name that is unique in its source.
    """

    where: str
    name: str
    values: Mapping[str, Any]


def kind_of(path: Path) -> str:
    """The file's ending without ``.gz``."""
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HintprobeError(f"The question file {path} could not be read: {reason}.") from error


def _json_lines(path: Path) -> Iterator[Row]:
    # str.splitlines would also break at the separators that JSON leaves as they are inside strings (U+2028).
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:  # also a number of too many digits, or a list too deep
            said = str(error) if isinstance(error, ValueError) else "nested too deeply"
            raise HintprobeError(f"Line {number} of {path} is not a question: not JSON ({said}).") from error
        if not isinstance(values, dict):
            raise HintprobeError(
                f"Line {number} of {path} is not a question: it holds {type(values).__name__}, and one JSON object a "
                "line was expected."
            )
        yield Row(f"Line {number} of {path}", f"{path.stem}/{number}", values)


@contextmanager
def _cells(path: Path) -> Iterator[str]:
    """The text of a table whose cells may be as long as the file; the library refuses those over 131,072 characters.

    Raises:
        HintprobeError: the library cannot read the table.
    """
    text = _text(path)
    before = csv.field_size_limit(max(len(text), 1))
    try:
        yield text
    except csv.Error as error:
        raise HintprobeError(f"The table {path} could not be read: {error}.") from error
    finally:
        csv.field_size_limit(before)


def _delimited(path: Path) -> Iterator[Row]:
    with _cells(path) as text:
        yield from _delimited_rows(path, text)


def _delimited_rows(path: Path, text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text), delimiter="\t" if kind_of(path) == ".tsv" else ",")
    for values in reader:
        if None in values:
            raise HintprobeError(f"Line {reader.line_num} of {path} has more cells than the header has columns.")
        yield Row(f"Line {reader.line_num} of {path}", f"{path.stem}/{reader.line_num}", values)


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise _extra_needed("a Parquet file") from error
    try:
        records = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise HintprobeError(f"The question file {path} could not be read: {str(error).splitlines()[0]}.") from error
    for number, values in enumerate(records):
        yield Row(f"Row {number} of {path}", f"{path.stem}/{number}", values)


def _mmlu_folder(folder: Path, split: str) -> Iterator[Row]:
    """The files that MMLU was published as: a headerless CSV file per subject (Hendrycks et al. 2021)."""
    for path in sorted(folder.glob(f"*_{split}.csv")):
        subject = path.stem.removesuffix(f"_{split}")
        with _cells(path) as text:
            lines = [(reader.line_num, cells) for reader in [csv.reader(io.StringIO(text))] for cells in reader]
        for number, (line, cells) in enumerate(lines):
            if len(cells) != len(_MMLU_COLUMNS):
                raise HintprobeError(
                    f"Line {line} of {path} has {len(cells)} cells, but {len(_MMLU_COLUMNS)} were expected: question, "
                    "four options, answer."
                )
            values = dict(zip(_MMLU_COLUMNS, cells, strict=True))
            options = [values.pop(letter) for letter in "ABCD"]
            yield Row(
                f"Line {line} of {path}",
                f"{subject}/{number}",
                {**values, "options": options, "subject": subject},
            )


def read_file(path: Path) -> Iterator[Row]:
    """Rows of a JSON-lines, CSV, TSV or Parquet file; all but Parquet may be compressed with gzip.

    Raises:
        HintprobeError: no such file, another kind of file, or a line that cannot be read.
    """
    if not path.is_file():
        raise HintprobeError(f"The question file {path} could not be read: there is none.")
    kind = kind_of(path)
    if kind == ".parquet":
        yield from _parquet(path)
    elif kind in (".csv", ".tsv"):
        yield from _delimited(path)
    elif kind in (".jsonl", ".json", ".ndjson"):
        yield from _json_lines(path)
    else:
        raise HintprobeError(
            f"The question file {path} ends in {kind or 'nothing'!r}. Expected .jsonl, .csv, .tsv or .parquet, or a "
            "folder."
        )


def _split_files(folder: Path, config: str | None, split: str) -> list[Path]:
    """Files of a split: ``test.csv``, ``data/test-00000-of-00001.parquet``; or of a config: ``gpqa_main.csv``."""
    tables = [path for path in sorted([*folder.glob("*"), *folder.glob("data/*")]) if kind_of(path) in _TABLES]
    stems = {path: path.name.removesuffix(".gz").rsplit(".", 1)[0] for path in tables}
    return [path for path in tables if stems[path].split("-")[0] == split] or [
        path for path in tables if stems[path] == config
    ]


def read_folder(folder: Path, config: str | None, split: str) -> Iterator[Row]:
    """Rows of a split of a local folder.

    A folder may be MMLU's own (a CSV file per subject in a folder per split), hold a file per split, be a hub
    dataset's snapshot, or be what ``datasets`` saved.

    Raises:
        HintprobeError: it is none of these, or has no such split.
    """
    if config is not None and (folder / config).is_dir():
        folder = folder / config
    for place in (folder / split, folder / "data" / split):
        if any(place.glob(f"*_{split}.csv")):
            yield from _mmlu_folder(place, split)
            return
    files = _split_files(folder, config, split)
    if not files:
        yield from read_hub(str(folder), config, split, None)
        return
    for path in files:
        yield from read_file(path)


def read_hub(name: str, config: str | None, split: str, revision: str | None) -> Iterator[Row]:
    """Rows of a dataset that ``datasets`` loads: a hub id, or a folder in a layout that it knows.

    Raises:
        HintprobeError: ``datasets`` is not installed, or finds no such dataset, config or split.
    """
    try:
        import datasets
    except ImportError as error:
        raise _extra_needed(f"the dataset {name!r}") from error
    try:
        if (Path(name) / "dataset_dict.json").is_file():
            loaded = datasets.load_from_disk(name)[split]
        elif (Path(name) / "state.json").is_file():
            loaded = datasets.load_from_disk(name)
        else:
            loaded = datasets.load_dataset(name, config, split=split, revision=revision)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise HintprobeError(
            f"The split {split!r} of the dataset {name!r} could not be loaded: {reason}. Give a hub id that this "
            "machine can reach, or in `questions.path` a folder or file that holds it."
        ) from error
    for number, values in enumerate(loaded):
        yield Row(f"Row {number} of {name}, split {split}", f"{split}/{number}", values)


def _extra_needed(what: str) -> HintprobeError:
    return HintprobeError(f"Reading {what} needs the package's extra `datasets`: pip install 'hintprobe[datasets]'.")
