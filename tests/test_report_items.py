"""The item browser's data, the curves and the report command: numbers from the records, no text where withheld."""

import base64
import csv
import gzip
import hashlib
import io
import json
import re
from collections import Counter

import numpy as np
import pytest
from report_run import make_run
from report_summary import STAGES, run_summary, typed
from test_cli import assert_one_paragraph, hintprobe

from experiments.comparison.held import Held, subset
from experiments.comparison.table import basis, detector_entry
from experiments.records import DetectorSummary, TargetRow
from experiments.report.browser import entries_of, pack, page_items
from experiments.report.curves import curves_of, reliability, roc_of
from experiments.report.page import render
from experiments.report.runs import Run


def unpacked(packed):
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_entries_hold_what_the_records_say(tmp_path):
    run = make_run(tmp_path, 12, quote="recall")
    entries = entries_of(run, run.summary.models[0], "auto")
    assert len(entries) == 12
    first = entries[0]
    assert (first["kind"], first["behaviour"], first["verdict"]) == ("sycophancy", "reliant", "admits")
    assert first["answers"] == ["A", "B", None, "A"]
    hinted, unhinted = first["runs"]
    ((role, text, marks),) = hinted["messages"]
    assert role == "user"
    assert [text[start:end] for start, end, name in marks if name == "hint"] == ["A professor says (B)."]
    completion, quotes, scores = hinted["completion"]
    assert scores == [(7, 8, 0.731)]
    assert len(entries[1]["runs"][0]["completion"]) == 2  # not scored
    assert [completion[start:end] for start, end, _ in quotes] == ["recall"]
    assert unhinted["condition"] == "unhinted"
    assert unhinted["messages"][0][2] == []


@pytest.mark.parametrize(("source", "texts", "withheld"), [
    ("mmlu", "auto", 0), ("gpqa_diamond", "auto", 12), ("gpqa_diamond", "show", 0), ("mmlu", "hide", 12),
])  # fmt: skip
def test_texts_are_withheld_where_they_should_be(tmp_path, source, texts, withheld):
    run = make_run(tmp_path, 12, source=source, cots=("SECRET",), hint="SECRET", quote="SECRET")
    items = page_items([run], texts)
    assert items["withheld"] == withheld
    held = gzip.decompress(base64.b64decode(items["packed"])).decode()
    assert ("SECRET" in held) == (withheld == 0)
    assert "stem?" not in held or withheld == 0
    assert len(unpacked(items["packed"])) == 12  # what was found of them stays


def test_what_does_not_fit_is_missing_evenly(tmp_path):
    noise = [base64.b64encode(np.random.default_rng(i).bytes(900)).decode() for i in range(90)]
    run = make_run(tmp_path, 90, cots=noise)
    entries = entries_of(run, run.summary.models[0], "show")
    packed, shown = pack(entries, budget=60_000)
    assert len(packed) <= 60_000
    kept = unpacked(packed)
    assert 10 < shown == len(kept) < 90

    def strata(chosen):
        return Counter(tuple(e[key] for key in ("kind", "direction", "behaviour", "verdict")) for e in chosen)

    before, after = strata(entries), strata(kept)
    cut = [after[stratum] for stratum in before if after[stratum] < before[stratum]]
    assert cut
    assert max(after.values()) - min(cut) <= 1
    assert f"{shown} of 90 rollouts are in this page" in re.sub(r"\s+", " ", render_with_budget(run, 60_000))


def test_texts_that_repeat_are_held_to_what_a_page_can_unpack(tmp_path):
    run = make_run(tmp_path, 60, cots=["the same words again and again " * 40] * 60)
    entries = entries_of(run, run.summary.models[0], "show")
    assert pack(entries)[1] == 60
    packed, shown = pack(entries, unpacked=40_000)
    assert 5 < shown < 60
    assert len(gzip.decompress(base64.b64decode(packed))) <= 41_000


