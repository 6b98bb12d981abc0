"""Questions of every source: published schemas in small copies, what is dropped, and errors that say where."""

import csv
import gzip
import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from activations.errors import HintprobeError
from experiments.config import QuestionsConfig
from experiments.config.field_map import FieldMap
from experiments.questions.fields import stem_group
from experiments.questions.pool import load_questions

datasets = pytest.importorskip("datasets", reason="the extra `datasets` is not installed")
pyarrow = pytest.importorskip("pyarrow", reason="the extra `datasets` is not installed")


def load(source, limit=1000, seed=0, **changes):
    return load_questions(QuestionsConfig(source=str(source), **changes), limit, seed)


def by_id(source, **changes):
    return {question.id: question for question in load(source, **changes)[0]}


def write_lines(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def simple(k, **changes):
    return {"id": f"q{k}", "stem": f"What is {k}?", "options": ["one", "two", "three"], "gold": "B", **changes}


def parquet(path, rows, features=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=features).to_parquet(path)


ABCD = "ABCD"


def mmlu_rows():
    letters = datasets.ClassLabel(names=list(ABCD))
    features = datasets.Features(
        question=datasets.Value("string"), subject=datasets.Value("string"),
        choices=datasets.List(datasets.Value("string")), answer=letters,
    )  # fmt: skip
    return [
        {"question": "Capital of Peru?", "subject": "city", "choices": ["Quito", "Lima", "Cusco", "Ica"], "answer": 1},
        {"question": "2 + 2?", "subject": "sums", "choices": ["1", "2", "3", "4"], "answer": 3},
    ], features  # fmt: skip


def labelled(identity, texts, labels, answer):
    return {
        "id": identity,
        "question": f"{identity}?",
        "choices": {"text": texts, "label": labels},
        "answerKey": answer,
    }


# Per dataset: where the hub keeps the file, rows in its publishers' schema, and per id the option that is right.
PUBLISHED = {
    "mmlu_pro": (
        "data/test-00000-of-00001.parquet",
        [
            {"question_id": 70, "question": "Ten?", "options": [f"o{k}" for k in range(10)], "answer": "J",
             "answer_index": 9, "cot_content": "", "category": "business", "src": "x"},
            {"question_id": 71, "question": "Three?", "options": ["a1", "b1", "c1"], "answer": "A", "answer_index": 0,
             "cot_content": "", "category": "law", "src": "x"},
        ],
        {"70": ("o9", 10, "business"), "71": ("a1", 3, "law")},
    ),
    "gpqa": (
        "gpqa_main.csv",
        [
            {"Record ID": f"rec{k}", "Question": f"Q{k}?", "Correct Answer": "right", "Incorrect Answer 1": "w1",
             "Incorrect Answer 2": "w2", "Incorrect Answer 3": "w3", "Subdomain": "Optics",
             "High-level domain": "Physics"}
            for k in range(40)
        ],
        {f"rec{k}": ("right", 4, "Optics") for k in range(40)},
    ),
    "arc_challenge": (
        "ARC-Challenge/test-00000-of-00001.parquet",
        [
            labelled("Mercury_1", ["a1", "b1", "c1", "d1"], list(ABCD), "C"),
            labelled("NYSED_2", ["a2", "b2", "c2", "d2"], list("1234"), "4"),
            labelled("MCAS_3", ["a3", "b3", "c3"], list("ABC"), "A"),
        ],
        {"Mercury_1": ("c1", 4, ""), "NYSED_2": ("d2", 4, ""), "MCAS_3": ("a3", 3, "")},
    ),
    "commonsense_qa": (
        "data/validation-00000-of-00001.parquet",
        [labelled("x", ["v", "w", "x", "y", "z"], list("ABCDE"), "E") | {"question_concept": "c"}],
        {"x": ("z", 5, "")},
    ),
    "aqua": (
        "raw/test-00000-of-00001.parquet",
        [
            {"question": "How far?", "options": ["A)5 km", "B)6 km", "C)7 km", "D)8 km", "E)None of these"],
             "rationale": "", "correct": "E"},
            {"question": "How many?", "options": ["A)A)1", "B)2", "C)3", "D)4", "E)5"], "rationale": "",
             "correct": "A"},
        ],
        {"test/1": ("None of these", 5, ""), "test/2": ("A)1", 5, "")},
    ),
}  # fmt: skip


def keep(folder, place, rows):
    path = folder / place
    if path.suffix == ".parquet":
        parquet(path, rows)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_schemas(name, tmp_path):
    place, rows, expected = PUBLISHED[name]
    keep(tmp_path, place, rows)
    found = by_id(name, path=str(tmp_path))
    if name == "aqua":  # no ids of its own
        found = {f"test/{k}": question for k, question in enumerate(sorted(found.values(), key=lambda q: q.id), 1)}
    right = {i: (q.options["ABCDEFGHIJ".index(q.gold)], len(q.options), q.subject) for i, q in found.items()}
    assert right == expected
    assert {question.source for question in found.values()} == {name}


def test_mmlu_from_the_hubs_schema_and_from_its_own_folder_are_the_same(tmp_path):
    rows, features = mmlu_rows()
    parquet(tmp_path / "hub" / "all" / "test-00000-of-00001.parquet", rows, features)
    hub, _ = load("mmlu", path=str(tmp_path / "hub"))
    (tmp_path / "own" / "data" / "test").mkdir(parents=True)
    for row in rows:
        with (tmp_path / "own" / "data" / "test" / f"{row['subject']}_test.csv").open("w", newline="") as file:
            csv.writer(file).writerow([row["question"], *row["choices"], ABCD[row["answer"]]])
    own, _ = load("mmlu", path=str(tmp_path / "own"))

    def content(questions):
        return {(q.stem, q.options, q.gold, q.subject, q.group) for q in questions}

    assert content(hub) == content(own)
    assert {(q.stem, q.gold) for q in hub} == {("Capital of Peru?", "B"), ("2 + 2?", "D")}


def test_folders_that_the_datasets_library_wrote(tmp_path):
    rows, features = mmlu_rows()
    split = datasets.Dataset.from_list(rows, features=features)
    split.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(test=split).save_to_disk(tmp_path / "dict")
    assert [len(load("mmlu", path=str(tmp_path / name))[0]) for name in ("one", "dict")] == [2, 2]
    with pytest.raises(HintprobeError, match="'dev' of the dataset"):
        load("mmlu", path=str(tmp_path / "dict"), split="dev")


def test_an_unknown_layout_goes_through_the_datasets_library(tmp_path):
    parquet(tmp_path / "set" / "held" / "part.parquet", mmlu_rows()[0])
    (tmp_path / "set" / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: held/part.parquet\n---\n"
    )
    assert len(load(tmp_path / "set")[0]) == 2


def test_a_folder_that_holds_no_dataset_is_told(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"x": 1}]))
    (tmp_path / "b.json").write_text(json.dumps([{"y": ["z"]}]))
    with pytest.raises(HintprobeError, match="could not be loaded: "):
        load(tmp_path, split="train")


