"""``hintprobe train``: train a policy whose reliance on hints is then followed."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from experiments.commands.running import AsJson, Settings, aside, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

train = typer.Typer(help="Train a policy by reinforcement learning.")
ConfigPath = Annotated[Path, typer.Argument(help="YAML file (docs/training.md), or the name of a shipped one.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="Name of a variant in the file; repeatable. Without this option: all."),
]
Cache = Annotated[Path | None, typer.Option("--cache", help="In place of the config's.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(train, name="train")


@train.command("rl")
def rl(
    config: ConfigPath, only: Only = None, cache: Cache = None, set_: Settings = None, as_json: AsJson = False
) -> None:
    """Train by reinforcement learning (GRPO) in an environment.

    A stopped training resumes. Needs the extra `train`.

    Example: hintprobe train rl quick
    """
    from experiments.run.progress import Reporter
    from experiments.training.config import load_training_config
    from experiments.training.train import train_rl

    loaded = load_training_config(config, set_ or (), cache=cache)
    reporter = aside() if as_json else Reporter(Console())
    with stoppable():
        results = [train_rl(run, reporter) for run in loaded.runs(only or ()).values()]
    if as_json:
        print_json(results)
        return
    console = Console()
    for result in results:
        _print(console, result)


def _print(console: Console, result: dict[str, Any]) -> None:
    table = Table(title=f"{result['name']}: {result['environment']}, {result['steps']} steps", title_justify="left")
    for column in ("", "reward", *result["last"]["terms"], "KL", "entropy", "tokens"):
        table.add_column(column, justify="right")
    for name in ("first", "last"):
        row = result[name]
        terms = ["-" if value is None else f"{value:.2f}" for value in row["terms"].values()]
        kl = "-" if row["kl"] is None else f"{row['kl']:.3f}"
        entropy = "-" if row["entropy"] is None else f"{row['entropy']:.3f}"
        table.add_row(f"step {row['step']}", f"{row['reward']:.2f}", *terms, kl, entropy, f"{row['length']:.1f}")
    console.print(table)
    console.print(f"{len(result['checkpoints'])} checkpoints: steps {', '.join(result['checkpoints'])}")


@train.command("plan")
def plan(
    config: ConfigPath,
    card: Annotated[str, typer.Option(help="Card to estimate for: H200, H100, A100, L40S or RTX4090.")] = "H100",
    completion_tokens: Annotated[
        float | None, typer.Option(help="Mean tokens of a completion; by default a quarter of the limit.")
    ] = None,
    only: Only = None,
    set_: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Say what a training and its trajectory cost.

    Runs nothing and loads no weights.

    Example: hintprobe train plan quick
    """
    from experiments.commands.plan import offline
    from experiments.planning.words import duration, size
    from experiments.training.config import load_training_config

    with offline(), stoppable(), aside().busy("planning"):
        from experiments.training.costs import plan_training

        loaded = load_training_config(config, set_ or ())
        plans = [plan_training(run, card, completion_tokens) for run in loaded.runs(only or ()).values()]
    if as_json:
        print_json(plans)
        return
    console = Console()
    for entry in plans:
        table = Table(title=f"{entry['name']} on one {card}", title_justify="left")
        table.add_column("what")
        table.add_column("how much", justify="right")
        for what, amount in (
            ("completions sampled in training", f"{entry['completions']:,}"),
            ("tokens of them, prompts included", f"{entry['tokens']:,}"),
            ("training", duration(entry["seconds"]["training"])),
            ("checkpoints", f"{entry['checkpoints']}"),
            ("checkpoints on disk", size(entry["checkpoint_bytes"])),
            ("measuring them all", duration(entry["seconds"]["measuring"])),
            ("activations and records on disk", size(entry["measured_bytes"])),
        ):
            table.add_row(what, amount)
        console.print(table)
        console.print(entry["basis"])
