"""A run's records are read once, found by what is meant, and read again after a change."""

import pytest

from activations.errors import HintprobeError
from experiments.records import Prompt, Rollout
from experiments.records import tables as tables_module
from experiments.records.run_records import RunRecords, read_once
from experiments.records.stages import rollouts_table


def rollout(item, condition, index, answer="A"):
    return Rollout(
        id=f"{item}|{condition}|{index}", item_id=item, condition=condition, index=index,
        prompt=Prompt(messages=(), spans={}), prompt_text="", prompt_ids=(), completion_ids=(), completion_text="",
        cot=None, answer_text="", answer=answer, truncated=False, finish_reason="stop", seed=0, temperature=0.0,
        margins=(),
    )  # fmt: skip


@pytest.fixture
def records(tmp_path):
    rows = [
        rollout(item, c, k) for item in ("q:hinted:0", "q:unhinted:0") for c in ("hinted", "unhinted") for k in (1, 0)
    ]
    rollouts_table(tmp_path).append(rows)
    return RunRecords.of_folders({"generate": tmp_path})


def test_ids_that_look_like_conditions_are_only_ids(records):
    for item in ("q:hinted:0", "q:unhinted:0"):
        twin = records.sibling(f"{item}|hinted|1", "unhinted")
        assert (twin.item_id, twin.condition, twin.index) == (item, "unhinted", 1)


def test_rollouts_of_a_condition_come_by_index(records):
    assert [r.index for r in records.rollouts_of("q:hinted:0", "hinted")] == [0, 1]
    assert records.rollouts_of("q:hinted:0", "swapped") == ()
    assert records.rollout("q:hinted:0", "swapped") is None


def test_a_missing_partner_is_said(records):
    with pytest.raises(HintprobeError, match="no swapped rollout"):
        records.partner("q:hinted:0|hinted|0", "swapped")


def test_a_stage_that_has_not_run_is_said(records):
    with pytest.raises(HintprobeError, match=r"judge.*has not run"):
        _ = records.labels


def test_a_table_is_parsed_once_until_it_changes(tmp_path, monkeypatch):
    table, parsed = rollouts_table(tmp_path), []
    table.append([rollout("q", "hinted", 0)])
    read = tables_module.RecordTable.read
    monkeypatch.setattr(tables_module.RecordTable, "read", lambda self: parsed.append(self.path) or read(self))
    first = read_once(rollouts_table(tmp_path))
    assert read_once(rollouts_table(tmp_path)) is first
    assert len(parsed) == 1
    table.append([rollout("q", "hinted", 1)])
    assert [r.index for r in read_once(rollouts_table(tmp_path))] == [0, 1]
    assert len(parsed) == 2
    assert isinstance(first[0], Rollout)