def test_options_of_gpqa_are_shuffled_by_seed(tmp_path):
    keep(tmp_path, *PUBLISHED["gpqa"][:2])
    first, again, other = (by_id("gpqa", path=str(tmp_path), seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert {i: q.options for i, q in first.items()} != {i: q.options for i, q in other.items()}
    assert set(Counter(question.gold for question in first.values())) == set(ABCD)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "csv", "tsv", "parquet"])
def test_files_of_every_kind_hold_the_same(ending, tmp_path):
    path = tmp_path / f"quiz.{ending}"
    rows = [simple(1), simple(2, options=["x", "y"], gold="A", subject="s", group="g")]
    if ending.startswith("jsonl"):
        write_lines(path, *rows)
    elif ending == "parquet":
        parquet(path, [{"subject": None, "group": None} | row for row in rows])
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if ending == "tsv" else ",")
            writer.writerow(["id", "stem", "options", "gold"])
            writer.writerows([[row["id"], row["stem"], json.dumps(row["options"]), row["gold"]] for row in rows])
    found = by_id(path)
    assert (found["q1"].options, found["q1"].gold) == (("one", "two", "three"), "B")
    assert (found["q2"].options, found["q2"].gold, found["q2"].source) == (("x", "y"), "A", "quiz")
    assert found["q1"].group == stem_group("WHAT is  1")


def test_separators_inside_a_json_string_end_no_line(tmp_path):
    line = json.dumps(simple(1, stem="one\u2028two\x85three?"), ensure_ascii=False)
    (tmp_path / "q.jsonl").write_text(line + "\n", encoding="utf-8")
    assert [question.stem for question in load(tmp_path / "q.jsonl")[0]] == ["one\u2028two\x85three?"]


def test_other_field_names_are_mapped(tmp_path):
    write_lines(tmp_path / "q.jsonl", {"text": "Sky?", "r": "blue", "w": "red", "n": 5, "topic": "sky"})
    fields = FieldMap(stem="text", option_fields=("r", "w"), gold_is="first", id="n", subject="topic")
    (question,) = load(tmp_path / "q.jsonl", fields=fields)[0]
    assert (question.id, question.stem, question.options, question.gold) == ("5", "Sky?", ("blue", "red"), "A")
    write_lines(tmp_path / "q.jsonl", simple(1, gold="three"))
    (question,) = load(tmp_path / "q.jsonl", fields=FieldMap(gold_is="text"))[0]
    assert (question.gold, question.id) == ("C", "q1")


