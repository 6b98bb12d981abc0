"""A stage whose rows can be computed apart: all of it in one process, one of its parts, or all of them joined."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, cast

from activations import Part
from activations.errors import HintprobeError
from experiments.run.finding import StillThere, found_in
from experiments.run.lock import LOCK, HeldError, holding
from experiments.run.model_run import A, ModelRun, Spent, StageResult
from experiments.run.part_folders import (
    begin,
    finished,
    folder_of,
    forget,
    gather,
    keep_config,
    parts_there,
    refuse_missing,
    refuse_others,
)
from experiments.run.parts import Share, Work, added, compute, units_of, whole

Open = Callable[[Path], Work]


def split(
    run: ModelRun,
    account: type[A],
    depends: tuple[object, ...],
    open_work: Open,
    uses_model: bool,
    still_there: StillThere = lambda folder, account: True,
) -> StageResult | None:
    """Run a stage, or do what this process does of it; what is there already is found, as :meth:`ModelRun.stage` does.

    Args:
        account: what the stage counts; it names the stage.
        depends: everything the output depends on, besides the model and the record version.
        open_work: the stage's work, its tables in a folder.
        uses_model: computing rows may run forwards; what is made of all rows runs none.
        still_there: given a finished stage's folder and account, is what it keeps elsewhere still there?

    Returns:
        None where a part was done and others are missing.

    Raises:
        HintprobeError: parts that are missing or do not fit together, or a folder that cannot be written.
    """
    if run.share is None or account.STAGE not in run.share.stages:
        body = cast("Callable[[Path], A]", lambda folder: whole(open_work(folder), run.reporter))
        return run.stage(account, depends, body, uses_model, still_there)
    return _Shared(run, run.share, account, depends, open_work, uses_model, still_there).run_it()


@dataclass
class _Shared(Generic[A]):
    """A stage of which this process does a part, or joins the parts."""

    run: ModelRun
    share: Share
    account: type[A]
    depends: tuple[object, ...]
    open_work: Open
    uses_model: bool
    still_there: StillThere

    def __post_init__(self) -> None:
        self.name = self.account.STAGE
        self.signature, self.folder = self.run.place(self.name, self.depends)
        self.inputs = self.run.inputs(self.depends)
        self.config = self.run.config.model_dump(mode="json")

    def run_it(self) -> StageResult | None:
        if found_in(self.folder, self.account, self.still_there, self.inputs).marker:
            return self._stage(None)
        if self.share.scratch is not None:
            self.share.units.extend(len(rows) for rows in units_of(self.open_work(self.share.scratch)))
            return None
        if self.share.part is not None:
            self._do(self.share.part)
            if parts_there(self.folder, self.inputs)[1]:
                return None
            with suppress(HeldError), holding(self.run.config.run_dir, LOCK):  # the last part to end joins them all
                return self._join()
            return None
        return self._join()

    def _stage(self, spent: Spent | None) -> StageResult:
        def body(folder: Path) -> A:
            assert spent is not None
            return self._joined(folder, spent)

        return self.run.stage(self.account, self.depends, body, False, self.still_there, spent)

    def _do(self, part: Part) -> None:
        folder, run = folder_of(self.folder, part), self.run
        keep_config(self.folder, self.name, self.config)
        done = finished(folder, self.inputs)
        if not done:
            begin(folder, self.share.anew)
            spent = Spent()
            with run.measured(folder, self.uses_model, spent):
                work = self.open_work(folder)
                rows = compute(work, run.reporter, part)
                counts = work.close()
            more = {"part": str(part), "rows": rows, "counts": counts}
            done = run.mark(folder, self.name, self.signature, self.inputs, spent, **more)
            self.share.made.append(part)
        run.reporter.say(f"  {self.name:<9} part {part}   {done['rows']} rows   {done['forwards']} model forwards")

    def _join(self) -> StageResult:
        done, left = parts_there(self.folder, self.inputs)
        if not done and not left:
            refuse_others(self.folder, self.name, self.config)
            return self._stage(None)  # which refuses it
        refuse_missing(self.name, left)
        result = self._stage(Spent())
        if not self.still_there(self.folder, result.account):
            raise HintprobeError(
                f"The parts of the stage {self.name} are joined, but files beside their tables are missing. Run "
                f"`hintprobe {self.name} CONFIG` once: it computes what is missing."
            )
        forget(self.folder)
        return result

    def _joined(self, folder: Path, spent: Spent) -> A:
        markers = gather(folder, parts_there(self.folder, self.inputs)[0], self.inputs)
        spent.seconds = sum(marker["seconds"] for marker in markers)
        spent.forwards = sum(marker["forwards"] for marker in markers)
        return cast("A", self.open_work(folder).finish(added([marker["counts"] for marker in markers])))
