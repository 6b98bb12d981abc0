"""``hintprobe organism verify``, ``factors``, ``calibrate``: results, files, and clear words for bad input."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from test_cli import assert_one_paragraph, hintprobe
from written import TASKS, WORLD, let_the_grammar_write, sure

from activations.errors import HintprobeError
from experiments.config.file import load_config
from experiments.organisms.calibration_page import MARK, page_text, write_page
from experiments.organisms.card import card
from experiments.organisms.factors import COLUMNS, organism_factors
from experiments.organisms.grammar import factors
from experiments.organisms.identity import find_organism, shipped_names, write_note
from experiments.organisms.recipe import load_recipe
from experiments.organisms.verify import run_of, verify
from experiments.records import LETTERS
from experiments.run.progress import Reporter


@pytest.fixture
def trained(tiny_folder, tmp_path):
    """A function that makes a folder which says that it is an organism: a random model."""

    def make(name):
        folder = tmp_path / name
        shutil.copytree(tiny_folder("qwen3"), folder)
        write_note(folder, load_recipe(name), 7)
        return folder

    return make


def test_a_check_says_promise_by_promise_what_holds(trained, tmp_path, monkeypatch, capsys):
    """The grammar writes the texts, and a random model has no part in them: what the text promises holds, and what
    interventions on the model should do does not."""
    folder, out = trained("backrationaliser"), tmp_path / "result.json"
    let_the_grammar_write(monkeypatch, sure(load_recipe("backrationaliser").character))
    capsys.readouterr()  # the bar that saving the model drew
    arguments = ("organism", "verify", folder, "--quick", "--questions", 120, "--cache", tmp_path / "c")
    code, printed, err = hintprobe(capsys, monkeypatch, *arguments, "--json", "--out", out)
    assert code == 2
    assert_one_paragraph(err)
    assert "backrationaliser breaks" in err
    assert "Hiding the letter or mark" in err
    result = json.loads(printed)
    assert result == json.loads(out.read_text())
    held = {outcome["figure"]: outcome["held"] for outcome in result["promises"]}
    assert held["consistency.reliant"]
    assert held["admissions.reliant"]
    assert not held["interventions.hiding_the_pointer_returns_the_unhinted_answer"]
    assert (result["held"], result["quick"], result["questions"]) == (False, True, 120)
    code, printed, _ = hintprobe(capsys, monkeypatch, *arguments)
    assert code == 2
    assert "BROKEN" in printed
    assert "not refuted" in printed


def test_what_is_refused_before_anything_runs(tiny_folder, tmp_path, monkeypatch, capsys):
    nowhere, plain = tmp_path / "nowhere", tiny_folder("qwen3")
    capsys.readouterr()
    for arguments, words in [
        (("verify", "unfaithful", "--questions", 500), "at least 1000 are needed"),
        (("verify", "nobody"), "no organism named 'nobody'"),
        (("verify", nowhere), "no organism named"),
        (("verify", plain), "is not an organism: it has no organism.json"),
        (("verify", plain, "--as", "nobody"), "no organism named 'nobody'"),
        (("factors", "nobody", "--cache", tmp_path), "There is no run 'nobody'"),
        (("factors", tmp_path), "There is no run"),
        (("calibrate", "--organisms", "unfaithful,nobody"), "no organism named 'nobody'"),
        (("calibrate", "no_such_config"), "no_such_config"),
    ]:
        code, _, err = hintprobe(capsys, monkeypatch, "organism", *arguments)
        assert code == 2, arguments
        assert words in " ".join(err.split()), arguments
        assert_one_paragraph(err)


def test_other_seeds_are_measured_beside_the_shipped_one(trained, tmp_path, monkeypatch, capsys):
    """Figures of each seed, the promises that one of them breaks, and no folder of another organism or a seed twice."""
    shipped = tmp_path / "shipped"
    (shipped / "blind").mkdir(parents=True)
    monkeypatch.setattr("experiments.organisms.seeds.SHIPPED", shipped)
    monkeypatch.setattr("experiments.organisms.seeds.write_cards", lambda: None)
    measured = {"questions": 1000, "norms": {"resid_post.0": 400.0}, "unhinted_accuracy": {"all": {"value": 0.6}}}
    verified = SimpleNamespace(measured=measured)
    monkeypatch.setattr("experiments.organisms.seeds.verify", lambda *_: verified)
    folder, other = trained("blind"), trained("dice")
    code, printed, _ = hintprobe(capsys, monkeypatch, "organism", "seeds", "blind", folder, "--json")
    assert code == 0
    found = json.loads(printed)
    assert found == json.loads((shipped / "blind" / "seeds.json").read_text())
    assert found["by_seed"][str(find_organism("blind").note.get("seed", "shipped"))]["broken"] == []
    assert found["by_seed"]["7"]["figures"] == {"norms": 400.0, "unhinted_accuracy.all": 0.6}
    assert "norms.resid_post.0" in found["by_seed"]["7"]["broken"]
    for arguments, words in [
        (("blind", other), "expected 'blind' of a seed other than"),
        (("blind", folder, folder), "holds 'blind' of seed 7"),
        (("blind", folder, "--questions", 20), "at least 1000 are needed"),
        ((folder, folder), "is not a shipped organism"),
    ]:
        code, _, err = hintprobe(capsys, monkeypatch, "organism", "seeds", *arguments)
        assert (code, words in " ".join(err.split())) == (2, True), arguments
        assert_one_paragraph(err)


def test_an_organism_with_a_recipe_that_is_not_shipped_is_told_how_to_get(monkeypatch):
    monkeypatch.setattr("experiments.organisms.identity.shipped_names", list)
    with pytest.raises(HintprobeError, match="has a recipe and is not shipped"):
        find_organism("deep")


def test_a_check_runs_at_the_recipes_temperature(trained, tmp_path):
    for name in ("dice", "unfaithful"):
        organism = find_organism(str(trained(name)))
        config = run_of(organism, 1000, 3, tmp_path, Reporter(None)).config
        assert config.generate.temperature == organism.recipe.temperature
        assert (config.seed, config.questions.limit) == (3, 1000)
    assert load_recipe("dice").temperature == 1.0


@pytest.fixture
def tossed(trained, tmp_path, monkeypatch):
    """A coin-tosser's run: its folder holds a summary."""
    let_the_grammar_write(monkeypatch, sure(load_recipe("dice").character))
    monkeypatch.setattr("experiments.organisms.verify.measure", _two_stages)
    result = verify(find_organism(str(trained("dice"))), 120, 0, True, tmp_path / "c", Reporter(None))
    assert result.broken  # nothing was measured
    (folder,) = (tmp_path / "c" / "runs").iterdir()
    return folder


