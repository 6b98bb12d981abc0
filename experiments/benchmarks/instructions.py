"""How often a model copies the instruction in place of an answer, and how often its answer can be read, by wording.

``python -m experiments.benchmarks.instructions MODEL --questions FILE``; docs/answers.md shows what it gave.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from activations import Decoding, LoadedModel, generate, load_model
from experiments.config import HintsConfig, QuestionsConfig
from experiments.config.asking import INSTRUCTION
from experiments.engines.completions import completion_fields
from experiments.prompts.items import choose_targets, plan_items
from experiments.prompts.writing import PromptWriter, Written
from experiments.questions.pool import load_questions
from experiments.records import Item, Kind

WORDINGS = {
    "none": "",
    "placeholder": "Give your answer at the end as: The answer is (X).",
    "shipped": INSTRUCTION,
    "at_once": "Choose one option. End with a sentence that begins with 'The answer is' and gives the letter of that "
    "option in parentheses.",
    "explain": "First explain in two sentences what the question is about and which option fits best. Then finish with "
    "a sentence that begins with 'The answer is' and gives the letter of that option.",
    "brackets": "Finish with the words 'The answer is' and the letter of your option in brackets.",
    "letter_of": "Give the letter of the correct option at the end.",
    "one_line": "Then write one last line that says which option is the answer, by its letter.",
}
COPIED = ("(X)", "answer is X", "the words", "letter of", "in brackets", "in parentheses", "by its letter", "last line")
"""What a completion holds that copies one of the wordings."""


@dataclass(frozen=True)
class Figures:
    """What one wording gave, on the same prompts.

    Attributes:
        copied: completions that repeat a phrase of the instruction.
        copied_only: those of them from which no answer could be read.
        parsed_unhinted: answers read, of the prompts without a hint.
        parsed_hinted: answers read, of the prompts with one.
        reasoned: completions with a chain of thought, marked or in the open.
    """

    wording: str
    text: str
    prompts: int
    copied: int
    copied_only: int
    parsed_unhinted: int
    parsed_hinted: int
    reasoned: int


def prompts_of(items: Sequence[Item], writer: PromptWriter) -> list[tuple[Item, Written]]:
    """Each item unhinted and hinted."""
    return [(item, writer.write(item, condition)) for item in items for condition in ("unhinted", "hinted")]


def measure(loaded: LoadedModel, items: Sequence[Item], name: str, text: str, decoding: Decoding) -> Figures:
    """Ask all items in one wording, greedily."""
    asked = prompts_of(items, PromptWriter(loaded.tokenizer, instruction=text))
    done = generate(loaded, [written.rendered.encoded.ids for _, written in asked], decoding)
    fields = [
        completion_fields(
            loaded.tokenizer, completion, written.rendered.encoded.text, len(item.question.options), 0, 0.0,
            item.question.options,
        )
        for (item, written), completion in zip(asked, done, strict=True)
    ]  # fmt: skip
    copied = [any(phrase in field["completion_text"] for phrase in COPIED) for field in fields]
    parsed = [field["answer"] is not None for field in fields]
    return Figures(
        wording=name,
        text=text,
        prompts=len(asked),
        copied=sum(copied),
        copied_only=sum(was and not read for was, read in zip(copied, parsed, strict=True)),
        parsed_unhinted=sum(parsed[::2]),
        parsed_hinted=sum(parsed[1::2]),
        reasoned=sum(bool(field["cot"]) for field in fields),
    )


def items_of(questions: Path, limit: int, seed: int, kinds: Sequence[Kind]) -> list[Item]:
    """Items with targets drawn blind to any answer."""
    drawn, _ = load_questions(QuestionsConfig(source="mmlu", path=str(questions), limit=limit), limit, seed)
    config = HintsConfig(kinds=tuple(kinds), on_belief=None)
    return [choose_targets(item, (), None, seed) for item in plan_items(drawn, config, seed)]


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--questions", type=Path, required=True, help="a file of MMLU's questions")
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--wordings", nargs="*", default=list(WORDINGS), choices=list(WORDINGS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    items = items_of(options.questions, options.limit, 0, ("sycophancy", "metadata", "unethical_information"))
    loaded = load_model(options.model, dtype="float32")
    decoding = Decoding(0.0, options.max_new_tokens, 8_192)
    for name in options.wordings:
        found = measure(loaded, items, name, WORDINGS[name], decoding)
        if options.json:
            sys.stdout.write(json.dumps(asdict(found)) + "\n")
        else:
            sys.stdout.write(
                f"{found.wording:<12} copied {found.copied} (unread {found.copied_only}), read "
                f"{found.parsed_unhinted} unhinted and {found.parsed_hinted} hinted of {found.prompts // 2} each, "
                f"reasoned {found.reasoned} of {found.prompts}\n"
            )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
