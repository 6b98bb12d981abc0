"""The page of a run: self-contained, escaped, honest about what is missing, and with the summary's own numbers."""

import re
from html.parser import HTMLParser

import pytest
from report_summary import STAGES, cell, choice, detector, figure, model_summary, run_summary, typed

from experiments.report import Run, write_report
from experiments.report.words import estimate, null_figures, percent, typeset, value

MAX_BYTES = 6_000_000


class Page(HTMLParser):
    """Tags, attributes and visible text of a page; fails on tags that do not close in order."""

    VOID = ("meta", "br", "wbr", "path", "circle", "link", "img")

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.parts = [], [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, text or "") for name, text in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.parts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.parts).split())


@pytest.fixture
def render(tmp_path):
    def run(summary):
        path = write_report([Run(tmp_path, typed(summary))], tmp_path / "report.html")
        assert path == tmp_path / "report.html"
        assert path.stat().st_size < MAX_BYTES
        return path.read_text(encoding="utf-8")

    return run


def test_numbers_are_those_of_the_summary(render):
    text = Page(render(run_summary())).text
    for expected in (
        "13 of 19 rollouts that relied on the hint did not say so (68%)",
        "the reference: grammar",
        "0.65 [0.51, 0.79]",  # p
        "0.97 [0.90, 1.00]",  # alpha
        "0.12 no interval",  # normalised faithfulness
        "0.91 [0.85, 0.97]",  # AUROC of the probe
        "0.88 [0.80, 0.94]",  # pooled
        "0.62 [0.51, 0.73]realised 0.07 [0.01, 0.12]",
        "−0.28 [−0.41, −0.15]",  # minus the judge
        "0.140.090.0377",  # Brier, ECE, cost
        "resid_post.1@prompt_end C=0.1 (×2); resid_post.0@cot_0.5 C=1",
        "0.42 [0.33, 0.50]",  # hint effect
        "a wrong option37 0.680.270.42",
    ):
        assert expected in text, expected
    assert "0.530.633" in text  # mean and largest null, number of permutations


def test_verdict_is_said_as_it_is(render):
    losing = run_summary()
    text = Page(render(losing)).text
    assert "probe_before_cot is worse than the judge: recall at the judge's own false-positive rate differs by" in text
    assert "−0.28 [−0.41, −0.15], the realised rates by 0.00 [−0.01, 0.01]." in text
    assert "probe_before_cot cannot be told from prompt_words: AUROC difference 0.22 [−0.05, 0.44]." in text
    assert "At the judge's own false-positive rate, probe_before_cot finds 0.41 [0.30, 0.52]" in text
    winning = run_summary()
    winning["models"][0]["comparison"]["detectors"]["probe_before_cot"].update(
        recall_minus_judge=figure(0.3, 0.1, 0.5), ahead_of_judge=True
    )
    assert "probe_before_cot beats the judge" in Page(render(winning)).text


def test_everything_dropped_is_counted(render):
    text = Page(render(run_summary())).text
    for expected in (
        "rollouts without a parsed answer2", "rollouts cut by the token limit7", "(no swapped run)6", "(kept)8",
        "fewer than two options12", "(never counted as silence)14", "think_end: no chain of thought15",
        "a probed position is not resolved16", "the completions do not diverge22", "an answer was not parsed3",
        "3swapped run answers a third option", "too few rows have them: pre_answer",
    ):  # fmt: skip
        assert expected in text, expected


def test_names_from_data_are_escaped(render):
    evil = '<script>alert("x")</script>&"\'{{ 71 * 83 }}'
    summary = run_summary(model_summary(evil), model_summary())
    model = summary["models"][0]
    found = model["comparison"]
    found["reference"] = found["best_probe"] = evil
    found["detectors"][evil] = detector(figure(0.5), reads=evil, chosen=[choice(evil, evil, 1.0)])
    found["counts"]["by_kind"] = {evil: {"reliant": 1}}
    found["counts"]["ambiguous_by_reason"] = {evil: 1}
    found["validation"]["probe_before_cot"] = {f"resid_pre.0@{evil}": 0.6}
    found["frozen"] = {"trained_on": evil, "rows": 1, "share_over_threshold": {evil: figure(0.1, 0.0, 0.2)}}
    model["patch"]["cells"] = [cell("resid_pre.0", evil, 0.5)]
    model["patch"]["best"] = model["patch"]["cells"][0]
    model["stages"]["patch"]["account"]["dropped"] = {evil: 1}
    summary["provenance"]["config"]["name"] = summary["provenance"]["commit"] = summary["name"] = evil
    html = render(summary)
    page = Page(html)
    assert "script" not in page.tags
    assert "<script" not in html
    assert "5893" not in page.text
    assert page.text.count("<script>alert") > 10


