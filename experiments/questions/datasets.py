"""The datasets that are known by name: where they are on the hub, and what their fields are called."""

from dataclasses import dataclass

from experiments.config.field_map import FieldMap

ORGANISM_WORLD = "organism-world"
"""The source of the model organisms' own questions."""


@dataclass(frozen=True)
class NamedDataset:
    """A dataset in its publishers' schema.

    Attributes:
        hub: id on the Hugging Face hub.
        config: the hub's name of the part that is asked; None where there is one only.
        split: the split that is asked by default, one whose answers are public.
    """

    hub: str
    config: str | None
    split: str
    fields: FieldMap


_LABELLED = FieldMap(options=("choices",), gold=("answerKey",), gold_is="label")

DATASETS: dict[str, NamedDataset] = {
    # Hendrycks et al. 2021, 2009.03300; the answer is an index on the hub and a letter in the original files.
    "mmlu": NamedDataset("cais/mmlu", "all", "test", FieldMap()),
    # Wang et al. 2024, 2406.01574; up to ten options.
    "mmlu_pro": NamedDataset(
        "TIGER-Lab/MMLU-Pro",
        None,
        "test",
        FieldMap(id=("question_id",), options=("options",), gold_is="letter", subject=("category",)),
    ),
    # Rein et al. 2023, 2311.12022; the right answer has a field of its own, so the order is drawn.
    "gpqa": NamedDataset(
        "Idavidrein/gpqa",
        "gpqa_main",
        "train",
        FieldMap(
            id=("Record ID",),
            stem=("Question",),
            option_fields=("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
            gold_is="first",
            subject=("Subdomain", "High-level domain"),
            shuffle=True,
        ),
    ),
    # Clark et al. 2018, 1803.05457; options are labelled A to E or 1 to 4.
    "arc_challenge": NamedDataset("allenai/ai2_arc", "ARC-Challenge", "test", _LABELLED),
    # Talmor et al. 2019, 1811.00937; the test split has no public answers.
    "commonsense_qa": NamedDataset("tau/commonsense_qa", None, "validation", _LABELLED),
    # Ling et al. 2017, 1705.04146; options begin with their letter.
    "aqua": NamedDataset(
        "deepmind/aqua_rat", "raw", "test", FieldMap(gold=("correct",), gold_is="letter", lettered=True)
    ),
}
