"""One model within a run: where its records lie, and how a stage is run once and never twice."""

import platform
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from activations import LoadedModel, Part, counting_forwards, fingerprint, load_model, load_tokenizer
from activations.errors import HintprobeError
from experiments.config import Config
from experiments.records.seeds import stable_int
from experiments.records.tables import read_json, write_json
from experiments.run.known_models import resolve_model
from experiments.run.progress import Reporter

RECORDS_VERSION = 1
"""Part of every stage's signature: records of another version are written beside, not over."""


@dataclass(frozen=True)
class StageResult:
    """A finished stage.

    Attributes:
        signature: hash of everything that the stage's output depends on.
        account: what the stage counted.
        fresh: it ran just now, rather than being found.
    """

    name: str
    signature: str
    folder: Path
    account: dict[str, Any]
    seconds: float
    forwards: int
    fresh: bool


StillThere = Callable[[Path, dict[str, Any]], bool]
"""Given a finished stage's folder and account: is what it keeps elsewhere still there?"""


def found_in(folder: Path, still_there: StillThere) -> dict[str, Any]:
    """What a finished stage's marker says; empty where the stage is to run."""
    marker = folder / "done.json"
    done: dict[str, Any] = read_json(marker) if marker.exists() else {}
    return done if done and still_there(folder, done["account"]) else {}


def provenance(config: Config) -> dict[str, Any]:
    """What a reader needs to run the same thing again."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain")
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy", "scikit-learn", "h5py")},
        "config": config.model_dump(mode="json"),
    }


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
        name: str,
        depends: tuple[object, ...],
        body: Callable[[Path], dict[str, Any]],
        uses_model: bool,
        still_there: StillThere = lambda folder, account: True,
    ) -> StageResult:
        """Run ``body`` unless its output for these inputs is already there.

        Args:
            depends: everything the output depends on, besides the model and the record version.
            body: writes into the stage's folder and returns an account (JSON values).
            uses_model: the body may run forwards, which are then counted.
            still_there: given a finished stage's folder and account, is what it keeps elsewhere still there?

        Raises:
            HintprobeError: the folder cannot be written.
        """
        signature, folder = self.place(name, depends)
        done = found_in(folder, still_there)
        fresh = not done
        if fresh and self.part is not None and name != "capture":
            raise HintprobeError(
                f"The stage {name} is not finished, and a part of a capture ({self.part}) does not run it. Run "
                "`hintprobe judge CONFIG` once, then every part."
            )
        if fresh:
            done = self._run(name, signature, folder, body, uses_model)
        result = StageResult(name, signature, folder, done["account"], done["seconds"], done["forwards"], fresh)
        self.results[name] = result
        forwards = result.forwards if fresh else 0
        how = f"{result.seconds:5.1f} s" if fresh else "found"
        self.reporter.say(f"  {name:<9}{how:>9}   {forwards} model forwards   {_brief(result.account)}")
        return result

    def place(self, name: str, depends: tuple[object, ...]) -> tuple[str, Path]:
        """Signature of a stage with these inputs, and the folder that its output lies in or will."""
        signature = f"{stable_int(RECORDS_VERSION, self.fingerprint, name, *depends):016x}"
        return signature, self.folder / f"{name}-{signature[:8]}"

    def _run(
        self, name: str, signature: str, folder: Path, body: Callable[[Path], dict[str, Any]], uses_model: bool
    ) -> dict[str, Any]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        start = time.perf_counter()
        with counting_forwards(self.loaded.model) if uses_model else nullcontext() as count:
            try:
                account = body(folder)
            except PermissionError as error:
                raise unwritable(folder, error) from error
        done = {
            "stage": name,
            "signature": signature,
            "account": account,
            "seconds": time.perf_counter() - start,
            "forwards": count.calls if count else 0,
            "provenance": provenance(self.config),
        }
        write_json(folder / "done.json", done)
        return done


def unwritable(folder: Path, error: OSError) -> HintprobeError:
    """The message for a cache that cannot be written."""
    return HintprobeError(
        f"The folder {folder} cannot be written: {error.strerror or error}. What was there is untouched. Choose "
        "another place with `cache:` in the config or `--cache`, then run again."
    )


def _brief(account: dict[str, Any]) -> str:
    return ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in account.items() if isinstance(value, int))