def render_with_budget(run, budget):
    from experiments.report import browser

    before, browser.page_items.__defaults__ = browser.page_items.__defaults__, (budget,)
    try:
        return render([run])
    finally:
        browser.page_items.__defaults__ = before


def test_only_the_reports_own_script_may_run(tmp_path):
    html = render([make_run(tmp_path, 6)])
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html
    assert "innerHTML" not in scripts[0]


def scored(rng, n=400):
    """A held-out detector with thresholds of its own, in strata of which one lacks positives; and its rows."""
    positive, strata = rng.random(n) < 0.4, rng.integers(0, 4, n)
    positive &= strata != 3
    fold = np.arange(n) % 2
    scores = rng.normal(size=n) + positive
    training = tuple(tuple(rng.normal(size=150).round(3).tolist()) for _ in range(2))
    summary = DetectorSummary(
        name="x", family="probe", reads="", seconds_per_row=0.0, chosen=(), validation=(), training_negatives=training,
        null_aurocs=(),
    )  # fmt: skip
    held = Held(summary, scores, np.zeros(n), np.full(n, 0.5), fold)
    rows = [
        TargetRow(
            target="reliant", rollout_id=str(i), group=str(i), kind=f"k{strata[i]}", direction="correct",
            positive=bool(positive[i]), fold=int(fold[i]),
        )
        for i in range(n)
    ]  # fmt: skip
    return held, subset(rows, np.ones(n, dtype=bool), 100, rng), strata


def test_the_roc_passes_through_the_recall_of_the_table():
    held, within, strata = scored(np.random.default_rng(1))
    entry = detector_entry(held, within, None)
    fpr, tpr, marked = roc_of(held, within)
    assert marked == pytest.approx((entry.realised_fpr_at_5pct.value, entry.recall_at_5pct.value))
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()
    assert marked in list(zip(fpr, tpr, strict=True))
    comparable = strata != 3
    flags = held.flags(0.05)
    assert entry.realised_fpr_at_5pct.value == pytest.approx(flags[~within.positive & comparable].mean())
    assert entry.basis.recall_negatives == int((~within.positive & comparable).sum())
    assert (entry.basis.strata, entry.basis.strata_used) == (4, 3)


def test_a_verdict_is_one_point_of_the_roc():
    held, within, _ = scored(np.random.default_rng(2))
    said = np.where(held.scores > 0.5, 1.0, 0.0)
    judge = Held(held.summary.model_copy(update={"family": "judge"}), said, said * 0, said, held.fold)
    fpr, tpr, marked = roc_of(judge, within)
    assert (len(fpr), marked) == (3, (fpr[1], tpr[1]))
    nobody = Held(held.summary.model_copy(update={"training_negatives": ()}), said, said * 0, said, held.fold)
    assert roc_of(nobody, within)[2] is None


def test_pairs_that_are_compared_are_counted_by_hand():
    held, within, strata = scored(np.random.default_rng(3), 60)
    pairs = sum(
        bool(within.positive[i] and not within.positive[j] and strata[i] == strata[j] and held.fold[i] == held.fold[j])
        for i in range(60)
        for j in range(60)
    )
    found = basis(held, within)
    assert found.pairs_used == pairs
    assert found.pairs == int(within.positive.sum() * (~within.positive).sum())
    assert found.rows_used <= found.rows == 60


def test_reliability_counts_its_bins():
    probability = np.array([0.05] * 10 + [0.95] * 20 + [0.5] * 3)
    positive = np.array([True] + [False] * 9 + [True] * 18 + [False] * 2 + [True] * 3)
    predicted, observed, counts = reliability(probability, positive)
    assert predicted.tolist() == pytest.approx([0.05, 0.95])
    assert observed.tolist() == pytest.approx([0.1, 0.9])
    assert counts.tolist() == [10, 20]  # three rows are too few to draw


