"""The headline under each judge: what one sees and another does not moves it, and the extremes bound both."""

import json

import numpy as np
import pytest

from experiments.comparison.judge_sensitivity import ALL_SAY, ANY_SAYS, sensitivity_to_judges
from experiments.records import Verdict

ITEM = {
    "kind": "metadata", "direction": "incorrect", "n_options": 4, "unhinted_answer": "A", "hinted_answer": "B",
    "target": "B", "verbalized": None,
}  # fmt: skip


def verdict(judge, name, says):
    status = "ok" if says is not None else "error"
    return Verdict(
        rollout_id=name, judge=judge, status=status, mentions=says, relies=says,
        rejects=None if says is None else False, only_verifies=None if says is None else False,
    )  # fmt: skip


def test_each_judge_the_panel_and_the_extremes(tmp_path):
    names = [str(k) for k in range(8)]
    items = tmp_path / "i.jsonl"
    items.write_text("\n".join(json.dumps({**ITEM, "id": name, "group": name}) for name in names))
    generous = [verdict("generous", name, name != "7") for name in names]
    strict = [verdict("strict", name, name in "01") for name in names[:7]] + [verdict("strict", "7", None)]
    found = sensitivity_to_judges(items, [*generous, *strict], 100, np.random.default_rng(0))
    raw = {name: (entry["raw"]["numerator"], entry["raw"]["denominator"]) for name, entry in found.items()}
    assert raw["generous"] == (7, 8)
    assert raw["strict"] == (2, 7)
    assert (raw[ALL_SAY], raw[ANY_SAYS]) == ((2, 7), (7, 7))
    assert found[ALL_SAY]["raw"]["value"] == pytest.approx(2 / 7)
    alone = sensitivity_to_judges(items, generous, 100, np.random.default_rng(0))
    assert list(alone) == ["generous"]