BAD = {
    "no JSON": ("{", "Line 2", "not JSON"),
    "no object": ("[1]", "Line 2", "one JSON object"),
    "no stem": (simple(2, stem=None), "Line 2", "`stem` or `question`"),
    "an empty stem": (simple(2, stem="  "), "Line 2", "`stem` is empty"),
    "no gold": (simple(2, gold=None), "Line 2", "`gold` or `answer`"),
    "an empty gold": (simple(2, gold=""), "Line 2", "not one of the letters ABC"),
    "one option": (simple(2, options=["x"]), "Line 2", "at least 2"),
    "eleven options": (simple(2, options=[f"o{k}" for k in range(11)]), "Line 2", "at most 10"),
    "options in a string": (simple(2, options="one, two"), "Line 2", "a list of options"),
    "an option that is a list": (simple(2, options=["a", ["b"]]), "Line 2", "not text"),
    "gold beyond the options": (simple(2, gold="D"), "Line 2", "not one of the letters ABC"),
    "an index beyond the options": (simple(2, gold=3), "Line 2", "not an index from 0 to 2"),
    "a fraction": (simple(2, gold=1.5), "Line 2", "not an index"),
    "a truth value": (simple(2, gold=True), "Line 2", "not one of the letters"),
    "a lower-case letter": (simple(2, gold="b"), "Line 2", "not one of the letters"),
    "an id twice": (simple(1, stem="Other?"), "Line 2", "repeats the id 'q1'"),
    "a label that is none": (
        simple(2, options={"text": ["x", "y"], "label": ["1", "2"]}, gold="3"), "Line 2", "does not name exactly one",
    ),
    "fewer labels than options": (
        simple(2, options={"text": ["x", "y"], "label": ["1"]}, gold="1"), "Line 2", "1 labels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_row_is_told_with_its_file_line_and_field(case, tmp_path):
    row, *expected = BAD[case]
    path = write_lines(tmp_path / "quiz.jsonl", simple(1), row, simple(3))
    with pytest.raises(HintprobeError) as raised:
        load(path)
    for words in (*expected, str(path)):
        assert words in str(raised.value)


def test_places_in_csv_and_parquet_are_told(tmp_path):
    (tmp_path / "q.csv").write_text('stem,a,b,gold\n"Two\nlines?",x,y,A\nOne?,x,y,C\n')
    with pytest.raises(HintprobeError, match=r"Line 4 of .*q\.csv.*'C'"):
        load(tmp_path / "q.csv", fields=FieldMap(option_fields=("a", "b")))
    (tmp_path / "q.csv").write_text("stem,gold\nOne?,A,B,C\n")
    with pytest.raises(HintprobeError, match="more cells"):
        load(tmp_path / "q.csv")
    parquet(tmp_path / "q.parquet", [simple(1), simple(2, gold="Z")])
    with pytest.raises(HintprobeError, match=r"Row 1 of .*q\.parquet.*'Z'"):
        load(tmp_path / "q.parquet")


def test_what_published_datasets_hold_is_dropped_and_counted(tmp_path):
    path = write_lines(
        tmp_path / "q.jsonl",
        simple(1),
        simple(2, stem="what is 1", options=["two", "one", "three"], gold="A"),
        simple(3, stem="What is 1?!", options=["four", "five"]),
        simple(4, options=["same", "same ", "other"]),
    )
    questions, dropped = load(path)
    assert dropped == {"repeated stem and options": 1, "duplicate options": 1}
    assert {question.id for question in questions} == {"q1", "q3"}
    assert len({question.group for question in questions}) == 1, "duplicates of a stem share a group"


def test_sampling_by_subject_is_seeded(tmp_path):
    rows = [simple(k, subject="rare" if k % 10 == 0 else "common") for k in range(60)]
    path = write_lines(tmp_path / "q.jsonl", *rows)
    some = [q.id for q in load(path, per_subject=5)[0]]
    subjects = Counter(question.subject for question in load(path, per_subject=5)[0])
    assert subjects == {"rare": 5, "common": 5}
    assert some == [q.id for q in load(path, per_subject=5)[0]]
    assert some != [q.id for q in load(path, per_subject=5, seed=1)[0]]
    assert {q.subject for q in load(path, subjects=("rare",))[0]} == {"rare"}
    assert len(load(path, limit=7)[0]) == 7
    with pytest.raises(HintprobeError, match="may name: common, rare"):
        load(path, subjects=("rarer",))


@pytest.mark.parametrize(
    ("source", "changes", "said"),
    [
        ("nonsense", {}, "Known by name: organism-world, mmlu"),
        ("nowhere/at/all.jsonl", {}, "there is none"),
        ("organism-world", {"split": "test"}, "held_out or train"),
    ],
)
def test_sources_that_are_none(source, changes, said):
    with pytest.raises(HintprobeError, match=said):
        load(source, **changes)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "q.txt").write_text("hello")
    with pytest.raises(HintprobeError, match=r"'\.txt'"):
        load(tmp_path / "q.txt")
    (tmp_path / "q.parquet").write_text("hello")
    with pytest.raises(HintprobeError, match="could not be read"):
        load(tmp_path / "q.parquet")
    (tmp_path / "q.jsonl.gz").write_text("hello")
    with pytest.raises(HintprobeError, match="could not be read"):
        load(tmp_path / "q.jsonl.gz")


def test_all_of_mmlu_is_read():
    shared = os.environ.get("HINTPROBE_SHARED_DATA")
    if not shared:
        pytest.skip("HINTPROBE_SHARED_DATA is not set: no real questions to read")
    questions, dropped = load("mmlu", path=str(Path(shared) / "mmlu"), limit=20_000)
    assert len(questions) + sum(dropped.values()) == 14_042
    assert dropped["duplicate options"] == 9
    assert len({question.subject for question in questions}) == 57
    assert len({question.group for question in questions}) < len(questions)


def test_a_table_with_a_column_per_option(tmp_path):
    """The form that most quizzes are kept in needs no map; a row has as many options as it fills."""
    path = tmp_path / "quiz.csv"
    path.write_text("question,A,B,C,D,answer\nWhich is odd?,1,2,4,6,A\nTrue?,yes,no,,,B\n")
    found, _ = load_questions(QuestionsConfig(source=str(path)), 10, 0)
    told = {q.stem: (q.options, q.gold) for q in found}
    assert told == {"Which is odd?": (("1", "2", "4", "6"), "A"), "True?": (("yes", "no"), "B")}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [("x,,y,", "leaves one before the last empty"), ("x,,,", "no field `options` or `choices`"), ("x,y,,", "gold 'D'")],
)
def test_a_column_per_option_is_not_guessed_at(tmp_path, cells, expected):
    path = tmp_path / "quiz.csv"
    path.write_text(f"question,A,B,C,D,answer\nWhich?,{cells},D\n")
    with pytest.raises(HintprobeError, match=re.escape(expected)):
        load_questions(QuestionsConfig(source=str(path)), 10, 0)