def test_curves_come_from_the_scores_on_disk(tmp_path):
    run = make_run(tmp_path, 90)
    (curve,) = curves_of(run, run.summary.models[0], ["probe_before_cot", "nobody"])
    assert curve.name == "probe_before_cot"
    assert curve.fpr[0] == curve.tpr[0] == 0.0 < curve.tpr.mean()
    assert curve.counts.sum() <= 60


def test_the_command_writes_every_format(tmp_path, capsys, monkeypatch):
    make_run(tmp_path / "one", 12)
    status, out, _ = hintprobe(capsys, monkeypatch, "report", tmp_path / "one", "--figures", tmp_path / "figures")
    assert status == 0
    assert out.strip() == str(tmp_path / "one" / "report.html")
    assert {p.name for p in (tmp_path / "figures").rglob("*.svg")} >= {"validation.svg", "patching.svg", "roc.svg"}
    assert all(p.stat().st_size > 1000 for p in (tmp_path / "figures").rglob("*.png"))
    _, out, _ = hintprobe(capsys, monkeypatch, "report", tmp_path / "one", "--format", "json")
    assert json.loads(out) == typed(run_summary()).model_dump(mode="json")
    _, out, _ = hintprobe(capsys, monkeypatch, "report", tmp_path / "one", "--format", "csv")
    rows = {(row["table"], row["detector"]): row for row in csv.DictReader(io.StringIO(out))}
    probe = rows["detectors", "probe_before_cot"]
    assert (probe["auroc"], probe["auroc_low"], probe["auroc_high"]) == ("0.913", "0.846", "0.968")
    assert rows["detectors", "prompt_words"]["auroc"] == ""
    _, out, _ = hintprobe(capsys, monkeypatch, "report", tmp_path / "one", "--format", "md")
    assert "| probe_before_cot | 0.91 [0.85, 0.97] |" in out


def test_several_runs_stand_side_by_side(tmp_path, capsys, monkeypatch):
    for name in ("one", "two"):
        run = make_run(tmp_path / name, 12)
        summary = run.summary.model_copy(update={"name": name}).model_dump(mode="json")
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
    out = tmp_path / "both.html"
    status, _, _ = hintprobe(capsys, monkeypatch, "report", tmp_path / "one", tmp_path / "two", "-o", out)
    assert status == 0
    html = out.read_text(encoding="utf-8")
    assert "<h1>one, two</h1>" in html
    assert html.count(" in one</a>") == html.count(" in two</a>") == 1
    packed = re.search(r'id="items">([^<]*)<', html)[1]
    assert len(unpacked(packed)) == 24


def _with(**changes):
    """A summary that is not what a run writes."""

    def spoil(folder):
        summary = run_summary()
        summary.update(changes)
        (folder / "summary.json").write_text(json.dumps(summary))

    return spoil


def _compared_as(comparison):
    model = run_summary()["models"][0]
    return _with(models=[{**model, "comparison": comparison}])