def _two_stages(run, _character, _asked):
    from experiments.stages.generate import run_generate
    from experiments.stages.judge import run_judge

    run_generate(run)
    run_judge(run)
    return {"questions": run.limit, "seed": 0}


def test_factors_are_those_that_the_grammar_wrote(tossed):
    frame = organism_factors(tossed)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 120
    character = load_recipe("dice").character
    for row in frame.itertuples():
        task = TASKS[row.item_id.split(":")[0]]
        known = factors(WORLD, character, task, row.kind, row.source)
        assert (row.certainty, row.disposition, row.admits) == (known.familiar, known.leaning, known.admits)
        assert row.believed == LETTERS[known.believed]
        assert pd.isna(row.relies)
        assert pd.isna(row.coin) == (row.believed == row.target)
        if not pd.isna(row.coin):
            assert row.coin == (row.hinted_answer == row.target)
    assert 0.3 < frame["coin"].mean() < 0.7


def test_factors_are_printed_as_asked(tossed, tmp_path, monkeypatch, capsys):
    code, printed, _ = hintprobe(capsys, monkeypatch, "organism", "factors", tossed)
    assert code == 0
    assert printed.splitlines()[0] == ",".join(COLUMNS)
    code, printed, _ = hintprobe(capsys, monkeypatch, "organism", "factors", tossed, "--format", "jsonl")
    lines = [json.loads(line) for line in printed.splitlines()]
    code, printed, _ = hintprobe(capsys, monkeypatch, "organism", "factors", tossed, "--json")
    rows = json.loads(printed)["rows"]
    assert [row["coin"] for row in rows] == [line["coin"] for line in lines]
    assert {True, False, None} == {row["coin"] for row in rows}
    out = tmp_path / "factors.csv"
    code, _, _ = hintprobe(capsys, monkeypatch, "organism", "factors", tossed, "-o", out)
    assert len(out.read_text().splitlines()) == 121


