"""``hintprobe check``: prove a model under a backend before it is trusted."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activations.errors import HintprobeError
from activations.names import BACKENDS
from experiments.commands.running import AsJson, aside, print_json
from experiments.run.stopping import stoppable

if TYPE_CHECKING:
    from rich.table import Table

    from activations import CheckReport, LoadedModel


class DtypeChoice(StrEnum):
    """What the weights are held in."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class QuantizedChoice(StrEnum):
    """Bits of the weights."""

    eight = "8bit"
    four = "4bit"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(
    model: Annotated[str, typer.Argument(help="Folder, hub id or organism:NAME.")],
    backend: Annotated[str, typer.Option(help=f"What reads and edits the model: {', '.join(BACKENDS)}.")] = "native",
    base_url: Annotated[str, typer.Option(help="With vllm: address of the server's API.")] = "",
    remote: Annotated[bool, typer.Option("--remote", help="With nnsight: run on its service (NDIF).")] = False,
    dtype: Annotated[DtypeChoice, typer.Option(help="auto is bfloat16 on CUDA, float32 elsewhere.")] = DtypeChoice.auto,
    device: Annotated[str, typer.Option(help="auto is CUDA where there is one, otherwise CPU.")] = "auto",
    quantized: Annotated[
        QuantizedChoice | None, typer.Option(help="Load the weights with fewer bits (bitsandbytes).")
    ] = None,
    spread: Annotated[bool, typer.Option("--spread", help="Spread the model over all devices (accelerate).")] = False,
    cache: Annotated[Path, typer.Option(help="The noise floor is saved in this folder's store.")] = Path("cache"),
    as_json: AsJson = False,
) -> None:
    """Test captures and edits of a model before you trust them.

    Compares them with transformers' own numbers and with each other; exit status 2 if a test fails.

    Example: hintprobe check organism:unfaithful --backend native
    """
    with stoppable():
        BACKENDS.check(backend)
        with aside().busy(f"loading {model}"):
            loaded = _load(model, dtype, device, quantized, spread)
        given = {"base_url": base_url, "remote": remote}
        _check(model, loaded, backend, {name: value for name, value in given.items() if value}, cache, as_json)


def _load(
    model: str, dtype: DtypeChoice, device: str, quantized: QuantizedChoice | None, spread: bool
) -> "LoadedModel":
    from activations import load_model
    from experiments.run.known_models import resolve_model

    bits: Any = quantized.value if quantized else None
    return load_model(resolve_model(model), dtype.value, device, bits, "auto" if spread else None)


def _check(
    model: str, loaded: "LoadedModel", backend: str, options: dict[str, Any], cache: Path, as_json: bool
) -> None:
    from activations import ActivationStore, check_model, open_backend
    from experiments.records.files import unwritable
    from experiments.run.console import PlainConsole

    with aside().busy(f"checking {model}"):
        running = open_backend(backend, loaded, **options)
        report = check_model(loaded, running)
    if as_json:
        print_json({**report.as_json(), "model": model})
    else:
        PlainConsole().print(_table(report, model))
    folder = ActivationStore(cache / "store").of(running.loaded).folder
    try:
        report.noise.save(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    if not report.passed:
        raise HintprobeError(
            f"{model} under {report.backend} fails {len(report.failed)} of {len(report.findings)} checks: "
            f"{'; '.join(report.failed)}. Do not trust activations of this model from this backend; try another "
            "backend, or another dtype."
        )


def _table(report: "CheckReport", model: str) -> "Table":
    from rich.table import Table

    noise = report.noise
    kernel = f", {max(noise.kernel):.0e} between attention kernels" if noise.kernel else ""
    caption = (
        f"Errors are relative to a token's norm. Noise floor of {noise.dtype} ({noise.attention} attention): "
        f"{max(noise.shape):.0e} between batch shapes{kernel}. {report.seconds:.1f} s."
    )
    table = Table(title=f"{model}, backend {report.backend}", caption=caption, caption_justify="left")
    for column in ("check", "result", "error", "limit", "where"):
        table.add_column(column, justify="right" if column in ("error", "limit") else "left")
    for finding in report.findings:
        error, limit = (f"{v:.1e}" if v is not None else "" for v in (finding.error, finding.limit))
        table.add_row(finding.name, "passed" if finding.passed else "FAILED", error, limit, finding.where)
    for component, reason in report.refused.items():
        table.add_row(f"has {component}", "refused", "", "", reason.split(", and ")[-1])
    return table
