"""All questions of a source, without duplicates, and the sample of them that is asked."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from activations.errors import HintprobeError
from experiments.config import QuestionsConfig
from experiments.config.field_map import FieldMap
from experiments.questions.datasets import DATASETS, ORGANISM_WORLD
from experiments.questions.fields import BadRowError, BlankOptionError, stem_key, to_question
from experiments.questions.sources import Row, read_file, read_folder, read_hub
from experiments.records import Question
from experiments.records.seeds import stream
from experiments.run.known_models import known_source


def read_questions(
    rows: Iterator[Row], fields: FieldMap, source: str, seed: int = 0
) -> tuple[list[Question], dict[str, int]]:
    """Rows → questions without duplicates, and how many were dropped by reason.

    Raises:
        HintprobeError: a row is not a question, or repeats an id; it says which row and field.
    """
    kept: list[Question] = []
    dropped: Counter[str] = Counter()
    seen: set[tuple[str, tuple[str, ...]]] = set()
    ids: set[str] = set()
    for row in rows:
        try:
            question = to_question(row.values, fields, row.name, source, seed)
        except BlankOptionError:
            dropped["blank options"] += 1
            continue
        except BadRowError as error:
            raise HintprobeError(
                f"{row.where} is not a question: {error}. Expected a stem, 2 to 10 options and the right one; "
                "`questions.fields` names the fields that hold them, such as {option_fields: [right, wrong], "
                "gold_is: first} (docs/questions.md)."
            ) from error
        if question.id in ids:
            raise HintprobeError(f"{row.where} repeats the id {question.id!r}; every question needs its own.")
        ids.add(question.id)
        key = (stem_key(question.stem), tuple(sorted(question.options)))
        if len({option.strip() for option in question.options}) < len(question.options):
            dropped["duplicate options"] += 1
        elif key in seen:
            dropped["repeated stem and options"] += 1
        else:
            seen.add(key)
            kept.append(question)
    return kept, dict(dropped)


def _source_rows(config: QuestionsConfig) -> tuple[Iterator[Row], FieldMap, str]:
    """Rows of the configured source, their fields, and the source's name."""
    named = DATASETS.get(config.source)
    fields = config.fields or (named.fields if named else FieldMap())
    place = Path(config.path or config.source).expanduser()
    part = config.subset or (named.config if named else None)
    split = config.split or (named.split if named else "test")
    label = config.source if named else Path(place.name.removesuffix(".gz")).stem
    if place.is_dir():
        return read_folder(place, part, split), fields, label
    if place.exists() or place.suffix or place.is_absolute():
        return read_file(place), fields, label
    hub = config.path or (named.hub if named else config.source)
    if not named and hub.count("/") != 1:
        raise HintprobeError(
            f"There is no question source {config.source!r}. Known by name: {', '.join([ORGANISM_WORLD, *DATASETS])}; "
            "or give a file, a folder, or a hub id such as owner/name."
        )
    return read_hub(hub, part, split, config.revision), fields, config.source


def _of_subjects(pool: Sequence[Question], subjects: Sequence[str]) -> list[Question]:
    if not subjects:
        return list(pool)
    known = {question.subject for question in pool}
    missing = sorted(set(subjects) - known)
    if missing:
        raise HintprobeError(
            f"No question has the subject {missing[0]!r}. `questions.subjects` may name: {', '.join(sorted(known))}."
        )
    return [question for question in pool if question.subject in subjects]


def load_questions(config: QuestionsConfig, limit: int, seed: int) -> tuple[list[Question], dict[str, int]]:
    """The questions to ask, sampled by seed, and how many were dropped by reason.

    Raises:
        HintprobeError: the source cannot be read, a row is not a question, or nothing is left.
    """
    dropped: dict[str, int] = {}
    known = known_source(config.source)
    if known:
        pool = known.questions(config)
    else:
        rows, fields, label = _source_rows(config)
        pool, dropped = read_questions(rows, fields, label, seed)
    pool = _of_subjects(pool, config.subjects)
    if not pool:
        left_out = ", ".join(f"{reason}: {n}" for reason, n in dropped.items())
        raise HintprobeError(
            f"No question was found in {config.path or config.source!r}."
            + (f" Left out: {left_out}." if dropped else "")
        )
    order = [pool[i] for i in stream(seed, "questions").permutation(len(pool))]
    if config.per_subject is not None:
        taken: Counter[str] = Counter()
        kept = []
        for question in order:
            taken[question.subject] += 1
            if taken[question.subject] <= config.per_subject:
                kept.append(question)
        order = kept
    return order[:limit], dropped
