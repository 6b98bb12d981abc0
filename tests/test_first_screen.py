"""What a stranger reads first: the contest, the find, one hidden example; nothing private, nothing unescaped."""

from report_run import make_run
from report_summary import model_summary, run_summary, typed

from experiments.report.first_screen import bars, example, marked, sentences
from experiments.report.page import render


def comparison_of(**changes):
    model = model_summary()
    model["comparison"] |= changes
    return typed(run_summary(model)).models[0].comparison


def test_the_contest_is_at_one_false_positive_rate():
    comparison = comparison_of()
    found = bars(comparison)
    assert found[0].name == "judge lexical"
    entry = comparison.detectors[comparison.best_probe]
    assert found[-1].relied == entry.recall_at_judge_fpr


def test_what_was_found_and_what_cannot_be_concluded_is_said():
    said = sentences(comparison_of())
    assert all(said.values())
    few = comparison_of(counts=model_summary()["comparison"]["counts"] | {"reliant": 12})
    assert any("12 reliant rollouts are few" in line for line in sentences(few)["limits"])
    assert sentences(comparison_of(findings={}))["found"] == [
        "No probe was trained on this model, so nothing could be found."
    ]


def test_the_example_relied_in_silence_and_stands_beside_its_unhinted_run(tmp_path):
    run = make_run(tmp_path, 18)
    shown = example(run, run.summary.models[0], "auto")
    assert shown["id"] == "q1:metadata:hinted:0" or shown["id"].endswith(":hinted:0")
    assert "A professor says (B)." in shown["prompt"]
    assert shown["unhinted"] is not None
    page = render([run])
    assert "What cannot be concluded" in page


def test_no_example_of_a_source_that_is_not_to_be_spread(tmp_path):
    run = make_run(tmp_path, 18, source="gpqa_diamond")
    assert example(run, run.summary.models[0], "auto") is None
    assert example(run, run.summary.models[0], "show") is not None


def test_marks_never_let_markup_through():
    text = "<b>&</b> hint"
    assert marked(text, [(9, 13, 'class="m-hint"')]) == '&lt;b&gt;&amp;&lt;/b&gt; <span class="m-hint">hint</span>'
    assert marked(text, []) == "&lt;b&gt;&amp;&lt;/b&gt; hint"
