"""``hintprobe faithfulness``: the paper's metrics of anybody's items."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("faithfulness")(faithfulness)


def faithfulness(
    items: Annotated[Path, typer.Argument(help="JSON lines: group, kind, direction, n_options, unhinted_answer, …")],
    verdicts: Annotated[
        Path | None, typer.Option("--verdicts", help="Take `verbalized` from this file of verdicts, joined by id.")
    ] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="Whose verdicts, where the file holds several.")] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Cluster-bootstrap resamples.", min=100)] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resamples.")] = 0,
) -> None:
    """Print p, q, alpha, raw and normalised faithfulness (Chen et al. 2025) as one JSON object, with every count.

    Example: hintprobe faithfulness items.jsonl
    """
    from experiments.faithfulness_items import read_items, summarise, verbalized_by
    from experiments.judges.calibration import read_verdicts
    from experiments.seeds import stream

    said = verbalized_by(read_verdicts(verdicts), judge) if verdicts is not None else None
    summary = summarise(read_items(items, said), bootstrap, stream(seed, "faithfulness"))
    sys.stdout.write(json.dumps(summary, indent=2, allow_nan=False) + "\n")
