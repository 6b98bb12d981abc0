"""nnsight 0.8, on a copy of the model; also its remote path, here or on its service."""

import copy
import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from nnsight import TransformersModel

from activations.backends.base import ALL_COMPONENTS, Edits, Options, Selected, Where
from activations.batching import PaddedBatch
from activations.errors import HintprobeError
from activations.hooks import place
from activations.models import LoadedModel
from activations.names import Component
from activations.sites import Site

Remote = Literal[False, True, "local"]


class NnsightBackend:
    """Reads and edits inside a trace, at the modules that the native backend hooks.

    Args:
        options: ``remote`` of them: ``True`` sends traces to nnsight's service (a hub id and an API key are needed),
            ``"local"`` simulates that here.
    """

    name = "nnsight"
    components: tuple[Component, ...] = ALL_COMPONENTS
    edits = True

    def __init__(self, loaded: LoadedModel, options: Options | None = None) -> None:
        self.loaded, self.remote = loaded, (options or Options()).remote
        if self.remote is True:  # another machine's kernels: numbers of their own
            self.loaded = dataclasses.replace(loaded, variant={**loaded.variant, "backend": "nnsight_remote"})
        self._names = {id(module): name for name, module in loaded.model.named_modules()}
        self.wrapped = _wrapped(loaded, self.remote)
        self.model: torch.nn.Module = self.wrapped._module

    @torch.no_grad()
    def read(self, batch: PaddedBatch, where: Where, sites: Sequence[Site]) -> Selected:
        """See :class:`~activations.backends.base.Backend`."""
        ordered = sorted(set(sites))  # a trace must read in the order of the forward
        places = [self._place(site) for site in ordered]
        # The block is sent away as source: it may use torch and these plain values, and nothing of this package.
        model, rows = self.wrapped, torch.arange(len(where), device=where.device)[:, None]
        with model.trace(_inputs(batch), **self._options()) as trace:
            found: Any = list().save()  # type: ignore[attr-defined]  # noqa: C408
            for path, enters in places:
                module = model.get(path)
                value = module.input if enters else module.output
                found.append((value if isinstance(value, torch.Tensor) else value[0])[rows, where])
            trace.stop()
        self._check_dtype(found)
        return dict(zip(ordered, found, strict=True))

    def _check_dtype(self, found: Sequence[Tensor]) -> None:
        other = {value.dtype for value in found} - {self.loaded.model.dtype}
        if other:
            raise HintprobeError(
                f"nnsight gives {other.pop()}, and the model is loaded in {self.loaded.model.dtype}. Set `dtype` to "
                "the dtype in which its service runs the model."
            )

    @torch.no_grad()
    def logits(self, batch: PaddedBatch, edits: Edits | None = None) -> Tensor:
        """See :class:`~activations.backends.base.Backend`."""
        ordered = sorted((edits or {}).items(), key=lambda edit: edit[0])
        places = [(*self._place(site), where, new.to(self.loaded.model.dtype)) for site, (where, new) in ordered]
        model, rows = self.wrapped, torch.arange(len(batch.ids), device=batch.ids.device)[:, None]
        with model.trace(_inputs(batch), **self._options()):
            for path, enters, where, new in places:
                module = model.get(path)
                value = module.input if enters else module.output
                (value if isinstance(value, torch.Tensor) else value[0])[rows, where] = new
            output = model.output.logits.save()
        logits: Tensor = output
        return logits

    def _options(self) -> dict[str, Any]:
        return {"remote": self.remote} if self.remote else {}

    def _place(self, site: Site) -> tuple[str, bool]:
        """Path of the module, and whether its input or its output is the site."""
        module, enters = place(self.loaded.model, site)
        return self._names[id(module)], enters


def _inputs(batch: PaddedBatch) -> dict[str, Tensor]:
    return {"input_ids": batch.ids, "attention_mask": batch.mask.long(), "position_ids": batch.position_ids}


def _wrapped(loaded: LoadedModel, remote: Remote) -> Any:
    """Wrapping replaces every module's ``forward`` and may set the tokenizer's padding side, hence the copies."""
    tokenizer = copy.deepcopy(loaded.tokenizer)
    if remote is True:
        if "/" not in loaded.name:
            raise HintprobeError(
                f"nnsight's service runs hub models, and {loaded.name!r} was loaded from a folder. Give the hub id."
            )
        return TransformersModel(loaded.name, task="text-generation", tokenizer=tokenizer)
    model = copy.deepcopy(loaded.model)
    return TransformersModel(model, task="text-generation", tokenizer=tokenizer, dispatch=True)
