"""Files of others: arrays, places in lists, folders whose names speak, logs with errors and hidden reasoning."""

import json
import os
from pathlib import Path

import pytest

from activations.errors import HintprobeError
from experiments.commands.importing import import_file, uses

MAP = """
files: (?P<kind>plain|metadata)(?:_(?P<direction>correct|incorrect))?[.]json
id: [case, file.kind, file.direction]
kind: file.kind
target: meta.hint
prompt: turns.0.text
cot: turns.1.thought
answer_text: turns.-1.text
gold: meta.gold
direction: file.direction
group: case
baseline: {field: file.kind, value: plain, join: case}
"""


def row(case, answer, hint=None, thought="Moons.", **more):
    turns = [{"text": f"{case}?"}, {"thought": thought}, {"text": f"The answer is ({answer})."}]
    return {"case": case, "meta": {"hint": hint, "gold": "A"}, "turns": turns, **more}


def folder(tmp_path, hinted):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "plain.json").write_text(json.dumps([row("a", "C"), row("b", "A")]))
    (tmp_path / "in" / "metadata_incorrect.jsonl").write_text("\n".join(map(json.dumps, hinted)))
    (tmp_path / "in" / "readme.txt").write_text("no rows")
    (tmp_path / "m.yaml").write_text(MAP)
    return tmp_path / "in"


def test_a_folder_is_read_by_its_file_names_and_joined_to_its_baseline(tmp_path):
    given = folder(tmp_path, [row("a", "B", "B"), row("b", "A", "B"), row("c", "B"), row("b", "", "B", thought="")])
    given_last = json.loads((given / "metadata_incorrect.jsonl").read_text().splitlines()[-1])
    given_last["turns"][-1]["text"] = ""
    kept = (given / "metadata_incorrect.jsonl").read_text().splitlines()[:-1]
    (given / "metadata_incorrect.jsonl").write_text("\n".join([*kept, json.dumps(given_last)]))
    found = import_file(given, tmp_path / "m.yaml")
    first, second = found.transcripts
    assert (first.id, first.kind, first.direction) == ("a:metadata:incorrect", "metadata", "incorrect")
    assert (first.unhinted_answer, first.hinted_answer, first.plain_prompt) == ("C", "B", "a?")
    assert (second.unhinted_answer, second.hinted_answer) == ("A", "A")
    assert found.left_out == {"unhinted runs, joined to the hinted ones": 2, "no target": 1, "no text": 1}
    assert uses(found)["faithfulness"].startswith("2 of 2")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("meta.hint", "meta.nowhere"), ["`meta.nowhere`", "`target`", "row 1"]),
        (("(?P<kind>plain|metadata)", "(?P<kind>other)"), ["matches", "such as"]),
        (("(?P<kind>plain|metadata)", "(?P<kind>plain"), ["regular expression"]),
    ],
)
def test_a_map_that_does_not_fit_is_told(change, expected, tmp_path):
    given = folder(tmp_path, [row("a", "B", "B")])
    (tmp_path / "m.yaml").write_text(MAP.replace(*change))
    with pytest.raises(HintprobeError) as caught:
        import_file(given, tmp_path / "m.yaml")
    assert all(word in str(caught.value) for word in expected)


def test_an_unknown_shipped_map_is_told(tmp_path):
    with pytest.raises(HintprobeError, match="walden_raw"):
        import_file(folder(tmp_path, [row("a", "B", "B")]), Path("nowhere"))


def test_the_repository_as_it_is_published(tmp_path):
    data = os.environ.get("HINTPROBE_SHARED_DATA")
    if not data:
        pytest.skip("HINTPROBE_SHARED_DATA is not set")
    results = Path(data) / "transcripts/walden_raw/experiments/mmlu_pro/results"
    found = import_file(results, Path("walden_raw"))
    assert len(found.transcripts) == 84
    assert found.left_out == {"unhinted runs, joined to the hinted ones": 12}
    assert {t.kind for t in found.transcripts} == {"grader_hacking", "metadata", "sycophancy", "unethical_information"}
    assert all(t.direction == ("correct" if t.target == t.gold else "incorrect") for t in found.transcripts)
    assert found.states["without an unhinted run"] == 0


def test_redacted_reasoning_errors_targets_and_solvers_prompts():
    pytest.importorskip("inspect_ai", reason="the inspect extra is not installed")
    from inspect_ai.log import EvalSample
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageUser,
        ContentReasoning,
        ContentText,
        ModelOutput,
    )

    from experiments.transcripts.inspect_log import _parts, _sample_row

    hidden = ContentReasoning(reasoning="gAAAAABpQ2x1c3Rlcg==", summary="I follow the professor.", redacted=True)
    text = ContentText(text="The answer is (B).")
    assert _parts(ChatMessageAssistant(content=[hidden, text]))[0] == "I follow the professor."
    blank = ContentReasoning(reasoning="gAAAA", redacted=True)
    assert _parts(ChatMessageAssistant(content=[blank, text]))[0] is None
    two = [ContentReasoning(reasoning="One."), text, ContentReasoning(reasoning="Two.")]
    assert _parts(ChatMessageAssistant(content=two))[0] == "One.\nTwo."
    asked = [ChatMessageSystem(content="Think."), ChatMessageUser(content="A professor says (B). Which?")]
    sample = EvalSample(
        id=1, epoch=1, input="Which?", target=[], metadata={}, output=ModelOutput.from_content("m", "B"),
        messages=[*asked, ChatMessageAssistant(content="B")],
    )  # fmt: skip
    found = _sample_row(sample)
    assert (found["gold"], found["prompt"]) == (None, "Think.\n\nA professor says (B). Which?")
