"""The short way in Python: load, capture, train, patch, compare. Each is one call of the packages below.

What a finished run holds is read with :func:`~experiments.report.results.read_results`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

import activations
from activations import Decoding, LoadedModel, Site
from activations.errors import HintprobeError
from activations.models import Dtype
from activations.sites import decoder_blocks
from activations.spans import encode
from experiments.prompts.chat import render_chat
from experiments.records import Message, Prompt
from experiments.run.known_models import resolve_model
from experiments.run.progress import Reporter
from probes import (
    AurocEstimate,
    Contrast,
    PatchPair,
    Probe,
    Search,
    auroc_estimate,
    difference,
    fit_for_use,
    nested_cv,
    patch_pairs,
    plain_interval,
)

if TYPE_CHECKING:
    import pandas as pd

Values = Float[np.ndarray, "row"]
PENALTIES = (0.001, 0.01, 0.1, 1.0)
"""Strengths of regularisation that :func:`train_probe` chooses from."""


def load_model(name: str, dtype: Dtype = "auto", device: str = "auto", **options: Any) -> LoadedModel:
    """Load a model: a folder, a hub id, or ``organism:NAME`` for one that ships.

    Args:
        dtype: auto is bfloat16 on CUDA and float32 elsewhere.
        options: further arguments of :func:`activations.models.load_model`.
    """
    return activations.load_model(resolve_model(str(name)), dtype, device, **options)


def capture(
    model: LoadedModel,
    texts: Sequence[str],
    sites: Sequence[str] | None = None,
    position: int = -1,
    chat: bool = True,
    progress: Reporter | None = None,
) -> dict[str, Float[np.ndarray, "row width"]]:
    """Activations of texts at one token.

    Args:
        sites: such as ``resid_post.3``; by default the output of every block.
        position: index of the token, from the end where negative.
        chat: put each text into the model's chat template, as a user's turn; else it is taken as it is.
        progress: where a bar is drawn, such as ``Reporter(rich.console.Console())``.

    Returns:
        Per site ``[row, width]`` in float32, row by row as the texts are.

    Raises:
        HintprobeError: no texts, a text without that token, or a site that the model lacks.
    """
    if not texts:
        raise HintprobeError("There are no texts to capture. Give at least one.")
    rows = [token_ids(model, text, chat) for text in texts]
    at = [[len(row) + position if position < 0 else position] for row in rows]
    wanted = [Site.parse(site) for site in sites or every_block(model)]
    found: dict[str, list[Any]] = {str(site): [None] * len(rows) for site in wanted}
    with (progress or Reporter()).bar("capture", len(rows)) as tick:
        for indices, captured in activations.capture(model, rows, at, wanted):
            for site, values in captured.items():
                for i, value in zip(indices, values.float().numpy(), strict=True):
                    found[str(site)][i] = value[0]
            tick(len(indices))
    return {site: np.stack(values) for site, values in found.items()}


def every_block(model: LoadedModel) -> list[str]:
    """The output of every block, as sites."""
    return [f"resid_post.{layer}" for layer in range(len(decoder_blocks(model.model)))]


def token_ids(model: LoadedModel, text: str, chat: bool = True) -> tuple[int, ...]:
    """A text's token ids, as a user's turn in the model's chat template or as it is."""
    if not chat:
        return tuple(encode(model.tokenizer, text).ids)
    turn = Prompt(messages=(Message(role="user", content=text),), spans={})
    return tuple(render_chat(model.tokenizer, turn).encoded.ids)


@dataclass(frozen=True, repr=False)
class TrainedProbe:
    """A probe with its held-out AUROC.

    Attributes:
        probe: fitted on all rows, for use on others; no figure of it on these rows is a result.
        scores: held-out score of each row, comparable within its outer fold.
        fold: outer fold of each row.
        auroc, low, high: held-out AUROC over pairs of one stratum, and its 95% interval; no interval under 5 groups.
    """

    probe: Probe
    scores: Values
    fold: Int[np.ndarray, "row"]
    auroc: float
    low: float | None
    high: float | None
    positives: int
    negatives: int

    def __repr__(self) -> str:
        between = "" if self.low is None or self.high is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"held-out AUROC {self.auroc:.2f}{between}, {self.positives} against {self.negatives} rows"


def train_probe(
    x: Float[np.ndarray, "row width"],
    labels: Sequence[Any],
    groups: Sequence[Any] | None = None,
    strata: Sequence[Any] | None = None,
    estimator: str = "logistic",
    seed: int = 0,
) -> TrainedProbe:
    """Train a probe by nested cross-validation.

    Args:
        labels: true or false for each row.
        groups: rows of a group stay on one side of every split, and are the units of chance; by default each row.
        strata: only rows of one stratum are compared, such as one kind and direction of hint; by default all.
        estimator: a name in :data:`probes.registry.ESTIMATORS`.

    Raises:
        HintprobeError: lengths that differ, too few groups of a class, features that are not finite, or an unknown
            estimator.
    """
    contrast = contrast_of(labels, groups, strata)
    if len(contrast) != len(x):
        raise HintprobeError(f"There are {len(x)} rows of features but {len(contrast)} labels. Give one label per row.")
    search = Search(PENALTIES, estimator=estimator, repeats=2)
    result = nested_cv({"x": x}, contrast, search, seed)
    estimate = result.estimate(contrast)
    outcome = fit_for_use({"x": x}, contrast, search, seed)
    assert outcome.chosen is not None  # one cell was searched
    low, high = estimate.interval(codes(contrast.groups), contrast.labels) or (None, None)
    n = int(contrast.labels.sum())
    return TrainedProbe(
        outcome.chosen.probe, result.scores, result.fold, estimate.value, low, high, n, len(contrast) - n
    )


