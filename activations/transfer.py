"""From the device to the CPU without waiting: a batch is copied while the next one runs."""

from collections import defaultdict
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from activations.sites import Site

Selected = dict[Site, Float[Tensor, "row position width"]]


@dataclass
class _Slab:
    """Tensors of one shape and device, stacked, so that one copy moves them all."""

    sites: list[Site]
    values: Float[Tensor, "site row position width"]
    finite: Bool[Tensor, "site row"]
    arrived: "torch.cuda.Event | None" = None


_copy_streams: dict[torch.device, "torch.cuda.Stream"] = {}


class Transfer:
    """A copy under way; :meth:`wait` gives the tensors.

    On CUDA the copy goes into pinned memory on a stream of its own. Elsewhere there is nothing to wait for, and the
    same steps are taken without it.
    """

    def __init__(self, selected: Selected) -> None:
        alike: dict[tuple[int, torch.device], list[Site]] = defaultdict(list)
        for site, value in selected.items():
            alike[value.shape[-1], value.device].append(site)
        self._slabs = [_sent(sites, torch.stack([selected[site] for site in sites])) for sites in alike.values()]

    def wait(self) -> tuple[Selected, list[tuple[Site, int]]]:
        """What was read, and the (site, row) pairs that are not finite, in the order of a forward."""
        result: Selected = {}
        broken: list[tuple[Site, int]] = []
        for slab in self._slabs:
            values = slab.values
            if slab.arrived is not None:
                slab.arrived.synchronize()
                values = values.clone()  # the pinned memory goes back to its pool
            result |= dict(zip(slab.sites, values, strict=True))
            broken += [(slab.sites[s], int(row)) for s, row in (~slab.finite).nonzero().tolist()]
        return result, sorted(broken)


def _sent(sites: list[Site], values: Tensor) -> _Slab:
    finite = torch.isfinite(values).flatten(2).all(-1)
    if values.device.type != "cuda":
        return _Slab(sites, values.cpu(), finite.cpu())
    if values.device not in _copy_streams:
        _copy_streams[values.device] = torch.cuda.Stream(values.device)
    stream = _copy_streams[values.device]
    stream.wait_stream(torch.cuda.current_stream(values.device))
    with torch.cuda.stream(stream):
        slab = _Slab(sites, _pinned(values, stream), _pinned(finite, stream), torch.cuda.Event())
        slab.arrived.record(stream)  # type: ignore[union-attr]
    return slab


def _pinned(values: Tensor, stream: "torch.cuda.Stream") -> Tensor:
    """Start a copy; the source must not be reused before the stream is done with it."""
    values.record_stream(stream)
    return torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values, non_blocking=True)
