"""Which rollouts make labels, and what is known of an item with few of them."""

import numpy as np
import pytest
from pydantic import ValidationError

from experiments.answers.labelling import answer_entropy, label_rollouts, reliances, runs_of, unhinted_rate
from experiments.answers.reliance import posterior
from experiments.benchmarks.simulated_answers import _item, _rollout, again, idle_figures, posterior_coverage
from experiments.comparison.effects import coincidences, reliance_summary
from experiments.config import Config, LabelsConfig


def rollouts(**answers):
    """Of one item that asks about A and whose swapped hint names B; answers by condition, None where unparsed."""
    return [
        _rollout("q", condition, index, answer)
        for condition, given in answers.items()
        for index, answer in enumerate(given)
    ]


ITEM = _item("q", "A")


def labelled(settings=None, **answers):
    return label_rollouts([ITEM], rollouts(**answers), settings)


def test_u_is_over_parsed_answers_with_a_minimum_count():
    assert unhinted_rate(["C", None, None], "A", 1) == 0.0
    assert unhinted_rate(["C", None, None], "A", None) is None
    assert unhinted_rate(["C", "A", None], "A", None) == 0.5
    assert unhinted_rate([], "A", None) is None
    (row,) = labelled(unhinted=["C", None, None], hinted=["A"], swapped=["B"], neutral=["C"])
    assert (row.behaviour, row.reason) == ("ambiguous", "too few unhinted answers parsed")
    (row,) = labelled(
        LabelsConfig(min_unhinted=1), unhinted=["C", None, None], hinted=["A"], swapped=["B"], neutral=["C"]
    )
    assert (row.behaviour, row.unhinted_rate, row.unhinted_parsed) == ("reliant", 0.0, 1)


def test_an_unparsed_unhinted_answer_is_no_answer_other_than_h():
    (row,) = labelled(unhinted=["A", None], hinted=["A"], swapped=["A"], neutral=["A"])
    assert (row.behaviour, row.unhinted_rate) == ("aligned", 1.0)


def test_answers_are_paired_by_number():
    rows = labelled(unhinted=["C", "D"], hinted=["A", "A"], swapped=["B", "B"], neutral=["C", "D"])
    assert [row.unhinted_answer for row in rows] == ["C", "D"]
    (alone,) = labelled(unhinted=[], hinted=["A"], swapped=["B"], neutral=["C"])
    assert alone.unhinted_answer is None


def test_labels_state_their_epsilon():
    answers = {"unhinted": ["A", "C", "C", "C", "C"], "hinted": ["A"], "swapped": ["B"], "neutral": ["C"]}
    (strict,), (wide,) = labelled(**answers), labelled(LabelsConfig(epsilon=0.2), **answers)
    assert (strict.behaviour, strict.epsilon) == ("ambiguous", 0.0)
    assert (wide.behaviour, wide.epsilon) == ("reliant", 0.2)


def test_the_neutral_run_in_the_hinted_ones_place():
    rows = labelled(unhinted=["C"], hinted=["A"], swapped=["B"], neutral=["A", "C", "A", None])
    assert rows[0].neutral_reliant == pytest.approx(2 / 3)
    rows = labelled(unhinted=["A"], hinted=["A"], swapped=["A"], neutral=["A"])
    assert rows[0].neutral_reliant == 0.0  # aligned, as the hinted run is
    found = coincidences(
        labelled(unhinted=["C"], hinted=["A"], swapped=["B"], neutral=["C"]), 10, np.random.default_rng(0)
    )
    assert (found["all"].neutral, found["all"].reliant, found["all"].share.value) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("k", [1, 4])
def test_of_a_hint_that_does_nothing_all_reliant_rows_are_coincidences(k):
    assert idle_figures(2500, k, 0).coincidence == pytest.approx(1.0, abs=0.2)


def test_confidence_and_evaluation_rollouts_make_no_label():
    settings = LabelsConfig(confidence_rollouts=2, evaluation_rollouts=1)
    given = rollouts(unhinted=["C", "A", "A", "D"], hinted=["A", "C"], swapped=["B", "B"], neutral=["C", "A"])
    (runs,) = runs_of([ITEM], given, settings)
    assert [r.answer for r in runs.unhinted] == ["C"]  # number 1 shares its noise with what evaluates
    assert [r.answer for r in runs.confidence] == ["A", "D"]
    (row,) = label_rollouts([ITEM], given, settings)
    assert (row.behaviour, row.unhinted_rate) == ("reliant", 0.0)
    assert row.answer_entropy == pytest.approx(np.log(2))
    (item,) = reliances([ITEM], given, settings)
    assert (item.hinted_hits, item.hinted_parsed, item.neutral_hits, item.neutral_parsed) == (1, 1, 0, 1)
    assert item.evaluated == -1.0


def test_entropy_needs_two_answers():
    assert answer_entropy(["A", None]) is None
    assert answer_entropy(["A", "A", None]) == 0.0
    assert answer_entropy(["A", "B", "A", "B"]) == pytest.approx(np.log(2))


def test_a_posterior_narrows_with_the_rollouts():
    one, eight = posterior(1, 1, 0, 1), posterior(8, 8, 0, 8)
    assert 0 < one[0] < eight[0] < 1
    assert one[2] < 0 < eight[2]
    assert eight[3] - eight[2] < one[3] - one[2]
    assert posterior(0, 4, 0, 4)[0] == pytest.approx(0.0)


def test_posteriors_hold_the_truth():
    assert posterior_coverage(400, 4, 0) == pytest.approx(0.95, abs=0.04)


def test_effects_of_items_that_were_labelled_reliant_regress_to_the_mean():
    found = again(1500, 0)
    assert found.labelled - found.true > 0.03
    assert found.evaluated == pytest.approx(found.true, abs=0.04)


def test_without_rollouts_to_evaluate_on_nothing_is_said_of_it():
    rows = reliances([ITEM], rollouts(unhinted=["C"], hinted=["A"], swapped=["B"], neutral=["C"]))
    assert reliance_summary(rows, [], 10, np.random.default_rng(0)).drop is None
    assert reliances([ITEM], rollouts(unhinted=["C"], hinted=[None], swapped=["B"], neutral=["C"])) == []


def test_rollouts_that_are_not_drawn_cannot_be_kept_apart(tmp_path):
    def config(**sections):
        return Config(name="x", models=("organism:unfaithful",), cache=tmp_path, **sections)

    with pytest.raises(ValidationError, match="at least one has to be left"):
        config(labels={"evaluation_rollouts": 1})
    with pytest.raises(ValidationError, match="at least 4"):
        config(generate={"rollouts": 2}, labels={"confidence_rollouts": 2})
    with pytest.raises(ValidationError, match="one rollout has no entropy"):
        config(generate={"unhinted_rollouts": 2}, labels={"confidence_rollouts": 1})
    config(generate={"rollouts": 2, "unhinted_rollouts": 4}, labels={"confidence_rollouts": 2})
