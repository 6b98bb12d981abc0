"""One model within a run: where its records lie, and how a stage is run once and never twice."""

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from activations import LoadedModel, fingerprint, load_model, load_tokenizer
from activations.errors import HintprobeError
from experiments.config import Config
from experiments.records.accounts import Account
from experiments.records.files import (
    MARKER,
    SUMS,
    content_of,
    files_of,
    set_aside,
    signed,
    unwritable,
    write_json,
)
from experiments.records.run_records import RunRecords
from experiments.records.seeds import stable_int
from experiments.run.finding import Found, StillThere, found_in
from experiments.run.known_models import resolve_model
from experiments.run.part_folders import NoPartsError
from experiments.run.parts import Share
from experiments.run.progress import Reporter
from experiments.run.provenance import provenance
from experiments.run.threads import limited_threads

if TYPE_CHECKING:
    from activations.hooks import ForwardCount

A = TypeVar("A", bound=Account)

CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO)
"""What the operating system says where a folder cannot be written: no room, no right, a broken disk."""
RECORDS_VERSION = 1
"""Part of every stage's signature: records of another version are written beside, not over."""


@dataclass(frozen=True)
class StageResult:
    """A finished stage.

    Attributes:
        signature: hash of everything that the stage's output depends on.
        account: what the stage counted; None where it is only planned.
        fresh: it ran just now, rather than being found.
        content: what its tables hold, as one checksum; empty where it has not run.
    """

    name: str
    signature: str
    folder: Path
    account: Account | None
    seconds: float
    forwards: int
    fresh: bool
    content: str = ""


@dataclass
class Spent:
    """What a stage took."""

    seconds: float = 0.0
    forwards: int = 0


