"""``hintprobe cache``: look after an activation store. Only ``gc --yes`` and ``compact`` delete anything."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, aside, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

if TYPE_CHECKING:
    from activations.export import Named
    from activations.sharing import Sent

cache = typer.Typer(help="Manage activation stores.")

Store = Annotated[Path, typer.Argument(help="Folder of the store: CACHE/store for runs.")]
DEFAULT = Path("cache/store")


class Form(StrEnum):
    """Formats of an export."""

    safetensors = "safetensors"
    parquet = "parquet"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(cache, name="cache")


def _open(store: Path) -> Any:
    from activations import ActivationStore

    if not store.is_dir():
        raise HintprobeError(f"There is no store at {store}. Give its folder; the store of runs is CACHE/store.")
    return ActivationStore(store)


def _tell(as_json: bool, result: dict[str, Any], lines: list[str]) -> None:
    if as_json:
        print_json(result)
        return
    console = Console(soft_wrap=True)
    for line in lines:
        console.print(line, markup=False, highlight=False)


@cache.command("ls")
def ls(store: Store = DEFAULT, as_json: AsJson = False) -> None:
    """List the models whose activations a store holds, and their size.

    Example: hintprobe cache ls cache/store
    """
    from activations.maintenance import summarise
    from activations.model_store import size_text

    opened = _open(store)
    parts = [summarise(opened, part) for part in opened.parts()]
    lines = []
    for part in parts:
        who = part.identity
        extra = {k: v for k, v in who.items() if k not in ("format", "version", "name", "model", "tokenizer")}
        lines.append(f"{part.part}  {who['name']}  ({', '.join(f'{k} {v}' for k, v in extra.items())})")
        lines.append(
            f"  {part.entries} positions of {part.rows} rows at {len(part.sites)} sites in {part.shards} shards, "
            f"{size_text(part.n_bytes)}; {part.unfinished} unfinished files, {part.aside} moved aside"
        )
        lines += [f"  {part.unreadable}"] if part.unreadable else []
    _tell(as_json, {"store": str(store), "parts": [part.as_dict() for part in parts]}, lines or ["no activations yet"])


@cache.command("verify")
def verify(store: Store = DEFAULT, as_json: AsJson = False) -> None:
    """Read every shard and recompute its checksums.

    Exit status 2 if a shard is damaged.

    Example: hintprobe cache verify cache/store
    """
    from activations import ModelStore
    from activations.maintenance import complaints

    opened = _open(store)
    n_shards = sum(len(ModelStore(opened.path / part).paths()) for part in opened.parts())
    found = []
    with stoppable(), aside().bar("shards", n_shards) as tick:
        for part in opened.parts():
            for complaint in complaints(opened, part):
                found.append(complaint)
                tick(1)
    bad = {str(path): str(error) for path, error in found if error}
    lines = [*bad.values(), f"{len(found) - len(bad)} of {len(found)} shards are whole"]
    _tell(as_json, {"store": str(store), "shards": len(found), "damaged": bad}, lines)
    if bad:
        raise typer.Exit(2)


@cache.command("repair")
def repair(store: Store = DEFAULT, as_json: AsJson = False) -> None:
    """Move damaged and unfinished shards aside.

    They are moved to the folder `aside`; the next capture computes them again.

    Example: hintprobe cache repair cache/store
    """
    from activations.maintenance import repair as repair_part

    opened = _open(store)
    with stoppable(), aside().busy("reading every shard"):
        moved = [move for part in opened.parts() for move in repair_part(opened, part)]
    result = [{"path": str(m.path), "to": str(m.to), "reason": m.reason} for m in moved]
    lines = [f"{m.path.name} → {m.to.parent}: {m.reason}" for m in moved] or ["nothing to repair"]
    _tell(as_json, {"store": str(store), "moved": result}, lines)


@cache.command("gc")
def gc(
    store: Store = DEFAULT,
    part: Annotated[list[str] | None, typer.Option(help="A part to delete, by its name in `ls`; repeatable.")] = None,
    aside: Annotated[bool, typer.Option(help="Delete files that repair moved aside.")] = False,
    unfinished: Annotated[bool, typer.Option(help="Delete unfinished files whose writers have ended.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete the files; without this option they are only listed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the requested files, and nothing else.

    Example: hintprobe cache gc cache/store --aside --yes
    """
    from activations.maintenance import removable, remove, size_of
    from activations.model_store import size_text

    if not (part or aside or unfinished):
        raise HintprobeError("No files were chosen. Say what to delete: --part NAME, --aside, --unfinished.")
    opened = _open(store)
    paths = removable(opened, part or (), aside, unfinished)
    sizes = [size_of(path) for path in paths]
    links = {path: path.is_symlink() for path in paths}
    if yes:
        remove(opened, paths)
    verb = "deleted" if yes else "would delete (add --yes)"
    lines = [
        f"{verb} {'the link ' if links[path] else ''}{path} ({size_text(size)})"
        for path, size in zip(paths, sizes, strict=True)
    ]
    result = {"store": str(store), "deleted": yes, "paths": [str(path) for path in paths], "bytes": sum(sizes)}
    _tell(as_json, result, lines or ["nothing to delete"])


