"""Activations by row id and position name: what a notebook works with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from activations.entries import row_hash
from activations.errors import HintprobeError
from activations.model_store import ModelStore
from activations.site_rows import SiteRows
from activations.sites import Site

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


@dataclass(frozen=True)
class ActivationView:
    """Rows with their ids and named positions, over a store. Nothing is read until it is asked for.

    Attributes:
        row_ids: one name per row; every array is aligned with them.
        hashes: per row, the hash of its token ids.
        positions: per name, the token index in each row; None where the row has no such position.
    """

    store: ModelStore
    row_ids: tuple[str, ...]
    hashes: tuple[bytes, ...]
    positions: Mapping[str, tuple[int | None, ...]]

    @classmethod
    def of(
        cls,
        store: ModelStore,
        rows: Sequence[Sequence[int]],
        positions: Mapping[str, Sequence[int | None]],
        row_ids: Sequence[str] | None = None,
    ) -> "ActivationView":
        """A view of rows that were captured before.

        Args:
            rows: token ids of each row.
            positions: per name, the token index in each row, or None.
            row_ids: the rows' names; their numbers if not given.

        Raises:
            HintprobeError: the lengths differ, or two rows have one id.
        """
        ids = tuple(row_ids) if row_ids is not None else tuple(str(k) for k in range(len(rows)))
        lengths = {name: len(places) for name, places in positions.items()} | {"row_ids": len(ids)}
        wrong = [f"{name} {n}" for name, n in lengths.items() if n != len(rows)]
        if wrong or len(set(ids)) != len(ids):
            raise HintprobeError(
                f"A view needs one id of its own and one token index (or None) per row: {len(rows)} rows were given, "
                f"{len(set(ids))} distinct ids, and {', '.join(wrong) or 'as many of each'}."
            )
        named = {name: tuple(places) for name, places in positions.items()}
        return cls(store, ids, tuple(row_hash(row) for row in rows), named)

    def rows(self, site: Site | str, position: str) -> SiteRows:
        """One site and position of all rows, to be read all at once or a few at a time (``rows[[3, 1, 2]]``).

        Raises:
            HintprobeError: an unknown site or position, rows that lack the position, values that are not in the store.
        """
        site = Site.parse(site) if isinstance(site, str) else site
        tokens = self._position(position)
        entries = [(row, token) for row, token in zip(self.hashes, tokens, strict=True) if token is not None]
        if len(entries) < len(tokens):
            raise HintprobeError(
                f"{len(tokens) - len(entries)} of {len(tokens)} rows have no position {position!r}. Select the rows "
                f"that have it: view.resolved({position!r}).read(...)."
            )
        return self.store.rows(site, entries)

    def _position(self, name: str) -> tuple[int | None, ...]:
        if name not in self.positions:
            raise HintprobeError(f"There is no position {name!r} in this view. Known: {', '.join(self.positions)}.")
        return self.positions[name]

    def read(self, site: Site | str, position: str) -> "Float[Tensor, 'row width']":
        """One site and position of all rows, in the dtype they were captured in.

        Raises:
            HintprobeError: as :meth:`rows`, or a damaged shard.
        """
        return self.rows(site, position).torch()

    def numpy(self, site: Site | str, position: str) -> NDArray[np.floating]:
        """The same for numpy; bfloat16, which numpy lacks, as float32 (exact)."""
        return self.rows(site, position).numpy()

    def resolved(self, *names: str) -> "ActivationView":
        """The rows that have all of these positions.

        Raises:
            HintprobeError: an unknown position.
        """
        places = [self._position(name) for name in names]
        kept = [i for i in range(len(self.row_ids)) if all(tokens[i] is not None for tokens in places)]
        positions = {name: tuple(tokens[i] for i in kept) for name, tokens in self.positions.items()}
        ids, hashes = tuple(self.row_ids[i] for i in kept), tuple(self.hashes[i] for i in kept)
        return ActivationView(self.store, ids, hashes, positions)

    def to_frame(self, site: Site | str, position: str) -> "pd.DataFrame":
        """One site and position as a table: a line per row id, a column per feature."""
        import pandas as pd

        index = pd.Index(list(self.row_ids), name="row")
        return pd.DataFrame(self.numpy(site, position), index=index).rename_axis(columns="feature")

    def _repr_html_(self) -> str:
        import pandas as pd

        there = {name: sum(token is not None for token in tokens) for name, tokens in self.positions.items()}
        sites = ", ".join(map(str, self.store.sites)) or "none yet"
        frame = pd.DataFrame({"position": list(there), "rows that have it": list(there.values())})
        return f"<p>{len(self.row_ids)} rows; sites in the store: {escape(sites)}</p>{frame.to_html(index=False)}"

    def to_xarray(self, sites: Sequence[Site | str] | None = None, positions: Sequence[str] | None = None) -> Any:
        """A DataArray with the dimensions site, position, row and feature; sites of one width only.

        Raises:
            HintprobeError: xarray is not installed, or as :meth:`rows`.
        """
        try:
            import xarray
        except ImportError as error:
            raise HintprobeError("Views with named dimensions need xarray: pip install 'hintprobe[xarray]'.") from error
        names = [str(site) for site in (self.store.sites if sites is None else sites)]
        places = list(self.positions if positions is None else positions)
        arrays = [[self.numpy(site, position) for position in places] for site in names]
        widths = {array.shape[1:] for line in arrays for array in line}
        if len(widths) != 1:
            raise HintprobeError(
                f"Sites of {len(widths)} widths ({sorted(widths)}) cannot be put into one array. Name sites of one "
                "width."
            )
        coords = {"site": names, "position": places, "row": list(self.row_ids)}
        return xarray.DataArray(np.array(arrays), dims=("site", "position", "row", "feature"), coords=coords)
