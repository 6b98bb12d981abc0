"""``hintprobe import``: transcripts of others, so that judges and metrics work on them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, print_json

if TYPE_CHECKING:
    from experiments.transcripts.fields import Imported


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_transcripts)


def import_file(file: Path, fields: Path | None) -> "Imported":
    """Read a log of Inspect, or JSON lines by a map of fields.

    Raises:
        HintprobeError: unreadable, or JSON lines without a map.
    """
    from experiments.transcripts.fields import import_rows, read_map
    from experiments.transcripts.inspect_log import INSPECT_MAP, inspect_rows
    from experiments.transcripts.record import numbered_lines

    if file.suffix in (".eval", ".json"):
        if not file.exists():
            raise HintprobeError(f"There is no file {file}.")
        return import_rows(inspect_rows(file), read_map(fields) if fields else INSPECT_MAP, file)
    if fields is None:
        raise HintprobeError(f"{file} is taken for JSON lines; say with --map MAP.yaml which fields hold what.")
    rows = []
    for number, line in numbered_lines(file):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise HintprobeError(f"Line {number} of {file} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise HintprobeError(f"Line {number} of {file} is not a JSON object.")
        rows.append((number, row))
    return import_rows(rows, read_map(fields), file)


def import_transcripts(
    file: Annotated[Path, typer.Argument(help="A .jsonl (.gz) file, or an .eval log of Inspect.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file of transcripts to write.")],
    fields: Annotated[Path | None, typer.Option("--map", help="YAML map of fields; see docs/judges.md.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn transcripts of others into those that judges read.

    What is left out is counted.

    Example: hintprobe import log.eval -o transcripts.jsonl
    """
    from experiments.records.tables import write_atomically

    found = import_file(file, fields)
    if not found.transcripts:
        raise HintprobeError(f"No row of {file} became a transcript ({dict(found.left_out)}). Correct the field map.")
    if not out.resolve().parent.is_dir():
        raise HintprobeError(f"The folder of {out} does not exist. Make it, then run again.")
    write_atomically(out, "".join(transcript.model_dump_json() + "\n" for transcript in found.transcripts))
    counts = {
        "transcripts": len(found.transcripts),
        "left_out": dict(found.left_out),
        "states": {state: count for state, count in found.states.items() if count},
    }
    if as_json:
        print_json(counts)
    else:
        Console().print(f"wrote {out}: {counts}", markup=False)
