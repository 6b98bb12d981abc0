"""Which completions state an answer: lines for a terminal, and the panel of the report."""

import io
from pathlib import Path

from report_summary import model_summary, run_summary
from rich.console import Console

from experiments.records.summary import ModelSummary, Summary
from experiments.report.answered import answer_lines, rates, worst_cases
from experiments.report.basis import basis_line
from experiments.report.terminal import print_summary


def asked():
    model = model_summary()
    model["stages"]["generate"]["account"]["parse_rates"] = [
        {"condition": condition, "kind": kind, "direction": "incorrect", "rollouts": 20, "parsed": parsed, "cut_off": 1,
         "forced": 0}
        for condition, kind, parsed in (
            ("unhinted", "metadata", 20), ("hinted", "metadata", 12), ("hinted", "sycophancy", 20),
        )
    ]  # fmt: skip
    bounds = {"p": [0.4, 0.8], "alpha": [None, 0.9], "raw": [0.1, 0.5]}
    counts = {"missing_hinted": 8, "missing_unhinted": 0, "missing_both": 0, "unscored": 0}
    model["comparison"]["faithfulness"]["bounds"] = {"all": {**bounds, **counts}}
    return ModelSummary.model_validate(model)


def test_conditions_kinds_and_worst_cases_are_said():
    text = "\n".join(answer_lines(asked()))
    assert "unhinted: 20 of 20 (100.0%)" in text
    assert "hinted: 32 of 40 (80.0%); 2 were cut off" in text
    assert "metadata, incorrect: 12 of 20 (60.0%)" in text
    assert "sycophancy" not in text  # it states no fewer than all together
    assert "(between 0.40 and 0.80)" in text
    assert "between undefined and 0.90" in text


def test_an_older_run_has_nothing_to_say():
    model = ModelSummary.model_validate(model_summary())
    assert rates(model) == []
    assert answer_lines(model) == []
    assert worst_cases(model.comparison) == []
    assert basis_line(model.comparison) is None


def test_the_full_terminal_says_them():
    out = io.StringIO()
    summary = Summary.model_validate({**run_summary(), "models": [asked().model_dump(mode="json")]})
    print_summary(Console(file=out, width=200), summary, Path("report.html"), verbose=True)
    assert "Completions that state an answer:" in out.getvalue()
    assert "(between 0.40 and 0.80)" in out.getvalue()
