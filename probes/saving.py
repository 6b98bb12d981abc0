"""A probe on disk: arrays as safetensors, everything else as JSON; no code is stored and none is run on loading."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load, save

from activations.errors import HintprobeError
from probes.arrays import Array
from probes.calibration import Platt
from probes.registry import probe_classes

if TYPE_CHECKING:
    from probes.estimators.base import Probe

FORMAT_VERSION = 1
_ARRAYS, _CARD = "probe.safetensors", "probe.json"


@dataclass(frozen=True)
class ProbeCard:
    """What must be known about a probe to use it elsewhere.

    Attributes:
        model: fingerprint of the model whose activations it reads.
        site, position: where it reads them, such as ``resid_post.3`` and ``prompt_end``.
        model_name: the name that model was loaded by; for people, not for checks.
        target: what the positive class is.
        calibration: turns scores into probabilities; fitted on held-out scores.
        thresholds: score that a share of the training negatives exceeds, out of fold; by that share, as ``"0.05"``.
        notes: anything else that JSON can hold (rows, folds, the penalty's search, versions).
    """

    model: str
    site: str
    position: str
    model_name: str = ""
    target: str = ""
    calibration: Platt | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedProbe:
    """A fitted probe with its card."""

    probe: "Probe"
    card: ProbeCard

    def scores(self, x: Float[np.ndarray, "row d"] | Sequence[Float[np.ndarray, "position d"]]) -> Array:
        """Score of activations at the probe's site: of one position a row, or of every position along one rollout.

        An attention probe takes one matrix of positions for each row.
        """
        return self.probe.decision_function(x)

    def probabilities(self, x: Float[np.ndarray, "row d"] | Sequence[Float[np.ndarray, "position d"]]) -> Array:
        """Calibrated probability of the positive class.

        Raises:
            HintprobeError: the probe was saved without a calibration.
        """
        if self.card.calibration is None:
            raise HintprobeError(
                "This probe was saved without a calibration, so its scores cannot be turned into probabilities. Use "
                "its scores, or save it again with `ProbeCard(calibration=Platt.fit(...))`."
            )
        return self.card.calibration.probability(self.scores(x))

    def check_model(self, fingerprint: str) -> None:
        """Refuse activations of another model.

        Raises:
            HintprobeError: the fingerprints differ.
        """
        if fingerprint != self.card.model:
            raise HintprobeError(
                f"This probe reads {self.card.site} of the model {self.card.model_name or '(unnamed)'} with "
                f"fingerprint {self.card.model[:12]}…, and was given a model with fingerprint {fingerprint[:12]}…. "
                "Directions of one model mean nothing in another; load the model that the probe was trained on."
            )


def save_probe(folder: Path | str, probe: "Probe", card: ProbeCard) -> Path:
    """Write a fitted probe and its card into a folder, which is made if need be.

    Raises:
        HintprobeError: a kind of probe that has no saved form.
    """
    kind = type(probe).__name__
    if (known := probe_classes()).get(kind) is not type(probe):
        raise HintprobeError(f"A {kind} cannot be saved; these can: {', '.join(known)}.")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    arrays = save(probe.state())
    described = {
        "format": "hintprobe-probe",
        "version": FORMAT_VERSION,
        "kind": kind,
        "parameters": probe.get_params(),
        "classes": probe.classes_.tolist(),
        "arrays_sha256": hashlib.sha256(arrays).hexdigest(),
        "card": asdict(card),
    }
    text = json.dumps({**described, "sha256": _described_sum(described)}, indent=2, allow_nan=False)
    _replace(target / _ARRAYS, arrays)
    _replace(target / _CARD, text.encode())
    return target


def _replace(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a reader never sees half a file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def load_probe(folder: Path | str) -> SavedProbe:
    """Read a saved probe.

    Raises:
        HintprobeError: no probe there, a newer format, an unknown kind, or a damaged file.
    """
    source = Path(folder)
    described = _described(source)
    try:
        arrays = (source / _ARRAYS).read_bytes()
    except OSError as error:
        raise HintprobeError(f"The probe in {source} has no readable {_ARRAYS} ({error.strerror}).") from error
    if hashlib.sha256(arrays).hexdigest() != described["arrays_sha256"]:
        raise HintprobeError(
            f"{source / _ARRAYS} is not the file that {_CARD} was written with: it is damaged, or of another probe. "
            "Copy both files again from where the probe was saved."
        )
    known = probe_classes()
    if not isinstance(described["kind"], str) or described["kind"] not in known:
        raise HintprobeError(f"{source / _CARD} names a {described['kind']}; known kinds: {', '.join(known)}.")
    if "sha256" in described and _described_sum(described) != described["sha256"]:
        raise HintprobeError(
            f"{source / _CARD} was changed since the probe was saved: it is damaged, or was edited by hand. Copy it "
            "again from where the probe was saved."
        )
    try:
        if not isinstance(described["classes"], list):
            raise TypeError("the classes are no list")
        probe = known[described["kind"]](**described["parameters"]).restore(load(arrays), described["classes"])
        return SavedProbe(probe, _card(described["card"]))
    except (AttributeError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise HintprobeError(
            f"{source / _CARD} does not describe its arrays: {error!r}. The file is damaged."
        ) from error


def _described_sum(described: Mapping[str, Any]) -> str:
    """Checksum of everything but itself, the same before writing and after reading."""
    rest = json.loads(json.dumps({name: value for name, value in described.items() if name != "sha256"}))
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _described(source: Path) -> dict[str, Any]:
    path = source / _CARD
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HintprobeError(
            f"There is no probe in {source}: {_CARD} cannot be read ({error.strerror}). Give the folder that "
            "`save_probe` wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise HintprobeError(f"{path} is not readable as JSON ({said}). The file is damaged.") from error
    missing = {"format", "version", "kind", "parameters", "classes", "arrays_sha256", "card"}
    if not isinstance(described, dict) or described.get("format") != "hintprobe-probe":
        raise HintprobeError(f"{path} does not describe a probe of hintprobe.")
    if not isinstance(described.get("version"), int) or described["version"] > FORMAT_VERSION:
        raise HintprobeError(
            f"{path} has format version {described.get('version')!r}; this hintprobe reads up to {FORMAT_VERSION}. "
            "Update hintprobe to use this probe."
        )
    if absent := missing - set(described):
        raise HintprobeError(f"{path} lacks {', '.join(sorted(absent))}. The file is damaged.")
    return described


def _card(raw: dict[str, Any]) -> ProbeCard:
    """The card, each field of the type that the class says; anything else was written by another program.

    Raises:
        TypeError, ValueError, KeyError: it is none.
    """
    if not isinstance(raw, dict):
        raise TypeError(f"the card is {type(raw).__name__}, and an object was expected")
    rest = {name: value for name, value in raw.items() if name != "calibration"}
    card = ProbeCard(**rest, calibration=_calibration(raw["calibration"]))
    for name in ("model", "site", "position", "model_name", "target"):
        if not isinstance(getattr(card, name), str):
            raise TypeError(f"`{name}` of the card is not text")
    if not isinstance(card.notes, dict) or not isinstance(card.thresholds, dict):
        raise TypeError("`notes` and `thresholds` of the card are to be objects")
    if not all(_is_number(value) for value in card.thresholds.values()):
        raise TypeError("a threshold of the card is no finite number")
    return card


def _calibration(raw: Any) -> Platt | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or not all(_is_number(value) for value in raw.values()):
        raise TypeError("the calibration is no object of finite numbers")
    return Platt(**raw)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
