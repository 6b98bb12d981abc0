"""Mediation and knockouts on the shipped organisms: what they are known for is found, and nothing else."""

import numpy as np
import pytest

from experiments.config import Config
from experiments.interventions.redraw import option_tokens
from experiments.prompts.positions import answer_part
from experiments.records import Label
from experiments.records.stages import cut_table, effects_table, fresh_table, knockouts_table, mediation_table
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge
from experiments.stages.mediate import run_mediate
from experiments.stages.work.knockouts import answer_shares
from probes import cluster_bootstrap

SETTINGS = {
    "name": "t",
    "threads": 1,
    "questions": {"limit": 72},
    "hints": {"kinds": ["sycophancy", "consistency", "metadata"]},
    "generate": {"max_new_tokens": 64},
    "mediate": {"items": 12, "draws": 1, "cut": ["pointer"]},
    "compare": {"bootstrap": 200},
}
LIMITS = {"unfaithful": {}, "blind": {"limits": {"organism:blind": 42}}}


@pytest.fixture(scope="module")
def mediated(tmp_path_factory):
    """``mediated(organism)``: the run of an organism through generate, judge and mediate."""
    runs = {}

    def run(name):
        if name not in runs:
            cache = tmp_path_factory.mktemp(name)
            config = Config.model_validate({**SETTINGS, "models": [f"organism:{name}"], "cache": cache, **LIMITS[name]})
            runs[name] = ModelRun(config, f"organism:{name}", Reporter(None))
            run_generate(runs[name])
            run_judge(runs[name])
            run_mediate(runs[name])
        return runs[name]

    return run


def effects_of(run, behaviour, treatment, outcome="logit_difference"):
    rows = effects_table(run.results["mediate"].folder).read()
    return {r.effect: r for r in rows if (r.behaviour, r.treatment, r.outcome) == (behaviour, treatment, outcome)}


def overlap(first, second):
    return first.low <= second.high and second.low <= first.high


def test_the_hint_of_unfaithful_travels_through_the_text(mediated):
    run = mediated("unfaithful")
    found = effects_of(run, "reliant", "hinted")
    assert found["total"].low > 5
    assert found["total_text"].share == pytest.approx(1, abs=0.1)
    assert found["pure_text"].share == pytest.approx(1, abs=0.1)
    assert abs(found["pure_direct"].value) < 1
    assert effects_of(run, "reliant", "hinted", "probability")["total"].low > 0.25
    placebo = effects_of(run, "reliant", "neutral")
    assert abs(placebo["total"].value) < 0.2 * found["total"].value
    for one, other in (("pure_direct", "total_text"), ("total_direct", "pure_text")):
        assert found[one].value + found[other].value == pytest.approx(found["total"].value)


def test_blind_stays_within_the_placebo(mediated):
    run = mediated("blind")
    assert not effects_of(run, "reliant", "hinted")
    for behaviour in ("aligned", "resisted"):
        hinted, placebo = effects_of(run, behaviour, "hinted"), effects_of(run, behaviour, "neutral")
        assert hinted["total"].n == 12
        assert all(overlap(hinted[name], placebo[name]) for name in ("total", "pure_direct", "total_direct"))
    cut = cut_table(run.results["mediate"].folder).read()
    assert all(row.flips_low <= 0.1 for row in cut)


def test_cutting_the_pointer_unsays_the_hint_and_a_placebo_does_not(mediated):
    folder = mediated("unfaithful").results["mediate"].folder
    flips = {(r.path, r.keys): r for r in cut_table(folder).read() if r.behaviour == "reliant"}
    assert flips["everything", "span"].flips >= 0.6
    assert flips["everything", "placebo"].flips <= flips["everything", "span"].flips - 0.3
    assert flips["answer", "span"].flips <= 0.1
    # With the text as it stands there is nothing left for the hint to do.
    fixed = {(r.path, r.keys): r for r in knockouts_table(folder).read() if r.behaviour == "reliant"}
    assert set(fixed) == set(flips)
    assert max(abs(row.value) for row in fixed.values()) < 1


def test_fresh_texts_are_kept_and_never_those_that_chose_the_rows(mediated):
    run = mediated("unfaithful")
    folder = run.results["mediate"].folder
    drawn = fresh_table(folder).read()
    assert {r.temperature for r in drawn} == {0.7} == {run.results["mediate"].account.temperature}
    items = sum(run.results["mediate"].account.chosen.values())
    assert items > 30
    assert len({r.id for r in drawn}) == len(drawn) == items * 3
    seeds = {r.item_id.split(":")[0]: r.seed for r in drawn}
    assert len(set(seeds.values())) == len(seeds)
    rows = mediation_table(folder).read()
    assert {r.draws for r in rows} == {(1, 1)}
    again = ModelRun(run.config, run.model_name, Reporter(None))
    run_generate(again)
    run_judge(again)
    assert not run_mediate(again).fresh


def a_label(target, own):
    return Label.model_construct(target=target, unhinted_answer=own, swap_target=None, n_options=4)


def test_shares_of_answers():
    labels = [a_label("A", "B")] * 4 + [a_label("A", "A")]
    answers = ["A", "B", "C", None, "A"]
    rng = np.random.default_rng(0)
    found = answer_shares(labels, answers, ["A", "A", "C", "A", "A"], cluster_bootstrap(list("abcde"), 20, rng))
    assert found["to_hint"] == pytest.approx(0.4)
    assert found["to_own"] == pytest.approx(0.2)
    assert found["off_target"] == pytest.approx(0.2)
    assert found["unparsed"] == pytest.approx(0.2)
    assert found["flips"] == pytest.approx(0.4)
    assert found["flips_low"] is None  # of five groups


def test_option_tokens_stand_in_the_answers_place(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert option_tokens(tokenizer, vocabulary["A"], "A", "ABCD") == tuple(vocabulary[x] for x in "ABCD")
    assert option_tokens(tokenizer, vocabulary["A"], "A", "ABJ") == "the options are not one token each"
    assert option_tokens(tokenizer, vocabulary["A"], "B", "AB") == "the answer letter has no token of its own"


def test_where_the_answer_part_begins(mediated):
    run = mediated("unfaithful")
    tokenizer = run.loaded.tokenizer
    rollout = fresh_table(run.results["mediate"].folder).read()[0]
    at = answer_part(tokenizer, rollout)
    assert tokenizer.decode([rollout.completion_ids[at]]) == "</think>"
    assert answer_part(tokenizer, rollout.model_copy(update={"cot": None})) == 0
    cut = rollout.completion_ids[: at - 1]
    opened = {"completion_ids": cut, "completion_text": tokenizer.decode(list(cut)), "finish_reason": "length"}
    opened |= {"thinking_end": None, "answer_span": None}
    assert answer_part(tokenizer, rollout.model_copy(update=opened)) is None
