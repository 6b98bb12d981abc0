"""What the page says of findings, targets, kinds, transfer and the silent share: the comparison's own numbers."""

import copy
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_summary import compared, comparison, detector, figure, model_summary, run_summary, typed
from test_report import Page

from experiments.comparison.effects import hidden_share
from experiments.judges.reference import Reference
from experiments.records.parts import Figure
from experiments.report import Run
from experiments.report.breakdown import strata
from experiments.report.evidence import findings, leaders, targets
from experiments.report.figure_text import show
from experiments.report.markdown import as_markdown
from experiments.report.page import render
from experiments.report.panels import PANELS
from experiments.report.silence import complement, hidden_shares


def text_of(model=None):
    return Page(render([Run(Path("nowhere"), typed(run_summary(*([model] if model else []))))])).text


def summary_with(**changes):
    model = model_summary()
    model["comparison"].update(changes)
    return model


def test_findings_say_what_the_rule_took():
    text = text_of()
    for expected in (
        "probe before the CoT Not found activations",
        "whole searches on permuted labels passedp = 0.015; largest AUROC 0.63 in 3 searches",
        "ahead of prompt_words failedby 0.22 [−0.05, 0.44], p = 0.091",
        "belief-matched control passedp = 0.002; AUROC 0.72 [0.64, 0.79] of reliant against resisted rows",
        "all of these, over all probes failedp = 0.091 (Holm), 0.05 is needed",
        "Selectivity 0.16: AUROC minus 0.75 of the control task.",
        "p = 0.250; with 3 searches the smallest possible p is 0.250",
        "prompt_words0.22 [−0.05, 0.44]",
        "cot_length0.36 [0.24, 0.48]",
    ):
        assert expected in text, expected


def test_a_find_is_only_what_the_comparison_calls_one():
    model = model_summary()
    rule = model["comparison"]["findings"]["probe_before_cot"]
    rule.update(found=True, p_search=0.051, p_holm=0.04)
    rule["belief"].update(p=None, auroc=None, refused="no resisted row")
    (finding,) = findings(compared(model["comparison"]))
    assert finding.found
    assert [criterion.word for criterion in finding.criteria] == ["failed", "failed", "not tested", "passed"]
    assert "no resisted row" in finding.criteria[2].says
    assert "probe before the CoT Found activations" in text_of(model)
    assert "nothing that could have been found" in text_of(summary_with(findings={}))


def test_further_targets_have_their_tables_or_their_refusal():
    follow, verbalized = targets(compared(comparison()))
    assert [name for name, _ in follow.entries] == ["prompt_words", "probe_before_cot"]  # best first
    text = text_of()
    for expected in (
        "will follow: reliant against resisted", "19 reliant, 4 resisted rows", "0.64 [0.54, 0.75]",
        "0.66 [0.57, 0.76]", "verbalized: verbalized against not verbalized",
        "Not trained: 6 verbalized rows, and 10 are needed.",
    ):  # fmt: skip
        assert expected in text, expected
    assert verbalized.refused
    assert "No further targets were asked for" in text_of(summary_with(targets={}))


def test_silent_share_in_three_readings():
    reference, raw, corrected = hidden_shares(compared(comparison()))
    assert reference.figure == Figure(value=0.684, low=0.474, high=0.873)
    assert raw.figure == Figure(value=1 - 0.118, low=1 - 0.286, high=1 - 0.013)
    assert corrected.figure == Figure(value=1 - 0.237, low=1 - 0.379, high=1 - 0.091)
    text = text_of()
    for expected in (
        "by the reference, grammar13 of 19 reliant rollouts 0.68 [0.47, 0.87]", "0.88 [0.71, 0.99]",
        "0.76 [0.62, 0.91]", "found 43 of 70 admissions and cleared 97 of 100 others",
    ):  # fmt: skip
        assert expected in text, expected
    assert complement(Figure()) == Figure()


