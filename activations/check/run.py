"""Run every check on one model under one backend."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import torch
from torch import Tensor

from activations.abilities import abilities
from activations.backends import Backend, NativeBackend
from activations.batching import Ids, PaddedBatch, pad_left, pad_right
from activations.capturing import Captured, capture, padded_positions
from activations.check import reference
from activations.check.reference import vector_error
from activations.check.report import CheckReport, Finding
from activations.check.traces import Traces
from activations.errors import HintprobeError
from activations.hooks import place
from activations.models import LoadedModel
from activations.names import Component
from activations.sites import Site, decoder_blocks

LENGTHS = (24, 7, 16, 1)
"""Tokens of the rows: every position of each is looked at."""

TOLERANCE = 1e-5
"""Of a token's norm in float32; in half precision eight units of rounding; or four times the measured noise."""


@dataclass
class _Subject:
    """A model under check, and the values that several checks share."""

    backend: Backend
    original: LoadedModel
    rows: list[Ids]
    tolerance: float
    components: tuple[Component, ...]

    @property
    def n_layers(self) -> int:
        return len(decoder_blocks(self.original.model))

    @property
    def sites(self) -> list[Site]:
        return [Site(layer, component) for layer in range(self.n_layers) for component in self.components]

    @property
    def few(self) -> list[Site]:
        """First, middle and last layer: edits cost a forward each."""
        layers = sorted({0, self.n_layers // 2, self.n_layers - 1})
        return [Site(layer, component) for layer in layers for component in self.components]

    def alone(self, row: Ids, sites: Sequence[Site], backend: Backend | None = None) -> Captured:
        """All positions of one row, captured by itself: per site ``[token, width]``."""
        running = backend or self.backend
        ((_, values),) = capture(running.loaded, [row], [range(len(row))], sites, backend=running)
        return {site: values[site][0] for site in sites}

    @cached_property
    def singles(self) -> list[Captured]:
        """Every row by itself."""
        return [self.alone(row, self.sites) for row in self.rows]

    def padded(self, left: bool) -> list[Captured]:
        """Every row, read in one padded batch."""
        loaded, positions = self.backend.loaded, [range(len(row)) for row in self.rows]
        batch = (pad_left if left else pad_right)(self.rows, loaded.pad_id, loaded.device)
        read = self.backend.read(batch, padded_positions(batch, positions), self.sites)
        return [{s: read[s][i, : len(row)].cpu() for s in self.sites} for i, row in enumerate(self.rows)]

    def compare(self, name: str, pairs: Iterator[tuple[str, Tensor, Tensor]], limit: float) -> Finding:
        """The worst of several comparisons."""
        errors = [(vector_error(found, expected), where) for where, found, expected in pairs]
        error, where = max(errors, default=(0.0, ""))
        return Finding(name, error <= limit, error, limit, where if error > 0 else "")


def _hidden_states(subject: _Subject) -> Iterator[Finding]:
    """Against transformers' own hidden states, row by row without padding."""
    norm = reference.final_norm(subject.original.model)
    states = [reference.states_alone(subject.original, row) for row in subject.rows]
    last = subject.n_layers - 1

    def stream() -> Iterator[tuple[str, Tensor, Tensor]]:
        for expected, found in zip(states, subject.singles, strict=True):
            for layer in range(subject.n_layers):
                if "resid_pre" in subject.components:
                    yield f"resid_pre.{layer}", found[Site(layer, "resid_pre")], expected[layer].cpu()
                if layer < last and "resid_post" in subject.components:
                    yield f"resid_post.{layer}", found[Site(layer, "resid_post")], expected[layer + 1].cpu()

    def normed() -> Iterator[tuple[str, Tensor, Tensor]]:
        assert norm is not None
        device = next(norm.parameters()).device
        for expected, found in zip(states, subject.singles, strict=True):
            yield f"resid_post.{last}", norm(found[Site(last, "resid_post")].to(device)).cpu(), expected[-1].cpu()

    yield subject.compare("the residual stream equals transformers' hidden states", stream(), subject.tolerance)
    if norm is not None and "resid_post" in subject.components:
        yield subject.compare("the last residual is taken before the final norm", normed(), subject.tolerance)


def _sums(subject: _Subject) -> Iterator[Finding]:
    """What attention and MLP add leads from what enters a block to what leaves it."""
    if not {"resid_pre", "attn_out", "mlp_out", "resid_post"} <= set(subject.components):
        return

    def pairs() -> Iterator[tuple[str, Tensor, Tensor]]:
        for found in subject.singles:
            for layer in range(subject.n_layers):
                pre, attn, mlp, post = (
                    found[Site(layer, c)].float() for c in ("resid_pre", "attn_out", "mlp_out", "resid_post")
                )
                yield f"resid_post.{layer}", pre + attn + mlp, post
                if "resid_mid" in subject.components:
                    yield f"resid_mid.{layer}", pre + attn, found[Site(layer, "resid_mid")].float()

    # The model adds in its own dtype: each of the two sums is rounded once.
    limit = max(TOLERANCE, 2 * torch.finfo(subject.original.model.dtype).eps)
    yield subject.compare("what attention and MLP add sums up to the stream", pairs(), limit)


def _native(subject: _Subject) -> Iterator[Finding]:
    """Against the native backend, every component."""
    if isinstance(subject.backend, NativeBackend):
        return
    native = NativeBackend(subject.original)

    def pairs() -> Iterator[tuple[str, Tensor, Tensor]]:
        for row, found in zip(subject.rows, subject.singles, strict=True):
            for site, expected in subject.alone(row, subject.sites, native).items():
                yield str(site), found[site], expected

    yield subject.compare("every site equals the native backend's", pairs(), subject.tolerance)


def _paddings(subject: _Subject) -> Iterator[Finding]:
    """A row's numbers do not depend on its neighbours, nor on the side that is padded."""
    before = abilities(subject.original.model).pads_left  # else rows are never padded on the left
    left, right, again = subject.padded(left=before), subject.padded(left=False), subject.padded(left=before)

    def pairs(some: list[Captured], others: list[Captured]) -> Iterator[tuple[str, Tensor, Tensor]]:
        for a, b in zip(some, others, strict=True):
            yield from ((str(site), a[site], b[site]) for site in subject.sites)

    yield subject.compare("a batch equals single rows", pairs(left, subject.singles), subject.tolerance)
    if before:
        yield subject.compare("left padding equals right padding", pairs(left, right), subject.tolerance)
    yield subject.compare("the same capture twice is the same", pairs(again, left), subject.tolerance)


def _edits(subject: _Subject) -> Iterator[Finding]:
    """Replacing a state by itself does nothing; by another, something, and only from there on."""
    loaded = subject.backend.loaded
    rows = [row for row in subject.rows if len(row) > 2]
    batch = _padded(loaded, rows)
    where = padded_positions(batch, [[len(row) // 2] for row in rows])
    clean = subject.backend.logits(batch)
    # The same shapes give the same bits, but for kernels that add in no fixed order.
    chance = max(TOLERANCE, 4 * vector_error(subject.backend.logits(batch)[batch.mask], clean[batch.mask]))
    own = subject.backend.read(batch, where, subject.few)
    later = batch.mask & (torch.arange(batch.ids.shape[1], device=where.device) >= where)
    earlier = batch.mask & ~later
    same: list[tuple[str, Tensor, Tensor]] = []
    before: list[tuple[str, Tensor, Tensor]] = []
    effects: dict[Site, float] = {}
    for site in subject.few:
        itself = subject.backend.logits(batch, {site: (where, own[site])})
        edited = subject.backend.logits(batch, {site: (where, own[site].flip(-1))})
        same.append((str(site), itself[batch.mask], clean[batch.mask]))
        before.append((str(site), edited[earlier], clean[earlier]))
        effects[site] = _least_effect(edited, clean, later)
    yield subject.compare("patching a run with itself changes nothing", iter(same), chance)
    weakest = min(effects, key=lambda site: effects[site])
    least = 10 * chance
    name = "editing a site changes the logits"
    yield Finding(name, effects[weakest] > least, effects[weakest], least, f"least at {weakest}")
    # Not the chance of equal shapes: 8-bit kernels pick outliers over the whole batch, so other tokens count.
    yield subject.compare("an edit changes no earlier token", iter(before), subject.tolerance)


def _least_effect(edited: Tensor, clean: Tensor, later: Tensor) -> float:
    """Of the rows, the one that moved least, at its token that moved most."""
    return min(vector_error(edited[i, later[i]], clean[i, later[i]]) for i in range(len(later)))


def _resolution(subject: _Subject) -> Finding:
    """Can the comparison tell a layer from the next? In half precision and depth it might not."""
    steps = {}
    for layer in range(subject.n_layers):
        before, after = Site(layer, "resid_pre"), Site(layer, "resid_post")
        if "resid_post" not in subject.components:  # the next block's input then stands for what leaves this one
            if layer + 1 == subject.n_layers:
                break
            after = Site(layer + 1, "resid_pre")
        moved = torch.cat(
            [
                (found[after] - found[before]).float().norm(dim=-1) / found[before].float().norm(dim=-1)
                for found in subject.singles
            ]
        )
        steps[layer] = float(moved.max())  # errors, too, are looked at where they are largest
    layer = min(steps, key=lambda k: steps[k])
    name = "noise is smaller than a step between layers"
    return Finding(name, subject.tolerance < steps[layer], subject.tolerance, steps[layer], f"block {layer}")


def _components(loaded: LoadedModel) -> tuple[tuple[Component, ...], dict[str, str]]:
    """Those that the model has, and why not the others."""
    there: list[Component] = []
    refused: dict[str, str] = {}
    for component in get_args(Component):
        try:
            for layer in range(len(decoder_blocks(loaded.model))):
                place(loaded.model, Site(layer, component))
            there.append(component)
        except HintprobeError as error:
            refused[component] = str(error)
    return tuple(there), refused


def check_model(loaded: LoadedModel, backend: Backend | None = None, seed: int = 0) -> CheckReport:
    """Hold captures and edits of a model against transformers' own numbers and against themselves.

    Args:
        backend: the native one, if none is given.
        seed: of the random tokens that the model reads.

    Raises:
        HintprobeError: the architecture is not supported, or activations are not finite.
    """
    start = time.perf_counter()
    running = backend or NativeBackend(loaded)
    rows: list[Ids] = list(reference.some_rows(loaded, LENGTHS, seed))
    noise = reference.measure_noise(loaded, rows)
    floor = noise.floor if running.loaded.identity != loaded.identity else max(noise.shape)
    components, refused = _components(loaded)
    components = tuple(component for component in components if component in running.components)
    dtype = loaded.model.dtype
    least = TOLERANCE if dtype == torch.float32 else 8 * torch.finfo(dtype).eps
    subject = _Subject(running, loaded, rows, max(least, 4 * floor), components)
    batch = _padded(loaded, rows)
    logits = _masked_logits(running, batch) if running.edits else None
    traces = Traces.of(loaded.model, running.model)
    findings = [
        *_hidden_states(subject),
        *_sums(subject),
        *_native(subject),
        *_paddings(subject),
        *(_edits(subject) if running.edits else ()),
        _resolution(subject),
    ]
    findings.append(traces.finding(logits is None or torch.equal(_masked_logits(running, batch), logits)))
    return CheckReport(loaded.name, running.name, tuple(findings), noise, refused, time.perf_counter() - start)


def _padded(loaded: LoadedModel, rows: Sequence[Ids]) -> PaddedBatch:
    return (pad_left if abilities(loaded.model).pads_left else pad_right)(rows, loaded.pad_id, loaded.device)


def _masked_logits(backend: Backend, batch: PaddedBatch) -> Tensor:
    return backend.logits(batch)[batch.mask]
