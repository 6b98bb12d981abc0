"""Which token stands for which, who has no partner and why; recovery and its exclusions."""

import numpy as np
import pytest
from conftest import Tiny

from activations import HintprobeError, Site
from probes import cluster_bootstrap
from probes.patching import Alignment, Cell, PatchPair, first_divergence, patch_pairs, recovery


def test_spans_are_aligned_from_their_ends_and_the_rest_is_counted():
    base = {"hint": range(2, 5), "question": range(5, 9), "tail": range(10, 13)}
    source = {"question": range(2, 5), "tail": range(6, 9)}
    found = Alignment.of_spans(13, 9, base, source)
    assert found.source_of == {8: 4, 7: 3, 6: 2, 12: 8, 11: 7, 10: 6}
    assert found.unaligned == {
        "the source run has no hint": 3,
        "question is shorter in the source run": 1,
        "outside every span": 3,
    }
    assert sum(found.unaligned.values()) + len(found.source_of) == 13
    back = found.inverse(9)
    assert back.source_of == {source: base for base, source in found.source_of.items()}
    assert sum(back.unaligned.values()) + len(back.source_of) == 9


def test_spans_outside_their_run_are_refused():
    with pytest.raises(HintprobeError, match="base span 'a'"):
        Alignment.of_spans(5, 5, {"a": range(3, 6)}, {})
    with pytest.raises(HintprobeError, match="source span 'a'"):
        Alignment.of_spans(5, 5, {}, {"a": range(2, 2)})
    with pytest.raises(HintprobeError, match="source token 9 of 3"):
        PatchPair((1, 2), (1, 2, 3), 4, 5, {}, "g", Alignment({1: 9}))


def test_runs_of_unequal_length_are_patched_where_they_are_aligned(tiny: Tiny):
    """The source lacks two tokens of the base; all else being equal, so are the tail's tokens."""
    loaded = tiny("llama")
    base, source = (5, 9, 33, 2, 71, 14, 8, 60, 12), (5, 9, 2, 71, 14, 8, 60)
    alignment = Alignment.of_spans(9, 7, {"hint": range(1, 3), "tail": range(4, 9)}, {"tail": range(2, 7)})
    positions = {"hint": (1, 2), "end": (8,), "tail": tuple(range(4, 9))}
    pair = PatchPair(base, source, 20, 30, positions, "g", alignment)
    top = Site(3, "resid_post")
    effects = patch_pairs(loaded, [pair], [Site(0, "resid_pre"), top])
    assert effects.patched[Cell(top, "end")]["logit_difference"] == pytest.approx(
        effects.source["logit_difference"], abs=1e-4
    )
    assert np.isnan(effects.patched[Cell(top, "hint")]["logit_difference"]).all(), "no partner, no patch"
    assert effects.recovery(Cell(top, "hint")).unpatched == 1
    assert effects.unaligned == {"the source run has no hint": 2, "outside every span": 2}
    back = pair.reversed()
    assert set(back.positions) == {"end", "tail"}
    assert back.positions["tail"] == tuple(range(2, 7))
    again = patch_pairs(loaded, [back], [top])
    assert again.recovery(Cell(top, "end")).ratio == pytest.approx(1, abs=1e-3)


def test_recovery_is_a_ratio_of_means_with_small_gaps_counted_out():
    base, source = np.array([2.0, 4.0, 1.0, 3.0]), np.array([-2.0, 0.0, 0.9, -1.0])
    patched = np.array([0.0, 4.0, 0.0, np.nan])
    found = recovery(base, source, patched, least_gap=0.5)
    assert (found.n, found.small_gap, found.unpatched) == (2, 1, 1)
    assert found.ratio == pytest.approx((2 + 0) / (4 + 4))
    np.testing.assert_allclose(found.items, [0.5, 0.0, np.nan, np.nan])
    assert found.low is None
    loose = recovery(base, source, patched)
    assert (loose.n, loose.small_gap) == (3, 0)
    assert loose.ratio == pytest.approx((2 + 0 + 1) / (4 + 4 + 0.1))
    nothing = recovery(base, base, patched)
    assert nothing.n == 0
    assert np.isnan(nothing.ratio)


def test_its_interval_is_a_cluster_bootstrap():
    rng = np.random.default_rng(0)
    groups = [str(k // 4) for k in range(80)]
    effect = np.repeat(rng.normal(0.5, 0.2, 20), 4)
    base, source = np.full(80, 2.0), np.full(80, -2.0)
    weights = cluster_bootstrap(groups, 2000, rng)
    found = recovery(base, source, base - 4 * effect, weights)
    alone = recovery(base, source, base - 4 * effect, cluster_bootstrap([str(k) for k in range(80)], 2000, rng))
    assert found.ratio == pytest.approx(effect.mean())
    assert found.low < found.ratio < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * effect.std() / np.sqrt(20), rel=0.2)
    assert found.high - found.low > 1.5 * (alone.high - alone.low), "rows of a group are no independent evidence"


def test_first_divergence():
    assert first_divergence([1, 2, 3], [1, 2, 4]) == 2
    assert first_divergence([1, 2], [1, 2, 4]) is None
    assert first_divergence([1], [2]) == 0
