"""Long stages keep what is finished: rows are made once, batches are bounded, and progress moves inside a batch."""

import io

import pytest
import torch
from rich.console import Console
from small_run import SMALL

from activations import Decoding, generate, pending
from activations.batching import bounded
from experiments.config import Config
from experiments.records.stages import cells_table, cut_table, cuts_table, knockouts_table, patched_table
from experiments.run import progress
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge
from experiments.stages.mediate import run_mediate
from experiments.stages.patch import run_patch
from experiments.stages.work import mediate, patch


def settings(cache):
    # Two steps of either stage: two directions of patching, two spans that are cut.
    changed = {
        "questions": {"source": "organism-world", "limit": 30},
        "generate": {"max_new_tokens": 48},
        "patch": {
            "pairs": 2,
            "controls": ["random_positions"],
            "positions": ["pointer"],
            "comparisons": ["neutral"],
            "directions": ["noising", "denoising"],
        },
        "mediate": {"items": 1, "draws": 1, "cut": ["hint", "pointer"]},
        "compare": {"bootstrap": 100},
    }
    return Config.model_validate({**SMALL, **changed, "name": "parts", "cache": cache})


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    run = ModelRun(settings(tmp_path_factory.mktemp("parts")), "organism:unfaithful", Reporter())
    run_generate(run)
    run_judge(run)
    return run


@pytest.mark.parametrize(
    ("module", "step", "stage", "kept", "tables"),
    [
        (patch, "patch_pairs", run_patch, patched_table, (cells_table,)),
        (mediate, "cut_rows", run_mediate, cuts_table, (knockouts_table, cut_table)),
    ],
    ids=["patch", "mediate"],
)
def test_a_stage_that_is_stopped_goes_on_after_its_last_finished_step(
    judged, monkeypatch, module, step, stage, kept, tables
):
    """Whatever was stopped, the numbers are those of a run that was not, and no finished step is computed twice."""
    inner, calls, stop_at = getattr(module, step), [], [2]

    def counted(*arguments, **named):
        calls.append(1)
        if len(calls) == stop_at[0]:
            raise KeyboardInterrupt
        return inner(*arguments, **named)

    monkeypatch.setattr(module, step, counted)
    with pytest.raises(KeyboardInterrupt):
        stage(judged)
    (left,) = judged.folder.glob(f"{stage.__name__.removeprefix('run_')}-*")
    assert kept(left).read()
    folder = stage(judged).folder
    resumed = [table(folder).read() for table in tables]
    assert all(resumed)
    in_one_go = len(calls) - 1  # the call that was stopped is made again, and none else
    for path in folder.iterdir():
        if path.name != "fresh.jsonl" and path.is_file():
            path.unlink()
    calls.clear()
    stop_at[0] = 0
    again = ModelRun(judged.config, judged.model_name, Reporter())
    run_generate(again)
    run_judge(again)
    assert [table(stage(again).folder).read() for table in tables] == resumed
    assert len(calls) == in_one_go


def test_a_batch_on_a_cpu_is_about_a_minutes_work_and_on_a_card_what_was_asked():
    assert bounded(32_768, torch.device("cpu"), 1_000_000) == 32_768
    assert bounded(32_768, torch.device("cpu"), 135_000_000) == 4444
    assert bounded(32_768, torch.device("cpu"), 8_000_000_000) == 75
    assert bounded(32_768, torch.device("cuda"), 8_000_000_000) == 32_768


def test_batches_of_a_large_model_on_a_cpu_are_small_and_the_answers_the_same(tiny, monkeypatch):
    from activations import generating

    loaded, rows, sizes = tiny("qwen3"), [(5 + k, 9, 12) for k in range(60)], []
    whole = generate(loaded, rows, Decoding(max_new_tokens=4))
    decode = generating._decode

    def counting(batch, state, *arguments):
        sizes.append(len(state))
        return decode(batch, state, *arguments)

    monkeypatch.setattr(generating, "_decode", counting)
    generate(loaded, rows, Decoding(max_new_tokens=4))
    monkeypatch.setattr(generating, "bounded", lambda *_: 1)
    small = generate(loaded, rows, Decoding(max_new_tokens=4))
    assert [done.ids for done in small] == [done.ids for done in whole]
    assert sizes == [60, 24, 24, 12]


def test_slow_captures_are_written_by_time(tmp_path, monkeypatch):
    """A shard waits for 256 MB, but not longer than a minute."""
    now, written = [0.0], []
    monkeypatch.setattr(pending.time, "monotonic", lambda: now[0])
    writer = pending.ShardWriter(None)
    monkeypatch.setattr(pending.ShardWriter, "_write", lambda self, lot: written.append(len(lot.rows)))
    with writer:
        for second in (10, 50, 70, 80, 131, 140):
            now[0] = float(second)
            writer.add([pending.CapturedRow(0, b"", (1,))], {})
    assert written == [3, 2, 1]


def test_the_log_and_the_bar_move_while_no_row_ends(tiny, monkeypatch):
    now, out = [0.0], io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    reporter = Reporter(Console(file=out, force_terminal=False, width=100))

    def on_step(token, most, rows):
        now[0] += 10.0
        reporter.step(token, most, rows)

    with reporter.bar("generate", 2):
        generate(tiny("llama"), [(5, 6), (7, 8, 9)], Decoding(max_new_tokens=8), on_step=on_step)
    assert out.getvalue().splitlines()[0] == "  generate 0/2, 2 rows at token 3 of at most 8"
    reporter.step(1, 2, 3)  # without a bar, nothing
    drawn = io.StringIO()
    shown = Reporter(Console(file=drawn, force_terminal=True, width=120))
    with shown.bar("generate", 2):
        shown.step(7, 64, 24)
    assert "24 rows at token 7 of at most 64" in drawn.getvalue()