@dataclass
class ModelRun:
    """One model of a run.

    Attributes:
        share: what this process does of a run that is done in parts; None does all of it.
    """

    config: Config
    model_name: str
    reporter: Reporter = field(default_factory=Reporter)
    results: dict[str, StageResult] = field(default_factory=dict)
    share: Share | None = None

    @cached_property
    def source(self) -> str:
        """Folder or hub id."""
        return resolve_model(self.model_name)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the model, known without loading it."""
        return fingerprint(self.source)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model, loaded when a stage first needs it."""
        self.reporter.say(f"  loading {self.model_name}")
        config = self.config
        return load_model(self.source, config.dtype, config.device, config.quantized, config.device_map)

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, without loading the model."""
        return self.loaded.tokenizer if "loaded" in self.__dict__ else load_tokenizer(self.source)

    @cached_property
    def key(self) -> str:
        """Name of this model's folder: readable, and unambiguous."""
        readable = self.model_name.removeprefix("organism:").rstrip("/").rsplit("/", 1)[-1]
        return f"{readable}-{self.fingerprint[:8]}"

    @cached_property
    def records(self) -> RunRecords:
        """Records of the stages that are finished so far, each table read once."""
        return RunRecords(lambda stage: self.results[stage].folder)

    @property
    def folder(self) -> Path:
        """Where this model's records lie."""
        return self.config.run_dir / self.key

    @property
    def limit(self) -> int:
        """How many questions this model is asked."""
        return self.config.limits.get(self.model_name, self.config.questions.limit)

    def stage(
        self,
        account: type[A],
        depends: tuple[object, ...],
        body: Callable[[Path], A],
        uses_model: bool,
        still_there: StillThere = lambda folder, account: True,
        spent: Spent | None = None,
    ) -> StageResult:
        """Run ``body`` unless its output for these inputs is already there.

        Args:
            account: what the stage counts; it names the stage.
            depends: everything the output depends on, besides the model and the record version.
            body: writes into the stage's folder and returns the account.
            uses_model: the body may run forwards, which are then counted.
            still_there: given a finished stage's folder and account, is what it keeps elsewhere still there?
            spent: given where the body joins parts; what they took, filled in by the body.

        Raises:
            HintprobeError: the folder cannot be written; or the stage is to run, and this process only does or joins
                parts of others.
        """
        name = account.STAGE
        signature, folder = self.place(name, depends)
        inputs = self.inputs(depends)
        found = found_in(folder, account, still_there, inputs)
        done, counted, fresh = found.marker, found.account, not found.marker
        if fresh:
            self._refuse_unfinished(name, spent)
            self._clear(name, folder, found)
            done, counted = self._run(name, signature, folder, body, uses_model, inputs, spent or Spent())
        elif "files" not in done:  # written by an earlier version
            done = self._complete(folder, done, inputs)
        content = done.get("content", "")
        result = StageResult(name, signature, folder, counted, done["seconds"], done["forwards"], fresh, content)
        self.results[name] = result
        how = f"{result.seconds:5.1f} s" if fresh else "found"
        self.reporter.say(f"  {name:<10} {how:>8}   {counted.brief(3) if counted else ''}".rstrip())
        return result

    def _refuse_unfinished(self, name: str, spent: Spent | None) -> None:
        if self.share is not None and spent is None:
            who = "joining parts" if self.share.part is None else f"a part of another stage ({self.share.part})"
            raise NoPartsError(
                f"The stage {name} of {self.model_name} is not finished, and {who} does not run it. Run `hintprobe "
                f"{name if name not in ('mediate', 'directions') else 'patch'} CONFIG` first, or, if it runs in parts, "
                "every part of it and `hintprobe join CONFIG`."
            )

    def inputs(self, depends: tuple[object, ...]) -> dict[str, str]:
        """Contents of the stages that another depends on, by name."""
        return {other: r.content for other, r in self.results.items() if r.content and r.signature in depends}

    def account(self, account: type[A]) -> A:
        """What a finished stage of this model counted.

        Raises:
            HintprobeError: the stage is not finished.
        """
        result = self.results.get(account.STAGE)
        if result is None or not isinstance(result.account, account):
            raise HintprobeError(f"The stage {account.STAGE} of {self.model_name} is not finished. Run it first.")
        return result.account

    def place(self, name: str, depends: tuple[object, ...]) -> tuple[str, Path]:
        """Signature of a stage with these inputs, and the folder that its output lies in or will."""
        signature = f"{stable_int(RECORDS_VERSION, self.fingerprint, name, *depends):016x}"
        return signature, self.folder / f"{name}-{signature[:8]}"

    def _clear(self, name: str, folder: Path, found: Found) -> None:
        """Move aside what a finished stage has lost its truth of, and say so; the stage then runs again.

        A table with checksums of its lines stays: the stage keeps its sound lines and makes the others again.
        """
        if found.outdated:
            self.reporter.say(f"  {name}: its inputs have changed since it finished; it is run again")
            set_aside(folder)
            return
        for file, fault in found.faults.items():
            self.reporter.warn(f"  {name}: {file} {fault.removeprefix(MARKER).strip()}; the stage is run again")
            if not (folder / (file + SUMS)).exists():
                set_aside(folder / file)
        set_aside(folder / MARKER)

    def _complete(self, folder: Path, done: dict[str, Any], inputs: Mapping[str, str]) -> dict[str, Any]:
        """A marker of an earlier version with what it lacks; where it cannot be written it is taken as it is."""
        done = {**done, "inputs": dict(inputs), "files": files_of(folder), "content": content_of(folder)}
        with suppress(HintprobeError):
            write_json(folder / MARKER, signed(done))
        return done

    def _run(
        self,
        name: str,
        signature: str,
        folder: Path,
        body: Callable[[Path], Account],
        uses_model: bool,
        inputs: Mapping[str, str],
        spent: Spent,
    ) -> tuple[dict[str, Any], Account]:
        with self.measured(folder, uses_model, spent):
            account = body(folder)
        counted = account.model_dump(mode="json")
        return self.mark(folder, name, signature, inputs, spent, account=counted), account

    @contextmanager
    def measured(self, folder: Path, uses_model: bool, spent: Spent) -> Iterator[None]:
        """Make a folder, and count what is done in it: added to ``spent``.

        Raises:
            HintprobeError: the folder cannot be written.
        """
        start = time.perf_counter()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            threads = limited_threads(self.config.threads, min(self.config.processes, len(self.config.models)))
            with threads, self._counting() if uses_model else nullcontext() as count:
                yield
        except OSError as error:
            if error.errno not in CANNOT_WRITE:
                raise
            raise unwritable(folder, error) from error
        spent.seconds += time.perf_counter() - start
        spent.forwards += count.calls if count else 0

    def _counting(self) -> AbstractContextManager["ForwardCount"]:
        from activations import counting_forwards

        return counting_forwards(self.loaded.model)

    def mark(
        self, folder: Path, name: str, signature: str, inputs: Mapping[str, str], spent: Spent, **more: Any
    ) -> dict[str, Any]:
        """Write the marker of a folder that is complete."""
        done = signed(
            {
                "stage": name,
                "signature": signature,
                "account": {},
                "seconds": spent.seconds,
                "forwards": spent.forwards,
                "provenance": provenance(self.config).model_dump(mode="json"),
                "inputs": dict(inputs),
                "files": files_of(folder),
                "content": content_of(folder),
                **more,
            }
        )
        write_json(folder / MARKER, done)
        return done
