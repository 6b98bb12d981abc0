"""A finished run for scripts and notebooks: every record as a data frame, maps as named arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from activations import ActivationStore, Site
from activations.errors import HintprobeError
from experiments.records import Condition
from experiments.records.accounts import CaptureAccount
from experiments.records.files import is_listed, read_checked
from experiments.records.stages import TABLES
from experiments.records.summary import ModelSummary
from experiments.report.brief import brief
from experiments.report.export import detector_rows_of
from experiments.report.judges import reading_rows
from experiments.report.monitoring import cascade_rows
from experiments.report.runs import Run, read_run
from experiments.report.terminal import headline

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, repr=False)
class ModelResults:
    """What a run found of one model."""

    run: Run
    summary: ModelSummary

    @property
    def name(self) -> str:
        """The model, as the configuration names it."""
        return self.summary.model

    def table(self, name: str) -> pd.DataFrame:
        """One of the run's record tables, a row per record, with the columns that docs/format.md lists.

        Args:
            name: one of :data:`experiments.records.stages.TABLES`, such as items, rollouts, labels, scores, cells.

        Raises:
            HintprobeError: there is no such table, or the stage that writes it has not run.
        """
        if name not in TABLES:
            raise HintprobeError(f"There is no table {name!r}. Known: {', '.join(TABLES)}.")
        stage, table = TABLES[name]
        if stage not in self.summary.stages:
            raise HintprobeError(
                f"The table {name!r} is written by the stage {stage!r}, which has not run on {self.name}. Run "
                f"`hintprobe {stage} CONFIG` first."
            )
        folder = self.run.folder / self.summary.folder / self.summary.stages[stage].folder
        path = table(folder).path
        # Ids may look like numbers and dates; nothing is to be guessed.
        if not path.exists() and not is_listed(path):
            return pd.DataFrame()
        return pd.read_json(BytesIO(read_checked(path)), lines=True, dtype=False)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row per hinted rollout, indexed by it: label, first judge's verdict, each detector's probability.

        ``reliance``, ``reliance_low`` and ``reliance_high`` are the posterior reliance probability of the row's item.

        Probabilities are held-out ones, in columns ``p_DETECTOR``; missing where a detector was not asked.
        """
        frame = self.table("labels").set_index("rollout_id")
        items = self.table("reliance")
        if len(items):
            columns = {"probability": "reliance", "low": "reliance_low", "high": "reliance_high"}
            frame = frame.join(items.set_index("item_id")[list(columns)].rename(columns=columns), on="item_id")
        verdicts = self.table("verdicts")
        if len(verdicts):
            first = verdicts[verdicts["judge"] == verdicts["judge"].iloc[0]].set_index("rollout_id")
            said = first["mentions"].astype("boolean") & first["relies"].astype("boolean")
            frame["verbalized"] = (said & ~first["only_verifies"].astype("boolean")).reindex(frame.index)
        if "probe" in self.summary.stages and len(scores := self.table("scores")):
            wide = scores.pivot(index="rollout_id", columns="detector", values="probability")
            frame = frame.join(wide.add_prefix("p_"))
        return frame

    def activations(
        self, site: str, position: str, condition: Condition = "hinted"
    ) -> tuple[Float[np.ndarray, "row width"], pd.DataFrame]:
        """The captured activations of the labelled rollouts, and their labels, row for row.

        Args:
            site: such as ``resid_post.3``.
            position: a named position of ``capture.positions``, such as ``cot_0.5``.
            condition: hinted, or the run of the same item and index without the hint (``unhinted``).

        Returns:
            ``[row, width]`` in float32, and :attr:`rows` of the same rows with a column ``stratum`` (kind and
            direction). Rollouts that lack the position are left out.

        Raises:
            HintprobeError: nothing was captured, or not at this site or position.
        """
        account = self.summary.account(CaptureAccount)
        if account is None:
            raise HintprobeError(f"Nothing of {self.name} was captured. Run `hintprobe capture CONFIG` first.")
        if site not in account.sites:
            raise HintprobeError(f"The site {site!r} was not captured. Captured sites: {', '.join(account.sites)}.")
        records, rows = self.run.records(self.summary), self.rows
        ids = [name if condition == "hinted" else records.partner(name, condition).id for name in rows.index]
        places = [records.positions.get(name) for name in ids]
        kept = [(k, at) for k, at in enumerate(places) if at is not None and position in at.tokens]
        if not kept:
            known = sorted({name for at in places if at is not None for name in at.tokens})
            raise HintprobeError(
                f"No {condition} rollout has the position {position!r}. Resolved: {', '.join(known) or 'none'}."
            )
        store = ActivationStore(self.run.folder.parent.parent / "store").named(account.store)
        entries = [(bytes.fromhex(at.row_hash), at.tokens[position]) for _, at in kept]
        frame = rows.iloc[[k for k, _ in kept]].copy()
        frame["stratum"] = frame["kind"] + " " + frame["direction"]
        return store.read(Site.parse(site), entries).float().numpy(), frame

    @property
    def detectors(self) -> pd.DataFrame:
        """The detector tables: a row per table and detector, with every figure and the ends of its interval."""
        return pd.DataFrame(detector_rows_of(self.run, self.summary)).drop(columns=["run", "model"], errors="ignore")

    @property
    def judges(self) -> pd.DataFrame:
        """The headline under each judge, their panel, the extremes and the worst cases: a row per reading."""
        found = self.summary.comparison.judges if self.summary.comparison else None
        return pd.DataFrame(reading_rows(found) if found is not None else [])

    @property
    def judge_agreement(self) -> pd.DataFrame:
        """Raw agreement, kappa and AC1 of every two judges: a row per pair and field."""
        found = self.summary.comparison.judges if self.summary.comparison else None
        return pd.DataFrame([pair.model_dump() for pair in found.agreement] if found is not None else [])

    @property
    def cascades(self) -> pd.DataFrame:
        """What recall costs where a judge reads only some rows: a row per judge and share of rows judged."""
        return pd.DataFrame(cascade_rows(self.summary.comparison) if self.summary.comparison else [])

    def validation(self, detector: str) -> pd.DataFrame:
        """Validation AUROC of a probe per site (rows, deepest last) and position (columns); never a reported figure.

        Raises:
            HintprobeError: the detector has no such map.
        """
        maps = self.summary.comparison.validation if self.summary.comparison else {}
        if detector not in maps:
            raise HintprobeError(
                f"There is no validation map of {detector!r} on {self.name}. "
                f"Detectors with a map: {', '.join(maps) or 'none'}."
            )
        cells = {(cell.site, cell.position): cell.auroc for cell in maps[detector] if cell.site}
        series = pd.Series(cells, dtype=float)
        series.index = pd.MultiIndex.from_tuples(series.index, names=["site", "position"])
        order = list(dict.fromkeys(series.index.get_level_values("position")))
        return series.unstack("position").reindex(columns=order, index=sorted({s for s, _ in cells}, key=_depth))

    def validation_array(self, detector: str) -> "xarray.DataArray":
        """The same as an array with the named dimensions ``site`` and ``position``.

        Raises:
            HintprobeError: xarray is not installed, or as :meth:`validation`.
        """
        try:
            import xarray
        except ImportError as error:
            raise HintprobeError(
                "Arrays with named dimensions need xarray: pip install 'hintprobe[xarray]'."
            ) from error
        return xarray.DataArray(self.validation(detector), name="validation AUROC")

    def __repr__(self) -> str:
        return "\n".join(brief(self.run.summary.model_copy(update={"models": (self.summary,)})))

    def _repr_html_(self) -> str:
        table = self.detectors
        shown = table[["table", "detector", "auroc", "auroc_low", "auroc_high"]] if len(table) else table
        return f"<p>{escape(headline(self.summary))}</p>" + shown.to_html(index=False, float_format="{:.2f}".format)