@cache.command("compact")
def compact(store: Store = DEFAULT, as_json: AsJson = False) -> None:
    """Merge small shards into large ones.

    A small shard is deleted after the merged one was written and read back.

    Example: hintprobe cache compact cache/store
    """
    from activations.compact import compact as compact_part

    opened = _open(store)
    with stoppable(), aside().busy("merging shards"):
        done = {part: compact_part(opened.named(part)) for part in opened.parts()}
    lines = [f"{part}: {c.before} shards → {c.after}" for part, c in done.items()]
    result = {part: {"before": c.before, "after": c.after} for part, c in done.items()}
    _tell(as_json, {"store": str(store), "parts": result}, lines or ["no activations yet"])


@cache.command("push")
def push(
    address: Annotated[str, typer.Argument(help="Folder or fsspec address, such as s3://bucket/store.")],
    store: Annotated[Path, typer.Option(help="Folder of the store.")] = DEFAULT,
    part: Annotated[
        list[str] | None, typer.Option(help="A part, by its name in `ls`; repeatable. Without this option: all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send activations to an address.

    Files that are already there are not sent again; a stopped push resumes.

    Example: hintprobe cache push s3://bucket/store --store cache/store
    """
    from activations.sharing import push as push_parts

    opened = _open(store)
    with stoppable(), aside().busy("sending shards"):
        done = push_parts(opened, address, part or ())
    _tell_sent("sent", address, done, as_json)


@cache.command("pull")
def pull(
    address: Annotated[str, typer.Argument(help="Folder or fsspec address, such as s3://bucket/store.")],
    store: Annotated[Path, typer.Option(help="Folder of the store; created if missing.")] = DEFAULT,
    part: Annotated[list[str] | None, typer.Option(help="A part; repeatable. Without this option: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch activations from an address.

    Every shard is verified before it is kept; a stopped pull resumes.

    Example: hintprobe cache pull s3://bucket/store --store cache/store
    """
    from activations import ActivationStore
    from activations.sharing import pull as pull_parts

    with stoppable(), aside().busy("fetching shards"):
        done = pull_parts(ActivationStore(store), address, part or ())
    _tell_sent("fetched", address, done, as_json)


def _tell_sent(verb: str, address: str, done: "list[Sent]", as_json: bool) -> None:
    from activations.model_store import size_text

    lines = [f"{d.part}: {verb} {d.sent} shards ({size_text(d.n_bytes)}), {d.there} were there" for d in done]
    _tell(as_json, {"address": address, "parts": [d.as_dict() for d in done]}, lines)


@cache.command("export")
def export(
    part: Annotated[str, typer.Argument(help="The part to export, by its name in `ls`.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")],
    store: Annotated[Path, typer.Option(help="Folder of the store.")] = DEFAULT,
    form: Annotated[Form, typer.Option("--format", help="Format of the files.")] = Form.safetensors,
    site: Annotated[list[str] | None, typer.Option(help="A site, such as resid_post.3; repeatable.")] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a run: export only what it captured, with ids, positions and labels of every line."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="With --run: which model of the run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write activations for other programs.

    As safetensors, or as Parquet files that `datasets` reads.

    Example: hintprobe cache export 0123456789abcdef exported --format parquet --site resid_post.3
    """
    from activations.export import export as export_part

    with stoppable(), aside().busy("exporting"):
        named = _names(run, part, model) if run is not None else None
        paths = export_part(_open(store).named(part), out, form.value, site or (), named)
    _tell(as_json, {"out": str(out), "files": [path.name for path in paths]}, [f"wrote {len(paths)} files to {out}"])


def _names(run: Path, part: str, model: str | None) -> "Named":
    from experiments.report.captured_names import captured_names, model_of
    from experiments.report.runs import read_run

    found = read_run(run)
    return captured_names(found.records(model_of(found, part, model)))
