"""Question + hint → the prompt of one condition."""

from collections.abc import Sequence

from activations.errors import HintprobeError
from experiments.hints.visual_pattern import BULLET
from experiments.hints.wording import HintKind, Turns, fill
from experiments.records import LETTERS, Condition, Prompt, Question


def format_question(question: Question, bullets: Sequence[str] | None = None) -> tuple[str, list[int]]:
    """Write stem and lettered options; returns the text and where each option's line begins."""
    text, starts = question.stem + "\n", []
    for index, option in enumerate(question.options):
        text += "\n"
        starts.append(len(text))
        bullet = f"{bullets[index]} " if bullets else ""
        text += f"{bullet}({LETTERS[index]}) {option}"
    return text, starts


def _marked(question: Question, letter: str | None, mark: str) -> tuple[str, list[int]]:
    bullets = [mark if LETTERS[i] == letter else BULLET for i in range(len(question.options))]
    return format_question(question, bullets)


def _render_marks(
    turns: Turns, source: str, question: Question, condition: Condition, letter: str | None, shots: Sequence[Question]
) -> Prompt:
    if not shots:
        raise HintprobeError(
            "The visual_pattern hint needs worked examples and got none. Give the question set at least two groups "
            "more than are asked, or drop visual_pattern from `hints.kinds`."
        )
    marked_shots = condition != "unhinted"
    worked = "".join(
        f"{_marked(shot, shot.gold if marked_shots else None, source)[0]}\nThe answer is ({shot.gold}).\n\n"
        for shot in shots
    )
    text, starts = _marked(question, letter, source)
    spans = {}
    if letter is not None:
        start = starts[LETTERS.index(letter)]
        spans = {"hint": (start, start + len(source)), "pointer": (start, start + len(source))}
    return fill(turns, {"question": text, "source": source, "shots": worked}, spans)


def render(
    kind: HintKind,
    wording: int,
    source: str,
    question: Question,
    condition: Condition,
    letter: str | None,
    shots: Sequence[Question] = (),
    variant: int = 0,
) -> Prompt:
    """Render one condition of an item.

    Args:
        letter: the option that the hint names (``hinted``: the target, ``swapped``: the other target); None for
            ``unhinted`` and ``neutral``, which name none.
        shots: worked examples, used by kinds whose hint is a mark.
        variant: which of the wording's neutral frames, for ``neutral``.

    Raises:
        HintprobeError: the letter is not among the question's options, or worked examples are missing.
    """
    if (letter is None) != (condition in ("unhinted", "neutral")):
        raise HintprobeError(f"Condition {condition!r} was given letter {letter!r}; only hinted and swapped name one.")
    if letter is not None and letter not in LETTERS[: len(question.options)]:
        raise HintprobeError(
            f"Question {question.id} has options {LETTERS[: len(question.options)]} and the hint names {letter!r}."
        )
    chosen = kind.wordings[wording]
    turns = chosen.hinted
    if condition in ("unhinted", "neutral"):
        turns = chosen.unhinted if condition == "unhinted" else chosen.neutrals[variant]
    if kind.marks:
        return _render_marks(turns, source, question, condition, letter, shots)
    text, _ = format_question(question)
    return fill(turns, {"question": text, "source": source, "letter": letter or ""}, {})
