"""``hintprobe reproduce``: fetch a published run, compute its numbers again, and say which differ."""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, aside, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

if TYPE_CHECKING:
    from activations.sharing import Remote
    from experiments.config import Config
    from experiments.records.summary import Summary
    from experiments.report import Run

_OF_THE_MACHINE = {"seconds", "seconds_per_row", "forwards", "fresh", "provenance", "checksum"}
"""Entries of a summary that are not results: times, and how much of it was there already."""
_ROUNDING = 1e-9
"""Relative difference up to which two numbers are the same."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reproduce")(reproduce)


def reproduce(
    run: Annotated[str, typer.Argument(help="Folder or fsspec address of a run, such as s3://bucket/runs/demo.")],
    cache: Annotated[Path, typer.Option(help="Folder to work in; files of the run that are already there are kept.")],
    store: Annotated[
        str | None,
        typer.Option(help="Address of the run's activations; by default `store` next to the folder of runs."),
    ] = None,
    again: Annotated[
        list[str] | None,
        typer.Option(
            help="A stage to compute again, or `all`; repeatable. By default the stages that need no forward passes."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a published run's numbers again; list differences.

    Uses records and activations as published. Computes judging, probes, the comparison and what depends on them, and
    writes the report again. Exit status 2 if a number differs.

    Example: hintprobe reproduce s3://bucket/runs/demo --cache reproduced
    """
    from activations.sharing import Remote
    from experiments.pipeline import run_pipeline
    from experiments.report import PAGE
    from experiments.run.progress import Reporter

    address = run.rstrip("/") if "://" in run else str(Path(run).resolve())
    remote = Remote.at(address)
    console = Console(stderr=True)
    with stoppable():
        published = _summary(remote, cache)
        config = _config(published, cache)
        stages = _to_compute(config, again or [])
        with aside().busy("fetching records and activations"):
            _fetch_records(remote, config.run_dir, stages)
            _fetch_store(published, store or f"{address.rsplit('/', 2)[0]}/store", config)
        found = run_pipeline(config, Reporter(None if as_json else console))
    assert found is not None
    before, now = _results(published.summary), _results(found)
    differing = list(differences(before, now))
    made = sorted({name for model in found.models for name, stage in model.stages.items() if stage.fresh})
    result = {
        "run": run,
        "computed_again": made,
        "numbers": sum(1 for _ in _leaves(before)),
        "differing": [{"where": where, "published": a, "now": b} for where, a, b in differing],
        "provenance": {"published": _versions(published.summary), "now": _versions(found)},
        "report": str(config.run_dir / PAGE),
    }
    _tell(result, as_json)
    if differing:
        raise typer.Exit(2)


def _tell(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    console = Console(soft_wrap=True)
    for entry in result["differing"]:
        line = f"{entry['where']}: published {entry['published']!r}, now {entry['now']!r}"
        console.print(line, markup=False, highlight=False)
    n, wrong = result["numbers"], len(result["differing"])
    before, now = result["provenance"]["published"], result["provenance"]["now"]
    other = [f"{name} {before[name]} → {now[name]}" for name in before if before[name] != now.get(name)]
    console.print(
        f"{n - wrong} of {n} values are as published, {wrong} differ. Computed again: "
        f"{', '.join(result['computed_again']) or 'nothing'}. "
        f"{'Different from the published run: ' + ', '.join(other) + '. ' if other else ''}Report: {result['report']}",
        markup=False,
        highlight=False,
    )


def _results(summary: "Summary") -> list[dict[str, Any]]:
    return [model.model_dump(mode="json") for model in summary.models]


def _versions(summary: "Summary") -> dict[str, Any]:
    given = summary.provenance
    return {"commit": given.commit, "dirty": given.dirty, "python": given.python, **given.versions}


def _summary(remote: "Remote", cache: Path) -> "Run":
    """The published summary, kept apart from the one that is made here."""
    from experiments.records.summary import SUMMARY
    from experiments.report import read_run

    folder = cache / "published" / PurePosixPath(remote.root).name
    with remote.told():
        folder.mkdir(parents=True, exist_ok=True)
        remote.fs.get_file(f"{remote.root}/{SUMMARY}", str(folder / SUMMARY))
    return read_run(folder)


def _config(published: "Run", cache: Path) -> "Config":
    """The configuration that the run was made with, in another cache.

    Raises:
        HintprobeError: this hintprobe does not read it.
    """
    from pydantic import ValidationError

    from experiments.config import Config

    try:
        return Config.model_validate({**published.config, "cache": str(cache)})
    except ValidationError as error:
        raise HintprobeError(
            "The configuration of the published run is not valid in this version of hintprobe: "
            f"{error.errors()[0]['msg']} ({'.'.join(map(str, error.errors()[0]['loc']))}). Use the version that wrote "
            f"it: commit {published.summary.provenance.commit}."
        ) from error


def _to_compute(config: "Config", again: list[str]) -> set[str]:
    """Stages whose published output is not taken.

    Raises:
        HintprobeError: a stage that is none.
    """
    from experiments.stages import STAGES

    unknown = sorted(set(again) - {*STAGES, "all"})
    if unknown:
        raise HintprobeError(f"There is no stage {unknown[0]!r}. Known: {', '.join(STAGES)}, or all.")
    if again:
        return set(STAGES) if "all" in again else set(again)
    asked = set(config.judge.judges) & set(config.judge.models)  # a model's verdicts are records, not arithmetic
    return {"probe", "compare"} if asked else {"judge", "probe", "compare"}


def _fetch_records(remote: "Remote", folder: Path, stages: set[str]) -> None:
    """Every file of the run but those of the stages to compute, the summary, and what is here already."""
    with remote.told():
        found: dict[str, Any] = remote.fs.find(remote.root, detail=True)
        for path, entry in sorted(found.items()):
            inside = PurePosixPath(path).relative_to(remote.root)
            hidden = any(part.startswith(".") for part in inside.parts)
            if len(inside.parts) < 3 or hidden or inside.parts[1].rpartition("-")[0] in stages:
                continue
            to = folder / inside
            if to.exists() and to.stat().st_size == entry["size"]:
                continue
            to.parent.mkdir(parents=True, exist_ok=True)
            part = to.with_name(f".{to.name}.tmp")
            remote.fs.get_file(path, str(part))
            part.replace(to)


def _fetch_store(published: "Run", address: str, config: "Config") -> None:
    from activations import ActivationStore
    from activations.sharing import pull
    from experiments.records.accounts import CaptureAccount

    captures = [model.account(CaptureAccount) for model in published.summary.models]
    parts = sorted({account.store for account in captures if account is not None})
    if parts:
        pull(ActivationStore(config.store_dir), address, parts)


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a summary that is a result, with its place."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key not in _OF_THE_MACHINE:
                yield from _leaves(entry, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for k, entry in enumerate(value):
            yield from _leaves(entry, f"{where}[{k}]")
    else:
        yield where, value


def differences(published: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """Values of two summaries that are not the same up to rounding, with their places; None where one is missing."""
    before, after = dict(_leaves(published)), dict(_leaves(now))
    for where in [*before, *(where for where in after if where not in before)]:
        a, b = before.get(where), after.get(where)
        if where not in before or where not in after or not _same(a, b):
            yield where, a, b


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
        return numbers and math.isclose(a, b, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return bool(a == b)
