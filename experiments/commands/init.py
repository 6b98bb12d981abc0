"""``hintprobe init``: a commented configuration to start from."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from activations.errors import HintprobeError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    model: Annotated[str, typer.Argument(help="Folder, hub id or organism:NAME.")],
    questions: Annotated[str, typer.Option(help="A dataset by name, a hub id, or a file of questions.")] = "mmlu",
    limit: Annotated[int, typer.Option(help="Questions to ask.", min=1)] = 2000,
    max_new_tokens: Annotated[
        int, typer.Option(help="Token limit of a completion; reasoning models need many tokens.")
    ] = 4096,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write, instead of standard output.")] = None,
) -> None:
    """Write a configuration for a model, with every key explained.

    Example: hintprobe init Qwen/Qwen3-8B -o qwen3-8b.yaml
    """
    from experiments.config.asking import INSTRUCTION
    from experiments.planning.template import config_text, run_name

    chosen = {
        "name": run_name(model),
        "models": [model],
        "questions": {"source": questions, "limit": limit},
        "generate": {
            "max_new_tokens": max_new_tokens,
            "token_budget": 131_072,
            "instruction": INSTRUCTION,
        },
        "capture": {"token_budget": 65_536},
    }
    path = out or Path("FILE.yaml")
    heading = (
        f"A run of hintprobe on {model}. Lines that start with # are defaults with their meaning: "
        "remove the first # to set one.\n"
        f"hintprobe plan {path}   # its cost, and which effects it could detect\n"
        f"hintprobe run {path}    # run it; it can be stopped at any time, and resumes when run again"
    )
    text = config_text(chosen, heading)
    if out is None:
        sys.stdout.write(text)
        return
    if out.exists():
        raise HintprobeError(f"{out} exists already and was left unchanged. Give another name with --out.")
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HintprobeError(f"{out} cannot be written: {error.strerror}. Give another place with --out.") from error
    sys.stdout.write(f"{out}\n")