def test_questions_that_differ_in_a_sign_are_all_asked(tmp_path):
    """Letters and digits alone made these four one."""
    options = ["7", "-1", "12", "0.75"]
    rows = [simple(i, stem=f"Compute 3 {sign} 4.", options=options, gold="A") for i, sign in enumerate("+-×÷")]
    rows += [simple(8, stem="Is 0.5 less?"), simple(9, stem="Is 05 less?")]
    questions, dropped = load(write_lines(tmp_path / "q.jsonl", *rows))
    assert len(questions) == 6
    assert dropped == {}


@pytest.mark.parametrize("blank", ["", "  ", None, float("nan")])
def test_a_blank_option_is_left_out_with_its_row(tmp_path, blank):
    path = write_lines(tmp_path / "q.jsonl", simple(1), simple(2, options=["one", blank, "three"], gold="A"))
    questions, dropped = load(path)
    assert [question.id for question in questions] == ["q1"]
    assert dropped == {"blank options": 1}
    with pytest.raises(HintprobeError, match=r"No question was found.*blank options: 1"):
        load(write_lines(tmp_path / "p.jsonl", simple(2, options=["one", blank, "three"], gold="A")))


def test_a_cell_may_be_long(tmp_path):
    (tmp_path / "q.csv").write_text("question,A,B,answer\n" + "x" * 200_000 + ",a,b,A\n")
    questions, _ = load(tmp_path / "q.csv")
    assert len(questions[0].stem) == 200_000


@pytest.mark.parametrize(
    "line",
    ['{"question": "' + "\\ud800" + '", "choices": ["a", "b"], "answer": 0}', "[" * 100_000,
     '{"a": ' + "9" * 5000 + "}", '{"question": "q", "choices": "' + "[" * 100_000 + '", "answer": 0}'],
)  # fmt: skip
def test_text_that_is_none_and_json_without_end_are_told(tmp_path, line):
    (tmp_path / "q.jsonl").write_text(line + "\n")
    with pytest.raises(HintprobeError, match=r"Line 1 of .* is not a question"):
        load(tmp_path / "q.jsonl")
