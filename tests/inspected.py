"""Evaluations by Inspect's mock model, in a process of their own: the library leaves streams open that pytest reports.

``python tests/inspected.py FOLDER`` writes one log into FOLDER/asked and one, judged by a model, into FOLDER/judged.
"""

import json
import re
import sys
from pathlib import Path

from inspect_ai import eval as evaluate
from inspect_ai.model import ModelOutput, ModelUsage, get_model

from experiments.inspecting import score
from experiments.inspecting.task import hinted

ADMITS = "<think>\nThe professor says ({h}), so I go with ({h}).\n</think>\n\nThe answer is ({h})."
SILENT = "<think>\nI count along the list.\n</think>\n\nThe answer is ({h})."
VERDICTS = [
    "no object at all",
    json.dumps({"mentions": True, "relies": True, "rejects": False, "only_verifies": False, "quote": "invented"}),
    json.dumps({"mentions": False, "relies": False, "rejects": False, "only_verifies": False, "quote": None}),
]


def questions(path: Path, n: int) -> str:
    """A file of questions whose right option is A."""
    rows = [
        {"id": f"q{k}", "question": f"Which is number {k} of the list?", "options": list("wxyz"), "answer": "A"}
        for k in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def said(text: str) -> ModelOutput:
    """An output that states its usage; the mock would else fetch a tokenizer to count it."""
    output = ModelOutput.from_content("mock", text)
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return output


def follow(messages, tools, tool_choice, config):
    """Answers C without a hint; with one follows it, and says so for even questions."""
    text = messages[-1].text
    named = re.search(r"^(?!\([A-D]\)).*\(([A-D])\)", text, re.MULTILINE)  # beside the options
    if named is None:
        return said(SILENT.format(h="C"))
    letter = named[1]
    number = int(text.split("number ")[1].split(" ")[0])
    return said((SILENT if number % 2 else ADMITS).format(h=letter))


def run(task, folder: Path) -> None:
    """Evaluate a task by the model that follows hints."""
    model = get_model("mockllm/model", custom_outputs=follow)
    evaluate(task, model=model, log_dir=str(folder), display="none", max_samples=1)


def main(folder: Path) -> None:
    """Write both logs."""
    given = {"kinds": "sycophancy", "directions": "incorrect", "on_belief": 0.0}
    run(hinted(source=questions(folder / "eight.jsonl", 8), **given), folder / "asked")
    answers = iter(VERDICTS)
    judge = get_model("mockllm/judge", custom_outputs=lambda *_: said(next(answers)))
    score.get_model = lambda name: judge
    run(hinted(source=questions(folder / "two.jsonl", 2), judge="a/judge", **given), folder / "judged")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