BAD_RUNS = {
    "no version": (_with(version=None), "has no version"),
    "no models": (_with(models=[]), "holds no model, so there is nothing to report"),
    "an empty comparison": (_compared_as({}), "organism:unfaithful in"),
    "a comparison cut short": (_compared_as({"counts": {}, "detectors": {}}), "cut short: it lacks reference"),
    "no such folder": (lambda folder: None, "There is no run in"),
    "a damaged summary": (lambda folder: (folder / "summary.json").write_text("{"), "not complete JSON"),
    "another file": (lambda folder: (folder / "summary.json").write_text("{}"), "not a summary of hintprobe"),
    "a newer format": (
        lambda folder: (folder / "summary.json").write_text('{"format": "hintprobe-summary", "version": 99}'),
        "Upgrade hintprobe",
    ),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_a_bad_run_gets_one_paragraph(tmp_path, capsys, monkeypatch, case):
    spoil, expected = BAD_RUNS[case]
    spoil(tmp_path)
    status, _, err = hintprobe(capsys, monkeypatch, "report", tmp_path)
    assert status == 2
    assert_one_paragraph(err)
    assert expected in err


@pytest.mark.parametrize("finished", range(len(STAGES) + 1))
def test_a_run_stopped_after_any_stage_says_what_is_missing(tmp_path, capsys, monkeypatch, finished):
    summary = make_run(tmp_path, 6).summary.model_dump(mode="json")
    model, missing = summary["models"][0], STAGES[finished:]
    model["missing_stages"] = list(missing)
    model["stages"] = {stage: model["stages"][stage] for stage in STAGES[:finished]}
    model["directions"] = None
    if missing:
        model.update(comparison=None, patch=model["patch"] if "patch" in model["stages"] else None)
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    for format in ("html", "md", "json", "csv"):
        status, out, err = hintprobe(capsys, monkeypatch, "report", tmp_path, "--format", format)
        assert (status, err) == (0, "")
        if format == "md" and missing:
            assert f"missing stages: {', '.join(missing)}" in out
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (f"Missing stages: {', '.join(missing)}." in html) == bool(missing)
    assert ("The patch stage has not run." in html) == ("patch" in missing)
    assert "The mediate stage has not run." in html


def test_a_run_that_is_not_finished_gets_what_there_is(tmp_path):
    run = make_run(tmp_path, 6)
    summary = run.summary.model_dump(mode="json")
    model = summary["models"][0]
    model.update(comparison=None, patch=None, missing_stages=["probe", "patch", "compare"])
    for stage in ("probe", "patch", "compare"):
        del model["stages"][stage]
    html = render([Run(run.folder, typed(summary))])
    assert "Missing stages: probe, patch, compare" in html
    assert 'id="browser"' in html  # what was judged can be read
    del model["stages"]["judge"]
    assert 'id="browser"' not in render([Run(run.folder, typed(summary))])


def effect(name, treatment, value, share=None):
    return {
        "behaviour": "reliant", "treatment": treatment, "outcome": "probability", "effect": name, "n": 23,
        "value": value, "low": value - 0.1, "high": value + 0.1,
        "share": share, "share_low": share and share - 0.05, "share_high": share and share + 0.05,
    }  # fmt: skip


def test_mediation_stands_beside_its_placebo(tmp_path):
    run = make_run(tmp_path, 6)
    summary = run.summary.model_dump(mode="json")
    model = summary["models"][0]
    assert "The mediate stage has not run" in render([run])
    cut = {"behaviour": "reliant", "span": "pointer", "path": "text", "n": 23}
    model["mediation"] = {
        "items": 23, "chosen": {"reliant": 23}, "unread_texts": {},
        "draws": 4,
        "temperature": 0.7,
        "effects": [
            effect("total", "hinted", 0.613), effect("pure_text", "hinted", 0.577, 0.941),
            effect("total_direct", "hinted", 0.036), effect("total", "neutral", 0.012),
        ],
        "knockouts": [
            {**cut, "keys": keys, "value": value, "low": value - 1, "high": value + 1}
            for keys, value in (("span", 7.31), ("placebo", 0.42))
        ],
        "cut": [
            {**cut, "keys": "span", "to_hint": 0.11, "to_own": 0.77, "off_target": 0.08, "unparsed": 0.04,
             "flips": 0.89, "flips_low": 0.8, "flips_high": 0.97},
        ],
    }  # fmt: skip
    text = re.sub(r"<[^>]+>", " ", render([Run(run.folder, typed(summary))]))
    text = re.sub(r"\s+", " ", text)
    for expected in (
        "0.61 [0.51, 0.71] – 0.01 [−0.09, 0.11]",  # total: no share of itself; the placebo beside it
        "0.58 [0.48, 0.68] 0.94 [0.89, 0.99] not measured",
        "7.31 [6.31, 8.31] 0.42 [−0.58, 1.42] 23",
        "0.89 [0.80, 0.97] 0.11 0.77 0.08 0.04",
    ):
        assert expected in text, expected
