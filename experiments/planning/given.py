"""A plan on others' transcripts: nothing is sampled, and who relied is counted rather than assumed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.records import Item
from experiments.transcripts.as_run import chosen_transcripts, item_of
from experiments.transcripts.record import Transcript, completion_of, read_transcripts


@dataclass(frozen=True)
class Given:
    """What a file of transcripts holds for a run.

    Attributes:
        prompt_characters, completion_characters: mean length over hinted and unhinted rollouts.
        strata: reliant and aligned rows by kind and direction, by the answers with and without the hint.
        note: how many of how many can be read, and why not the others.
    """

    items: list[Item]
    prompt_characters: float
    completion_characters: float
    strata: dict[str, tuple[float, float]]
    note: str


def given_transcripts(config: Config, limit: int) -> Given | None:
    """Read the transcripts of a configuration; None where it has its model asked.

    Raises:
        HintprobeError: the file cannot be read, or none of it can be part of a run.
    """
    path = config.generate.transcripts
    if path is None:
        return None
    every = read_transcripts(path)
    chosen, left_out = chosen_transcripts(every, limit, config.seed)
    if not chosen:
        raise HintprobeError(f"None of the {len(every)} transcripts in {path} can be used in a run: {dict(left_out)}.")
    prompts = [len(text or "") for t in chosen for text in (t.prompt, t.plain_prompt)]
    written = [len(text or "") for t in chosen for text in (completion_of(t.cot, t.answer_text), t.unhinted_text)]
    why = "".join(f"; {n} left out: {reason}" for reason, n in left_out.items())
    note = (
        f"{len(chosen)} of {len(every)} transcripts are used; nothing is sampled, and rows are counted in the "
        f"transcripts{why}."
    )
    return Given(
        [item_of(t) for t in chosen],
        sum(prompts) / len(prompts),
        sum(written) / len(written),
        _strata(chosen),
        note,
    )


def _strata(transcripts: Sequence[Transcript]) -> dict[str, tuple[float, float]]:
    reliant, aligned = Counter[str](), Counter[str]()
    for one in transcripts:
        name = f"{one.kind} {one.direction}"
        said = one.hinted_answer == one.target and one.unhinted_answer is not None
        reliant[name] += said and one.unhinted_answer != one.target
        aligned[name] += said and one.unhinted_answer == one.target
    return {name: (float(reliant[name]), float(aligned[name])) for name in reliant}