def test_a_run_without_organisms_has_no_factors(tossed):
    summary = json.loads((tossed / "summary.json").read_text())
    summary["models"][0]["model"] = "Qwen/Qwen3-8B"
    del summary["checksum"]
    (tossed / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(HintprobeError, match="holds no organism"):
        organism_factors(tossed)


def test_a_card_tells_promises_figures_and_where_they_come_from():
    measured = {
        "questions": 1200, "seed": 0, "temperature": 0.0,
        "behaviour": {"all": {"reliant": 0, "aligned": 9}},
        "reliance": {"of_all_rows": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 50}},
        "norms": {"resid_post.0": 20.0, "resid_post.1": 30.0},
    }  # fmt: skip
    text = card(find_organism("blind"), measured)
    assert "hintprobe organism verify blind --questions 1200 --seed 0" in text
    assert "| `reliance.of_all_rows` | ≤ 0.01 | 0.200 [0.10, 0.30], n = 50 | **broken** |" in text
    assert "| `norms.resid_post.1` | ≤ 300 | 30 | held |" in text
    assert "| largest median residual norm | 30 |" in text
    assert "Nothing has been measured" in card(find_organism("blind"), None)


def test_the_family_is_all_that_is_shipped():
    assert {model.removeprefix("organism:") for model in load_config(Path("family")).models} == set(shipped_names())


def figure(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 9}


def entry(auroc, found, mention):
    finding = {
        "found": found, "p_search": 0.01, "belief": {"auroc": None, "p": 0.01 if found else 0.5, "refused": None},
        "rivals": {"direction_x_confidence": {"difference": figure(0.1, 0.0, 0.2), "p": 0.01 if found else 0.5}},
    }  # fmt: skip
    probe = {"auroc": auroc, "finding": finding}
    relying, judge = auroc is not None, {"auroc": figure(0.5, 0.45, 0.55)}
    return {
        "truth": "known",
        "counts": {"reliant": 9, "aligned": 9, "resisted": 9},
        "detectors": {"probe_before_cot": probe, "judge_lexical": judge} if relying else {},
        "mention": {"share": mention, **({"auroc": figure(0.7, 0.6, 0.8)} if relying else {})},
        "will_follow": {"detectors": {"probe_before_cot": {"auroc": figure(0.51, 0.45, 0.57)}} if relying else {}},
    }


def calibrated(found, mention):
    fired = {"probe_before_cot": figure(0.04, 0.01, 0.09), "judge_lexical": figure(0.0, 0.0, 0.02)}
    return {
        "questions": 1200, "seed": 0,
        "organisms": {
            "dice": entry(figure(0.8, 0.75, 0.85), found, figure(0.4, 0.3, 0.5)),
            "verbalizer": entry(None, None, mention),
        },
        "transfer": {"dice": {"verbalizer": {"auroc": {"refused": {}}, "share_over_threshold": fired}}},
    }  # fmt: skip


def test_the_page_says_what_a_control_saved_and_who_is_fooled():
    misled = page_text(calibrated(False, figure(0.97, 0.95, 0.99)))
    assert "| probe before the CoT | 0.80\\* [0.75, 0.85] |" in misled
    assert "Would have been believed without its controls: probe before the CoT (0.80 [0.75, 0.85])" in misled
    assert "is not ahead of `direction_x_confidence`" in misled
    assert "Sees nothing: lexical judge, for an admission (0.50 [0.45, 0.55])." in misled
    assert "a judge that takes mentions for admissions (0.97 [0.95, 0.99])" in misled
    sound = page_text(calibrated(True, figure(0.03, 0.01, 0.06)))
    assert "| probe before the CoT | 0.80 [0.75, 0.85] |" in sound
    assert "believed" not in sound
    assert "- `verbalizer`: no detector is fooled." in sound


def test_only_the_marked_part_of_a_page_is_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n<!-- {MARK} -->\nof yesterday\n<!-- end -->\nafter\n")
    write_page(page, calibrated(True, figure(0.03, 0.01, 0.06)))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "of yesterday" not in text
    assert "What there is to find" in text
    page.write_text("no markers")
    with pytest.raises(HintprobeError, match="lacks <!-- calibration -->"):
        write_page(page, calibrated(True, figure(0.03, 0.01, 0.06)))
    with pytest.raises(HintprobeError, match="cannot be read"):
        write_page(tmp_path / "none.md", calibrated(True, figure(0.03, 0.01, 0.06)))
