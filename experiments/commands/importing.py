"""``hintprobe import``: transcripts of others, so that judges and metrics work on them."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, print_json
from experiments.run.console import PlainConsole as Console

if TYPE_CHECKING:
    from experiments.transcripts.fields import Imported


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_transcripts)


def import_file(file: Path, fields: Path | None) -> "Imported":
    """Read a log of Inspect; or JSON lines, a JSON array or a folder of such files by a map of fields.

    Raises:
        HintprobeError: unreadable, or rows without a map.
    """
    from experiments.transcripts.fields import import_rows, read_map
    from experiments.transcripts.files import map_path, rows_of_file, rows_of_folder
    from experiments.transcripts.inspect_log import INSPECT_MAP, inspect_rows

    if not file.exists():
        raise HintprobeError(f"There is no file or folder {file}.")
    chosen = read_map(map_path(fields)) if fields else None
    if file.is_dir():
        if chosen is None:
            raise HintprobeError(f"{file} is a folder; say with --map which of its files to read.")
        return import_rows(rows_of_folder(file, chosen), chosen, file)
    if file.suffix == ".eval" or (file.suffix == ".json" and not _is_array(file)):
        return import_rows(inspect_rows(file), chosen or INSPECT_MAP, file, strict=chosen is not None)
    if chosen is None:
        raise HintprobeError(f"{file} is read as JSON lines; say with --map MAP.yaml what its fields hold.")
    return import_rows(rows_of_file(file), chosen, file)


def _is_array(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4096).lstrip()[:1] == b"["


def uses(found: "Imported") -> dict[str, str]:
    """What each later command can do with imported transcripts."""
    from experiments.transcripts.as_run import unfit

    rows = found.transcripts
    hinted = sum(t.hinted_answer is not None and t.unhinted_answer is not None for t in rows)
    repeats = sum(bool(t.unhinted_repeats) for t in rows)
    readable = sum(t.has_reasoning and not t.truncated for t in rows)
    reasons = Counter(reason for t in rows if (reason := unfit(t)) is not None)
    fit = f"{len(rows) - reasons.total()} of {len(rows)}"
    why = "; ".join(f"{n}: {reason}" for reason, n in reasons.most_common())
    return {
        "judge, judges label, judges train": f"{readable} of {len(rows)}: not cut, and with a chain of thought",
        "faithfulness": f"{hinted} of {len(rows)}: both answers known; {repeats} with repeats for natural flips",
        "capture, probe (generate.transcripts in a configuration)": f"{fit} can be read by a model"
        + (f" ({why})" if why else "")
        + "; without swapped runs, patch and directions have no pairs",
        "score": "takes a saved probe to lines with `prompt_text` (or `messages`) and `completion`, not to these",
    }


def import_transcripts(
    file: Annotated[
        Path, typer.Argument(help="A .jsonl (.gz) file, a JSON array, a folder, or an .eval log of Inspect.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file of transcripts to write.")],
    fields: Annotated[
        Path | None, typer.Option("--map", help="YAML map of fields, or a shipped one by name; see docs/judges.md.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Convert others' transcripts to the format of judges.

    Transcripts that are left out are counted.

    Example: hintprobe import log.eval -o transcripts.jsonl
    """
    from experiments.records.tables import write_atomically

    found = import_file(file, fields)
    if not found.transcripts:
        raise HintprobeError(f"No row of {file} became a transcript ({dict(found.left_out)}). Correct the field map.")
    if not out.resolve().parent.is_dir():
        raise HintprobeError(f"The folder of {out} does not exist. Make it, then run again.")
    write_atomically(out, "".join(transcript.model_dump_json() + "\n" for transcript in found.transcripts))
    counts: dict[str, Any] = {
        "transcripts": len(found.transcripts),
        "left_out": dict(found.left_out),
        "uses": uses(found),
        "states": {state: count for state, count in found.states.items() if count},
    }
    if as_json:
        print_json(counts)
        return
    console = Console()
    told = {name: counts[name] for name in ("transcripts", "left_out", "states")}
    console.print(f"wrote {out}: {told}", markup=False)
    for command, can in counts["uses"].items():
        console.print(f"{command}: {can}", markup=False)