def _depth(site: str) -> tuple[int, str]:
    component, _, layer = site.partition(".")
    return (int(layer), component) if component != "resid_pre" else (int(layer), "")


@dataclass(frozen=True, repr=False)
class Results:
    """A run, model by model: iterate over it, or index it by a model's name."""

    run: Run

    @cached_property
    def models(self) -> dict[str, ModelResults]:
        """Results by model name, in the configuration's order."""
        return {model.model: ModelResults(self.run, model) for model in self.run.summary.models}

    def __iter__(self) -> Iterator[ModelResults]:
        return iter(self.models.values())

    def __getitem__(self, name: str) -> ModelResults:
        try:
            return self.models[name]
        except KeyError:
            known = ", ".join(self.models)
            raise HintprobeError(f"The run has no model {name!r}. It has: {known}.") from None

    @property
    def detectors(self) -> pd.DataFrame:
        """The detector tables of all models."""
        return pd.DataFrame([row for model in self for row in detector_rows_of(self.run, model.summary)])

    def __repr__(self) -> str:
        return "\n".join(brief(self.run.summary))

    def _repr_html_(self) -> str:
        return "".join(f"<h3>{escape(model.name)}</h3>{model._repr_html_()}" for model in self)


def read_results(folder: Path | str) -> Results:
    """Open a run's folder, finished or not.

    Args:
        folder: what ``hintprobe run`` wrote, such as ``cache/runs/demo``.

    Raises:
        HintprobeError: there is no run, or a newer hintprobe wrote it.
    """
    return Results(read_run(Path(folder)))
