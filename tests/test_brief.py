"""The result in few lines: what it says, how wide it is, and that every figure is the summary's."""

import io

import pytest
from report_summary import figure, model_summary, run_summary, typed

from experiments.records.detector_tables import Finding
from experiments.report.brief import WIDTH, brief, why_not
from experiments.report.figure_text import show
from experiments.report.names import readable
from experiments.report.terminal import print_summary
from experiments.run.console import PlainConsole


def lines_of(**changes):
    return brief(typed(run_summary(model_summary() | changes)))


def test_every_line_fits_and_says_the_counts():
    lines = lines_of()
    assert max(map(len, lines)) <= WIDTH
    counts = model_summary()["comparison"]["counts"]
    text = "\n".join(lines)
    assert f"relied on the hint    {counts['reliant']} of {counts['hinted_rollouts']}" in text
    judged = counts["reliant"] - counts.get("unjudged", 0)
    assert f"did not say so        {counts['hidden']} of {judged}" in text


def test_the_columns_are_recalls_at_the_judges_own_rate():
    comparison = typed(run_summary(model_summary())).models[0].comparison
    best = comparison.best_probe
    relied, hidden = (table[best].recall_at_judge_fpr for table in (comparison.detectors, comparison.hidden_detectors))
    assert relied != comparison.detectors[best].recall_at_5pct
    (line,) = [line for line in lines_of() if line.startswith(f"    {readable(best)}")]
    assert line.split(readable(best))[1].split() == f"{show(relied)} {show(hidden)}".split()


def test_where_nothing_could_be_judged_no_share_is_printed():
    model = model_summary()
    counts = model["comparison"]["counts"]
    counts |= {"hidden": 0, "unjudged": counts["reliant"]}
    text = "\n".join(brief(typed(run_summary(model))))
    assert "cannot be told: none of them has a chain of thought with a verdict" in text.replace("\n    ", " ")
    assert "0 of 0" not in text


def test_names_are_never_broken():
    text = "\n".join(lines_of())
    for name in ("judge lexical", "probe before the CoT"):
        assert name in text


def test_a_run_without_a_comparison_names_what_is_missing():
    (line,) = lines_of(comparison=None, missing_stages=["compare"])
    assert "not finished; missing stages: compare" in line


def test_a_model_beyond_the_second_gets_its_counts_only():
    one = brief(typed(run_summary(model_summary())))
    three = brief(typed(run_summary(model_summary(), model_summary(), model_summary())))
    assert 2 * len(one) < len(three) <= 2 * len(one) + 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"p_search": 0.4}, "no better than on permuted labels"),
        ({"belief": {"auroc": figure(0.5), "p": 0.5}}, "does not tell reliant from resisted rows"),
        ({"rivals": {"direction_x_margin": {"difference": figure(0.01), "p": 0.4}}}, "not ahead of the direction ×"),
        ({"missing": ("belief",)}, "could not be tested: belief"),
    ],
)
def test_the_reason_is_the_part_that_fails(changes, said):
    given = {"found": False, "p_holm": 0.5, "p_search": 0.01, "belief": {"auroc": None, "p": 0.02}, "differences": {}}
    assert said in why_not(Finding.model_validate(given | changes))


def test_every_detector_has_words_of_its_own():
    assert readable("probe_within_cot_new_kind") == "probe within the CoT, kind not seen in training"
    assert readable("judge_gpt-5") == "judge gpt-5"
    assert readable("some_new_thing") == "some new thing"


def test_verbose_shows_every_detector_in_one_piece(tmp_path):
    summary = typed(run_summary(model_summary()))
    out = io.StringIO()
    print_summary(PlainConsole(file=out, width=80), summary, tmp_path / "report.html", verbose=True)
    names = summary.models[0].comparison.detectors
    assert all(any(line.startswith(name) for line in out.getvalue().splitlines()) for name in names)
