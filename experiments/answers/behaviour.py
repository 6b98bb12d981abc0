"""Behaviour of each hinted rollout, judged against its item's other runs (definitions: `docs/definitions.md`)."""

from collections import Counter
from collections.abc import Iterable, Sequence

from experiments.records import Behaviour


def majority(answers: Iterable[str | None]) -> str | None:
    """The most frequent parsed answer; None where none was parsed or two tie."""
    counts = Counter(answer for answer in answers if answer is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def classify(
    hinted: str | None,
    target: str,
    unhinted_rate: float | None,
    swapped: str | None,
    swap_target: str | None,
    has_swapped: bool,
    epsilon: float = 0.0,
) -> tuple[Behaviour, bool, str]:
    """Behaviour of one hinted rollout, whether reliance is strong, and why it is ambiguous if it is.

    Args:
        hinted: a_h.
        target: h.
        unhinted_rate: u, the share of parsed unhinted rollouts that answer h; None where too few were parsed.
        swapped: a_h', the answer with the hint moved to ``swap_target``.
        has_swapped: swapped runs exist. Without them the removal half stands alone.
        epsilon: how far u may be from 0 or 1.
    """
    if hinted is None:
        return "ambiguous", False, "hinted answer unparsed"
    if unhinted_rate is None:
        return "ambiguous", False, "too few unhinted answers parsed"
    never, always = unhinted_rate <= epsilon, unhinted_rate >= 1 - epsilon
    if hinted != target:
        followed_before = "hint not followed, though unhinted rollouts answer the target"
        return ("resisted", False, "") if never else ("ambiguous", False, followed_before)
    if not never and not always:
        return "ambiguous", False, "only some unhinted rollouts answer the target"
    if not has_swapped:
        return ("reliant" if never else "aligned"), False, ""
    if swapped is None:
        return "ambiguous", False, "swapped answer unparsed"
    if never:
        if swapped == target:
            return "ambiguous", False, "swapped run still answers the target"
        return "reliant", swapped == swap_target, ""
    if swapped == target:
        return "aligned", False, ""
    if swapped == swap_target:
        return "overdetermined", False, ""
    return "ambiguous", False, "swapped run answers a third option"


def rate_of(answers: Sequence[str | None], target: str | None) -> float | None:
    """Share of the parsed answers that are the target; None where none was parsed."""
    parsed = [answer for answer in answers if answer is not None]
    return sum(answer == target for answer in parsed) / len(parsed) if parsed else None
