"""What is patched with what: pairs of runs, which token stands for which, and where the result is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from activations.errors import HintprobeError

ReadoutName = Literal["first_divergence", "pre_answer"]


@dataclass(frozen=True)
class Alignment:
    """Which source token stands for which base token.

    Attributes:
        source_of: base token index → source token index.
        unaligned: base tokens without a partner, counted by reason.
    """

    source_of: Mapping[int, int]
    unaligned: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def identity(cls, length: int) -> "Alignment":
        """Token by token, for runs of equal length."""
        return cls({k: k for k in range(length)})

    @classmethod
    def of_spans(
        cls, n_base: int, n_source: int, base: Mapping[str, range], source: Mapping[str, range]
    ) -> "Alignment":
        """Align named spans, each token by token from its end; what precedes a longer span's partner stays alone.

        A span's last token has read the whole span, so ends correspond where starts need not.

        Args:
            n_base, n_source: lengths of the runs.
            base, source: spans by name; tokens outside every base span are unaligned.

        Raises:
            HintprobeError: a span that is empty or outside its run.
        """
        reasons: dict[str, int] = {}
        source_of: dict[int, int] = {}
        for spans, length, which in ((base, n_base, "base"), (source, n_source, "source")):
            for name, span in spans.items():
                if not len(span) or span.start < 0 or span.stop > length:
                    raise HintprobeError(f"The {which} span {name!r} is {span}, which does not lie in {length} tokens.")
        for name, span in base.items():
            partner = source.get(name)
            if partner is None:
                reasons[f"the source run has no {name}"] = len(span)
                continue
            shared = min(len(span), len(partner))
            source_of.update({span[-k]: partner[-k] for k in range(1, shared + 1)})
            if len(span) > shared:
                reasons[f"{name} is shorter in the source run"] = len(span) - shared
        outside = set(range(n_base)).difference(*base.values()) if base else set(range(n_base))
        if outside:
            reasons["outside every span"] = len(outside)
        return cls(source_of, reasons)

    def inverse(self, n_source: int) -> "Alignment":
        """The same with the roles of the runs exchanged."""
        back = {source: base for base, source in self.source_of.items()}
        alone = n_source - len(back)
        return Alignment(back, {"no partner in the other run": alone} if alone else {})


@dataclass(frozen=True)
class PatchPair:
    """Two runs that end just before the token in which what they say next differs.

    Both end with the same completion prefix. Runs of equal length are aligned token by token unless an alignment is
    given; others need one.

    Attributes:
        base_ids, source_ids: token ids up to and including the readout position (the last).
        base_token, source_token: how each run goes on; the logit difference is logit(base_token) - logit(source_token).
        positions: per name, the base token indices that are patched together.
        group: rows of a group are resampled together.
        alignment: which source token stands for which base token.
        readout: where the last token stands.
        options: answer tokens, for flips of the answer; by default the two tokens.
    """

    base_ids: tuple[int, ...]
    source_ids: tuple[int, ...]
    base_token: int
    source_token: int
    positions: Mapping[str, tuple[int, ...]]
    group: str
    alignment: Alignment | None = None
    readout: ReadoutName = "first_divergence"
    options: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.alignment is None and len(self.base_ids) != len(self.source_ids):
            raise HintprobeError(
                f"A patch pair has {len(self.base_ids)} base and {len(self.source_ids)} source tokens; token-aligned "
                "pairs need as many of each. Give an alignment, such as Alignment.of_spans(...)."
            )
        if self.base_token == self.source_token:
            raise HintprobeError("A patch pair's two continuations start with the same token, so nothing can be read.")
        for name, chosen in self.positions.items():
            if not chosen or not all(0 <= p < len(self.base_ids) for p in chosen):
                raise HintprobeError(
                    f"The position {name!r} of a patch pair is {list(chosen)}, and its base run has "
                    f"{len(self.base_ids)} tokens. Leave out positions that a pair lacks."
                )
        outside = [k for k in self.aligned.source_of.values() if not 0 <= k < len(self.source_ids)]
        if outside:
            raise HintprobeError(f"A patch pair's alignment names source token {outside[0]} of {len(self.source_ids)}.")

    @property
    def aligned(self) -> Alignment:
        """The alignment, written out."""
        return self.alignment if self.alignment is not None else Alignment.identity(len(self.base_ids))

    @property
    def answers(self) -> tuple[int, ...]:
        """Tokens among which the answer is the most likely one."""
        return self.options or (self.base_token, self.source_token)

    @property
    def first_difference(self) -> int:
        """First base token that the source run does not share; before it, patching changes nothing."""
        pairs = zip(self.base_ids, self.source_ids, strict=False)
        same = next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(self.base_ids), len(self.source_ids)))
        return same

    def source_positions(self, name: str) -> tuple[int, ...] | None:
        """Source tokens of a named position; None where one of them has no partner."""
        source_of = self.aligned.source_of
        chosen = self.positions[name]
        return tuple(source_of[p] for p in chosen) if all(p in source_of for p in chosen) else None

    def reversed(self) -> "PatchPair":
        """Base and source exchanged: what was noising becomes denoising. Positions without a partner are left out."""
        found = {name: self.source_positions(name) for name in self.positions}
        return replace(
            self,
            base_ids=self.source_ids,
            source_ids=self.base_ids,
            base_token=self.source_token,
            source_token=self.base_token,
            positions={name: tuple(sorted(where)) for name, where in found.items() if where is not None},
            alignment=None if self.alignment is None else self.alignment.inverse(len(self.source_ids)),
        )


def first_divergence(first: Sequence[int], second: Sequence[int]) -> int | None:
    """Length of the prefix that two completions share; None where one is the beginning of the other."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return None