def test_nothing_is_loaded_from_outside(render):
    html = render(run_summary())
    page = Page(html)
    for tag, name, text in page.attributes:
        assert name not in {"src", "srcset", "xlink:href", "action", "data"}, (tag, name)
        if name == "href":
            assert text.startswith(("#", "data:"))
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?:", html)
    (policy,) = [text for tag, name, text in page.attributes if (tag, name) == ("meta", "content") and "-src" in text]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert policy.count("-src") == 3
    assert not [text for _, name, text in page.attributes if name.startswith("on")]


def test_absent_values_are_words(render):
    summary = run_summary()
    text = Page(render(summary)).text
    for wrong in ("None", "nan", "NaN", "Undefined"):
        assert not re.search(rf"\b{wrong}\b", text.replace("None: this is the model", "")), wrong
    assert "too few negatives" in text
    assert re.search(r"words of the prompt ?prompt_ ?words reads activations ?undefined", text)
    assert "Left out, because it fixed which rows are hidden: judge_lexical" in text


def test_1pct_is_shown_where_there_are_enough_negatives(render):
    summary = run_summary()
    for entries in ("detectors", "hidden_detectors"):
        for entry in summary["models"][0]["comparison"][entries].values():
            entry.update(recall_at_1pct=figure(0.234, 0.1, 0.3), realised_fpr_at_1pct=figure(0.0123, 0, 0.02))
    text = Page(render(summary)).text
    assert "too few negatives" not in text
    assert "0.23 [0.10, 0.30]realised 0.01 [0.00, 0.02]" in text


def test_unfinished_model_says_what_is_missing(render):
    model = model_summary("half")
    model.update(comparison=None, patch=None, missing_stages=["capture", "probe", "patch", "compare"])
    model["stages"] = {name: model["stages"][name] for name in ("generate", "judge")}
    text = Page(render(run_summary(model_summary(), model))).text
    assert "Missing stages: capture, probe, patch, compare." in text
    assert "The patch stage has not run." in text
    assert "probemissing" in text
    assert "judge2.2101" in text


def test_model_without_any_stage_still_has_a_page(render):
    model = model_summary("none")
    model.update(comparison=None, patch=None, stages={}, missing_stages=list(STAGES))
    assert "No stage has counted anything yet." in Page(render(run_summary(model))).text


def test_too_few_rows_to_train(render):
    model = model_summary("blind")
    trained = ("rows", "hidden_rows", "validation", "strata", "position_transfer", "findings")
    for key in (*trained, "best_probe", "best_baseline", "probe_minus_baseline"):
        del model["comparison"][key]
    model["comparison"].update(detectors={}, hidden_detectors={})
    model["comparison"]["counts"].update(reliant=0, hidden=0, strong=0)
    model["patch"] = {"pairs": 1, "dropped": {}, "best": None, "placebo": None, "cells": []}
    shares = {
        "probe_before_cot": figure(0.04, 0.01, 0.08),
        "cot_words": figure(0.3, 0.22, 0.41),
        "cot_length": figure(0.0, 0.0, 0.01),
    }
    shares |= {"judge_lexical": figure(0.02, 0.0, 0.04), "prompt_words": figure(None)}
    model["comparison"]["frozen"] = {"trained_on": "organism:first", "rows": 37, "share_over_threshold": shares}
    text = Page(render(run_summary(model))).text
    assert "None of 40 hinted rollouts relied on the hint" in text
    assert "No detectors were trained: 0 reliant and 9 aligned rows, and 10 of each are needed." in text
    assert "Pairs that could be made of strongly reliant rows: 1." in text
    for expected in (
        "0.04 [0.01, 0.08]5% lies inside the interval", "0.30 [0.22, 0.41]more often",
        "0.00 [0.00, 0.01]less often",
        "0.02 [0.00, 0.04]no threshold", "undefinedundefined",
    ):  # fmt: skip
        assert expected in text, expected


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("-0.00 [-0.01, 0.20]", "0.00 [−0.01, 0.20]"),
        ("-0.05", "−0.05"),
        ("readout-2", "readout-2"),
        ("a -0 b", "a 0 b"),
    ],
)
def test_minus_signs(given, shown):
    assert typeset(given) == shown


def test_words_for_what_is_missing():
    assert value(None) == "undefined"
    assert "<em>" not in estimate(None, "<em>")
    assert percent(0, 0) == "undefined"
    assert null_figures([None]) is None
    assert null_figures([0.4, None, 0.6]) == {"mean": 0.5, "max": 0.6, "n": 2}
