"""One model within a run: where its records lie, and how a stage is run once and never twice."""

import errno
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from activations import LoadedModel, Part, counting_forwards, fingerprint, load_model, load_tokenizer
from activations.errors import HintprobeError
from experiments.config import Config
from experiments.records.accounts import Account
from experiments.records.files import (
    MARKER,
    SUMS,
    content_of,
    faults_of,
    files_of,
    read_marker,
    set_aside,
    signed,
    unwritable,
    write_json,
)
from experiments.records.run_records import RunRecords
from experiments.records.seeds import stable_int
from experiments.records.summary import Provenance
from experiments.run.known_models import resolve_model
from experiments.run.progress import Reporter

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


StillThere = Callable[[Path, Any], bool]
"""Given a finished stage's folder and account: is what it keeps elsewhere still there?"""


@dataclass(frozen=True)
class Found:
    """What there is of a stage.

    Attributes:
        marker: what the marker of a finished stage says; empty where the stage is to run.
        account: what the finished stage counted.
        faults: files of a finished stage that are not as it wrote them, and in which way.
        outdated: the stage was made from other records of the stages before than there are now.
    """

    marker: dict[str, Any]
    account: Account | None = None
    faults: dict[str, str] = field(default_factory=dict)
    outdated: bool = False


def found_in(
    folder: Path, account: type[Account], still_there: StillThere, inputs: Mapping[str, str] | None = None
) -> Found:
    """Look a stage up: its marker, and whether its files are what the marker says.

    Args:
        account: what the stage counts.
        inputs: contents of the stages before, by name.

    Raises:
        HintprobeError: a file is there and cannot be read.
    """
    done, fault = read_marker(folder)
    if fault:
        return Found({}, faults={MARKER: fault})
    if not done:
        return Found({})
    try:
        counted = account.model_validate(done["account"])
    except ValidationError:
        return Found({}, faults={MARKER: "holds an account that is not this stage's"})
    if faults := faults_of(folder, done.get("files", {})):
        return Found({}, faults=faults)
    made_from = done.get("inputs", {})
    if any(made_from.get(name, now) != now for name, now in (inputs or {}).items()):
        return Found({}, outdated=True)
    return Found(done, counted) if still_there(folder, counted) else Found({})


def provenance(config: Config) -> Provenance:
    """What a reader needs to run the same thing again."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:  # no git here
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain")
    return Provenance(
        commit=git("rev-parse", "HEAD"),
        dirty=None if status is None else bool(status),
        python=platform.python_version(),
        versions={name: version(name) for name in ("torch", "transformers", "numpy", "scikit-learn", "h5py")},
        config=config.model_dump(mode="json"),
    )


@dataclass
class ModelRun:
    """One model of a run.

    Attributes:
        part: the share of the capture that this process takes; None for all of it.
    """

    config: Config
    model_name: str
    reporter: Reporter = field(default_factory=Reporter)
    results: dict[str, StageResult] = field(default_factory=dict)
    part: Part | None = None

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
    ) -> StageResult:
        """Run ``body`` unless its output for these inputs is already there.

        Args:
            account: what the stage counts; it names the stage.
            depends: everything the output depends on, besides the model and the record version.
            body: writes into the stage's folder and returns the account.
            uses_model: the body may run forwards, which are then counted.
            still_there: given a finished stage's folder and account, is what it keeps elsewhere still there?

        Raises:
            HintprobeError: the folder cannot be written.
        """
        name = account.STAGE
        signature, folder = self.place(name, depends)
        inputs = {other: r.content for other, r in self.results.items() if r.content and r.signature in depends}
        found = found_in(folder, account, still_there, inputs)
        done, counted, fresh = found.marker, found.account, not found.marker
        if fresh and self.part is not None and name != "capture":
            raise HintprobeError(
                f"The stage {name} is not finished, and a part of a capture ({self.part}) does not run it. Run "
                "`hintprobe judge CONFIG` once, then every part."
            )
        if fresh:
            self._clear(name, folder, found)
            done, counted = self._run(name, signature, folder, body, uses_model, inputs)
        elif "files" not in done:  # written by an earlier version
            done = self._complete(folder, done, inputs)
        content = done.get("content", "")
        result = StageResult(name, signature, folder, counted, done["seconds"], done["forwards"], fresh, content)
        self.results[name] = result
        forwards = result.forwards if fresh else 0
        how = f"{result.seconds:5.1f} s" if fresh else "found"
        self.reporter.say(f"  {name:<9}{how:>9}   {forwards} model forwards   {counted.brief() if counted else ''}")
        return result

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
            self.reporter.say(
                f"  {name}: what it was made from has been made again since, and differs; it is made again"
            )
            set_aside(folder)
            return
        for file, fault in found.faults.items():
            self.reporter.warn(f"  {name}: {file} {fault.removeprefix(MARKER).strip()}; the stage is made again")
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
    ) -> tuple[dict[str, Any], Account]:
        start = time.perf_counter()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with counting_forwards(self.loaded.model) if uses_model else nullcontext() as count:
                account = body(folder)
        except OSError as error:
            if error.errno not in CANNOT_WRITE:
                raise
            raise unwritable(folder, error) from error
        done = signed(
            {
                "stage": name,
                "signature": signature,
                "account": account.model_dump(mode="json"),
                "seconds": time.perf_counter() - start,
                "forwards": count.calls if count else 0,
                "provenance": provenance(self.config).model_dump(mode="json"),
                "inputs": dict(inputs),
                "files": files_of(folder),
                "content": content_of(folder),
            }
        )
        write_json(folder / MARKER, done)
        return done, account