def contrast_of(labels: Sequence[Any], groups: Sequence[Any] | None, strata: Sequence[Any] | None) -> Contrast:
    """Labels with their groups and strata, in the form that probes are trained on.

    Raises:
        HintprobeError: lengths that differ.
    """
    positive: Bool[np.ndarray, row] = np.asarray(labels).astype(bool)
    given = {"groups": groups, "strata": strata}
    for name, values in given.items():
        if values is not None and len(values) != len(positive):
            raise HintprobeError(f"There are {len(positive)} labels and {len(values)} {name}. Give one for each row.")
    return Contrast(
        positive,
        tuple(map(str, range(len(positive)) if groups is None else groups)),
        tuple(map(str, ["all"] * len(positive) if strata is None else strata)),
    )


def codes(groups: Sequence[str]) -> Int[np.ndarray, "row"]:
    """A number for each row's group."""
    found: Int[np.ndarray, row] = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    return found


def patch(
    model: LoadedModel,
    base: str,
    source: str,
    answers: tuple[str, str] | None = None,
    sites: Sequence[str] | None = None,
    chat: bool = True,
    max_new_tokens: int = 256,
) -> "pd.DataFrame":
    """Put the states of one prompt's run into another's, token by token, and see what comes out.

    Args:
        base, source: prompts of equal length in tokens.
        answers: how each of them goes on; the first token of each is read. By default both are completed greedily, and
            the token in which they first differ is read.
        sites: such as ``resid_pre.3``; by default the input of every block.
        max_new_tokens: where the search for that token ends.

    Returns:
        Site by token, of the tokens from the first that differs: the share of the logit difference that is recovered.
        0 is the base run, 1 the source run.

    Raises:
        HintprobeError: prompts of other lengths, completions or answers that are the same, or a site that the model
            lacks.
    """
    rows = [token_ids(model, text, chat) for text in (base, source)]
    if answers is None:
        rows, first = _until_they_differ(model, rows, max_new_tokens)
    else:
        first = [token_ids(model, answer, chat=False)[0] for answer in answers]
    start = next((k for k, (a, b) in enumerate(zip(*rows, strict=False)) if a != b), 0)
    words = {f"{k} {model.tokenizer.decode([rows[0][k]])!r}": (k,) for k in range(start, len(rows[0]))}
    pair = PatchPair(rows[0], rows[1], first[0], first[1], words, group="pair")
    wanted = [Site.parse(site) for site in sites or every_block(model)]
    if sites is None:
        wanted = [Site(site.layer, "resid_pre") for site in wanted]
    frame = patch_pairs(model, [pair], wanted).to_frame()
    return frame.pivot(index="site", columns="position", values="recovery").reindex(columns=list(words))


def _until_they_differ(
    model: LoadedModel, rows: Sequence[tuple[int, ...]], max_new_tokens: int
) -> tuple[list[tuple[int, ...]], list[int]]:
    """Both prompts with the completion that they share, and the token after it in each."""
    decoding = Decoding(max_new_tokens=max_new_tokens)
    a, b = (completion.ids for completion in activations.generate(model, rows, decoding))
    k = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if k is None:
        raise HintprobeError(
            f"Both completions are the same for {min(len(a), len(b))} tokens, so there is no difference to patch. Give "
            "prompts with different answers, or give the answers to read."
        )
    return [(*rows[0], *a[:k]), (*rows[1], *b[:k])], [a[k], b[k]]


def compare(
    scores: Mapping[str, Values],
    labels: Sequence[Any],
    groups: Sequence[Any] | None = None,
    strata: Sequence[Any] | None = None,
    folds: Sequence[int] | None = None,
) -> "pd.DataFrame":
    """Put detectors side by side on the same rows.

    Args:
        scores: held-out score of each row by each detector, higher for true; the first is what the others are
            compared with.
        folds: outer fold of each row, where scores are comparable within a fold only.

    Returns:
        A line per detector: AUROC within stratum with its 95% interval, and the paired difference from the first.
    """
    import pandas as pd

    contrast = contrast_of(labels, groups, strata)
    fold = np.zeros((1, len(contrast)), dtype=int) if folds is None else np.asarray(folds)[None]
    own = codes(contrast.groups)
    found = {
        name: auroc_estimate(np.asarray(values, dtype=float)[None], fold, contrast.labels, contrast.strata, False)
        for name, values in scores.items()
    }
    reference: AurocEstimate | None = None
    lines = []
    for name, estimate in found.items():
        low, high = estimate.interval(own, contrast.labels) or (None, None)
        line: dict[str, Any] = {"detector": name, "auroc": estimate.value, "low": low, "high": high}
        if reference is not None:
            gap = difference(estimate, reference)
            ends = plain_interval(gap, own, contrast.labels) or (None, None)
            line |= {"difference": gap.value, "difference_low": ends[0], "difference_high": ends[1]}
        reference = reference or estimate
        lines.append(line)
    return pd.DataFrame(lines).set_index("detector")
