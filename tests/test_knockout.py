"""Knockout finds the path of a hand-wired circuit, with the text fixed and regenerated; the placebo finds nothing."""

import numpy as np
import pytest
from wired import CIRCUITS, HINT_AT, LETTERS, VALUES, VOCABULARY, prompt

from activations import Decoding, generate
from probes.knockout import CutRow, knock_out, placebo_window, queries_of, regenerate
from probes.mediation import Continuation
from probes.names import KEYS, PATHS

CLOSE = VOCABULARY["close"]
GREEDY = Decoding(0.0, 8)
ANSWER_FROM = 3  # think cot so | close (

# Paths by which the hint reaches the letter: with the text as it was, and with the text written again.
FORCED = {
    "direct": {"everything", "answer"},
    "text": set(),
    "both": {"everything", "answer"},
    "prompt": {"everything", "prompt"},
    "relay": {"everything", "text"},
    "dormant": set(),
    "none": set(),
}
ON_POLICY = {**FORCED, "text": {"everything", "text"}}


def rows_of(loaded):
    """Two hinted prompts as the model completes them."""
    pairs = (("a", "c"), ("b", "d"))
    done = generate(loaded, [prompt(own, hint) for own, hint in pairs], GREEDY)
    return [
        CutRow(prompt(own, hint), completion.ids, ANSWER_FROM, (HINT_AT,), (HINT_AT + 1,))
        for (own, hint), completion in zip(pairs, done, strict=True)
    ]


def own_and_named(rows):
    return [0, 1], [VALUES.index("c"), VALUES.index("d")]


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_knockout_finds_the_wired_path_with_the_text_fixed(circuit, wired):
    loaded = wired(circuit)
    rows = rows_of(loaded)
    own, named = own_and_named(rows)
    texts = [Continuation(row.completion[:5], LETTERS) for row in rows]
    found = knock_out(loaded, rows, texts, named, own)
    assert set(found.cut) == {(path, which) for path in PATHS for which in KEYS}
    for (path, which), values in found.cut.items():
        drop = found.base - values
        if which == "span" and path in FORCED[circuit]:
            # `both` falls back from "hint and CoT" to the CoT alone, which says the same: nothing is lost.
            expected = 0 if circuit == "both" else 2 * found.base
            np.testing.assert_allclose(drop, expected, atol=1e-3)
        else:
            np.testing.assert_allclose(drop, 0, atol=1e-3, err_msg=f"{path} {which}")


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_knockout_finds_the_wired_path_on_policy(circuit, wired):
    loaded = wired(circuit)
    rows = rows_of(loaded)
    own, named = own_and_named(rows)
    for path in PATHS:
        for which in KEYS:
            done = regenerate(
                loaded, rows, path, which, GREEDY, [0, 0], lambda _, completion: completion.ids.index(CLOSE)
            )
            letters = [LETTERS.index(completion.ids[5]) for completion in done]
            assert all(completion.finish_reason == "stop" for completion in done)
            before = own if circuit in ("dormant", "none") else named
            if circuit == "both" and (path, which) == ("text", "span"):
                # The new text says the own letter and the hint the other one: half each is a tie.
                assert max(completion.margins[1] for completion in done) < 1e-3
            elif which == "placebo" or path not in ON_POLICY[circuit]:
                assert letters == before, (path, which)
            elif circuit == "both":
                # The text still says the hint unless every token loses it.
                assert letters == (own if path == "everything" else named), (path, which)
            else:
                assert letters == own, (path, which)


def test_a_text_that_never_closes_is_returned_as_it_is(wired):
    loaded = wired("text")
    done = regenerate(loaded, rows_of(loaded), "text", "span", Decoding(0.0, 2), [0, 0], lambda *_: None)
    assert [len(completion.ids) for completion in done] == [2, 2]
    assert all(completion.finish_reason == "length" for completion in done)


def test_the_paths_part_everything_after_the_span():
    parts = [queries_of(path, (3, 4), 10, 14, 20) for path in ("prompt", "text", "answer")]
    assert [i for part in parts for i in part] == list(queries_of("everything", (3, 4), 10, 14, 20))
    assert parts == [range(5, 10), range(10, 14), range(14, 20)]


def test_placebos_are_near_equally_many_and_never_the_span():
    rng = np.random.default_rng(0)
    drawn = {placebo_window(40, (20, 21, 22), rng) for _ in range(300)}
    assert len(drawn) == 8
    for window in drawn:
        assert len(window) == 3
        assert not set(window) & {20, 21, 22}
        assert abs(window[0] - 20) <= 6
    assert all(0 not in placebo_window(9, (2,), rng) and 8 not in placebo_window(9, (2,), rng) for _ in range(50))
    assert placebo_window(5, (1, 2, 3), rng) is None