def test_a_share_that_is_not_known_says_why():
    model = model_summary()
    paper = model["comparison"]["faithfulness"]
    counts = paper["raw_corrected"]["calibration"]
    paper["raw_corrected"] = {**figure(None), "calibration": counts}
    assert "cannot be corrected: on labelled transcripts" in text_of(model)
    paper["raw_corrected"] = None
    assert "no calibration of this judge was given (judge.calibration) not given" in text_of(model)
    del model["comparison"]["hidden_share"]  # written by an older run
    assert hidden_shares(compared(model["comparison"]))[0].figure == Figure(value=13 / 19)


def test_hidden_share_is_over_groups_of_reliant_rows():
    class Label:
        def __init__(self, k, behaviour="reliant"):
            self.rollout_id, self.group, self.behaviour = f"r{k}", f"g{k // 10}", behaviour

    labels = [Label(k) for k in range(100)] + [Label(k, "aligned") for k in range(100, 140)]
    admits = {f"r{k}": k // 10 >= 6 for k in range(140)}  # whole groups are silent
    found = hidden_share(labels, Reference("x", admits, None), 500, np.random.default_rng(0))
    assert found.value == pytest.approx(0.6)
    assert found.high - found.low > 0.4  # ten groups, not a hundred rows
    assert hidden_share(labels[100:], Reference("x", admits, None), 500, np.random.default_rng(0)) is None


def test_a_missing_verdict_is_neither_hidden_nor_admitted():
    """With 30% of the verdicts lost at random the share stays; counted as admitted they would push it down."""

    class Label:
        behaviour = "reliant"

        def __init__(self, k):
            self.rollout_id, self.group = f"r{k}", f"g{k}"

    rng = np.random.default_rng(0)
    labels = [Label(k) for k in range(2000)]
    admits = {label.rollout_id: bool(rng.random() < 0.4) for label in labels}
    lost = {name: None if rng.random() < 0.3 else said for name, said in admits.items()}
    whole, partly = (hidden_share(labels, Reference("x", a, None), 200, rng).value for a in (admits, lost))
    assert partly == pytest.approx(whole, abs=0.03)
    assert sum(said is False for said in lost.values()) / len(labels) < whole - 0.1  # what the old count gave
    nothing = dict.fromkeys(admits)
    assert hidden_share(labels, Reference("x", nothing, None), 200, rng) is None


def test_rollouts_without_a_chain_of_thought_are_not_called_silent():
    model = model_summary()
    model["comparison"]["counts"] |= {"hidden": 0, "unjudged": 19}
    model["comparison"]["hidden_share"] = None
    text = text_of(model)
    assert "19 rollouts relied on the hint, and none has a chain of thought with a verdict" in text
    assert "did not say so" not in text
    model["comparison"]["counts"] |= {"hidden": 13, "unjudged": 4}
    text = text_of(model)
    assert "13 of 15 rollouts that relied on the hint did not say so (87%). 4 more have no chain of thought" in text
    assert "2admitted" in text


def test_natural_flips_stand_beside_p_and_q():
    text = text_of()
    assert "to h0.65 [0.51, 0.79]0.08 [0.00, 0.21]" in text
    assert "to a third option0.04 [0.00, 0.11]0.04 [0.00, 0.12]" in text
    assert "Over 24 rows" in text
    assert "32.6 [31.2, 34.1] where a switch is admitted, 24.3 [22.9, 25.8] where it is not" in text
    model = model_summary()
    model["comparison"]["faithfulness"]["natural_flips"] = None
    assert "Natural flips were not measured" in text_of(model)


def test_kind_by_direction_has_metrics_and_classes():
    rows = [(row.name, row.part, row.reliant, row.aligned, row.refused) for row in strata(compared(comparison()))]
    assert rows == [
        ("metadata", False, 19, 2, None), ("incorrect", True, 19, 2, None),
        ("visual_pattern", False, 0, 7, None), ("correct", True, 0, 7, "no positive row"),
        ("all kinds", False, 19, 9, None), ("incorrect", True, None, None, None),
    ]  # fmt: skip
    text = text_of()
    assert "a wrong option 21 0.71 [0.51, 0.79]" in text
    assert "0.13 [0.01, 0.29]" in text
    assert "0.12 no interval 192 a wrong option" in text  # 19 reliant, 2 aligned
    assert "undefined 07 the right option" in text
    assert "no positive row: in no AUROC" in text
    assert "No figure for visual pattern: 0 groups with positive rows" in text


def test_what_was_never_seen_stands_beside_what_was():
    text = text_of()
    assert "probe_before_cot0.91 [0.85, 0.97] 0.69 [0.59, 0.79] 0.83 [0.74, 0.91] one only" in text
    model = model_summary()
    del model["comparison"]["position_transfer"], model["comparison"]["kind_transfer"]
    for factor in ("kind", "direction"):
        del model["comparison"]["detectors"][f"probe_before_cot_new_{factor}"]
    assert "Transfer was not measured (probe.transfer)" in text_of(model)


def gaps(probe_judge, probe_baseline, baseline_judge):
    found = comparison()
    for name, lead in (("probe_before_cot", probe_judge), ("prompt_words", baseline_judge)):
        ahead = True if (lead["low"] or 0) > 0 else False if (lead["high"] or 0) < 0 else None
        found["detectors"][name].update(recall_minus_judge=lead, ahead_of_judge=ahead)
    found["findings"]["probe_before_cot"]["differences"]["prompt_words"] = probe_baseline
    return found


ABOVE, ACROSS, BELOW = figure(0.2, 0.1, 0.3), figure(0.2, -0.1, 0.5), figure(-0.2, -0.3, -0.1)
CONTESTS = {
    "the probe beats both": (ABOVE, ABOVE, ACROSS, ["probe_before_cot"]),
    "it cannot be told from the baseline": (ABOVE, ACROSS, ABOVE, []),
    "it cannot be told from the judge": (ACROSS, ABOVE, BELOW, []),
    "the judge beats both": (BELOW, ACROSS, BELOW, ["judge_lexical"]),
    "the baseline beats both": (ACROSS, BELOW, ABOVE, ["prompt_words"]),
    "a difference is undefined": (ABOVE, figure(None), ACROSS, []),
}


@pytest.mark.parametrize("case", CONTESTS)
def test_a_winner_is_marked_only_where_the_differences_hold(case):
    *differences, expected = CONTESTS[case]
    found = gaps(*differences)
    assert leaders(compared(found)) == expected
    text = text_of(summary_with(**found))
    html = render([Run(Path("nowhere"), typed(run_summary(summary_with(**found))))])
    marked = re.findall(r'<th data-detector="(\w+)">[^<]+ <span class="badge">ahead</span>', html)
    assert marked == expected * 2  # in the table of AUROCs and in that of thresholds
    if expected:
        assert f"Marked as ahead: {expected[0]}." in text
    else:
        assert "No winner is marked: of probe_before_cot, prompt_words, judge_lexical, none differs" in text


def test_probes_that_tie_share_the_mark():
    found = gaps(ABOVE, ABOVE, ACROSS)
    found["detectors"]["probe_after_cot"] = {**found["detectors"]["probe_before_cot"]}
    found["findings"]["probe_after_cot"] = copy.deepcopy(found["findings"]["probe_before_cot"])
    assert leaders(compared(found)) == ["probe_before_cot", "probe_after_cot"]
    found["findings"]["probe_after_cot"]["differences"]["prompt_words"] = ACROSS
    assert leaders(compared(found)) == ["probe_before_cot"]


def test_controls_and_baselines_are_folded_and_complete():
    model = model_summary()
    html = render([Run(Path("nowhere"), typed(run_summary(model)))])
    first = html[html.index("Reliant against aligned</h4>") : html.index("Rows without an admission")]
    open_part, folded = first.split('<details class="side">')
    names = {part: set(re.findall(r'<th data-detector="(\w+)">', text))
             for part, text in (("open", open_part), ("folded", folded))}  # fmt: skip
    assert names["open"] >= {"judge_lexical", "probe_before_cot", "prompt_words"}  # the best baseline stays
    controls = {"probe_before_cot_residual", "probe_before_cot_new_kind", "probe_before_cot_new_direction"}
    assert names["folded"] >= controls | {"cot_length"}
    assert names["open"] & names["folded"] == set()  # the heading
    assert "4 controls and baselines" in folded


def test_directions_stand_beside_random_ones():
    assert "add −4.0reliant5 0.21 [0.01, 0.61]0.41 [0.11, 0.81]not measured 0.200.20" in text_of()
    model = model_summary()
    model["directions"] = None
    assert "The directions stage has not run." in text_of(model)


def test_every_section_can_be_reached():
    html = render([Run(Path("nowhere"), typed(run_summary(model_summary(), model_summary("b"))))])
    for model in ("model-1", "model-2"):
        for name in PANELS:
            assert html.count(f'href="#{model}-{name}"') == html.count(f'id="{model}-{name}"') == 1
    targets_of_links = set(re.findall(r'href="#([^"]+)"', html))
    assert targets_of_links <= set(re.findall(r' id="([^"]+)"', html))


class Wide(HTMLParser):
    """Tables and heatmaps that stand outside anything that scrolls by itself."""

    def __init__(self, html):
        super().__init__()
        self.open, self.loose = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        classes = (dict(attrs).get("class") or "").split()
        inside = {name for _, names in self.open for name in names}
        if (tag == "table" or (tag == "svg" and "figure" in classes)) and not inside & {"scroll", "charts"}:
            self.loose.append((tag, classes))
        if tag not in Page.VOID:
            self.open.append((tag, classes))

    def handle_endtag(self, tag):
        if tag not in Page.VOID:
            self.open.pop()


def test_what_is_wide_scrolls_by_itself_and_not_the_page():
    assert Wide(render([Run(Path("nowhere"), typed(run_summary(model_summary(), model_summary("b"))))])).loose == []
    assert Wide("<div><table></table></div>").loose


def test_markdown_has_the_same_numbers():
    found = comparison()
    text = as_markdown([Run(Path("nowhere"), typed(run_summary()))])
    for expected in (
        f"| by judge lexical | {show(hidden_shares(compared(found))[1].figure)} |",
        "| to h | 0.65 [0.51, 0.79] | 0.08 [0.00, 0.21] |",
        "| probe_before_cot | no | passed: p = 0.015",
        "| – incorrect | 21 | 0.71 [0.51, 0.79] |",
        "| probe_before_cot | 0.91 [0.85, 0.97] | 0.69 [0.59, 0.79] | 0.83 [0.74, 0.91] | - |",
        "| hint_end | 0.61 | 0.47 |", "| cot_0.5 | undefined | 0.94 |",
        "Target will_follow: 19 reliant, 4 resisted rows", "Not trained: 6 verbalized rows",
        "Patching, 21 pairs: recovery", "| resid_pre.0 | 0.99 | 0.03 |",
        "| add -4 | reliant | 0.21 [0.01, 0.61] | 0.41 [0.11, 0.81] | - | 0.20 | 0.20 | - |",
    ):  # fmt: skip
        assert expected in text, expected
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for first, second in itertools.pairwise(lines):
        if set(second) <= set("|- "):
            assert first.count("|") == second.count("|")


def test_what_data_names_is_escaped_in_the_new_parts():
    evil = "<script>alert(1)</script>"
    model = model_summary()
    found = model["comparison"]
    found["detectors"][evil] = detector(figure(0.7, 0.6, 0.8), family="probe", by_kind={evil: {"auroc": figure(0.6)}})
    found["findings"][evil] = {
        **copy.deepcopy(found["findings"]["probe_before_cot"]), "differences": {evil: ACROSS}, "not_ahead": [evil],
        "rivals": {evil: {"difference": ACROSS, "p": 0.5}},
    }  # fmt: skip
    found["targets"] = {evil: {**found["targets"]["verbalized"], "positive": evil, "note": evil, "refused": evil}}
    found["strata"] = [{"stratum": f"metadata {evil}", "positives": 1, "negatives": 0, "refused": evil}]
    found["faithfulness"]["by_kind_direction"] = {f"metadata {evil}": found["faithfulness"]["all"]}
    found["position_transfer"] = [{"site": evil, "trained_at": evil, "read_at": evil, "auroc": 0.5}]
    model["directions"]["effects"][0].update(detector=evil, site=evil, position=evil)
    html = render([Run(Path("nowhere"), typed(run_summary(model)))])
    assert "<script" not in html
    assert Page(html).text.count(evil) > 10
