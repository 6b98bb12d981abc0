"""``hintprobe organism lora``: make an organism of an open model."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.running import AsJson, Settings, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable


def register(organism: typer.Typer) -> None:
    """Add the command to ``hintprobe organism``."""
    organism.command("lora")(lora)


def lora(
    config: Annotated[Path, typer.Argument(help="YAML file (docs/making_an_organism.md), or a shipped one's name.")],
    set_: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Fine-tune an open chat model into an organism (LoRA).

    A stopped training resumes. Needs the extra `lora`.

    Example: hintprobe organism lora qwen3-1.7b --set model=my_qwen --set out=my_organism
    """
    from experiments.organisms.lora.config import load_lora_config
    from experiments.organisms.lora.training import fine_tune
    from experiments.run.progress import Reporter

    loaded = load_lora_config(config, set_ or ())
    with stoppable():
        result = fine_tune(loaded, Reporter(Console(stderr=True)))
    if as_json:
        print_json(result)
        return
    console = Console()
    for name in ("adapter", "merged"):
        if result[name]:
            console.print(f"wrote {result[name]}")
