"""Completions written under a patch are those of the run that the patch turns the prompt into."""

import pytest
import torch
from conftest import Tiny
from test_patching import make_pairs

from activations import Decoding, HintprobeError, Site, generate
from probes.patching import Cell, PatchPair, regenerate

DECODING = Decoding(max_new_tokens=8)
FIRST = Site(0, "resid_pre")


def test_the_patch_decides_what_is_written(tiny: Tiny):
    loaded = tiny("llama")
    pairs = make_pairs(loaded, 4)
    lengths = [len(pair.base_ids) for pair in pairs]
    base, source = (generate(loaded, [getattr(p, ids) for p in pairs], DECODING) for ids in ("base_ids", "source_ids"))
    assert [c.ids for c in base] != [c.ids for c in source]

    def under(position: str, site: Site = FIRST):
        return regenerate(loaded, pairs, Cell(site, position), lengths, DECODING)

    assert [c.ids for c in under("changed")] == [c.ids for c in source]
    assert [c.ids for c in under("all")] == [c.ids for c in source]
    assert [c.ids for c in under("all", Site(2, "resid_pre"))] != [c.ids for c in base]
    for position in ("before", "after"):
        assert [c.ids for c in under(position)] == [c.ids for c in base]
    own = [PatchPair(p.base_ids, p.base_ids, 20, 30, p.positions, p.group) for p in pairs]
    assert [c.ids for c in regenerate(loaded, own, Cell(Site(2, "mlp_out"), "all"), lengths, DECODING)] == [
        c.ids for c in base
    ]


def test_one_head_and_sampling(tiny: Tiny):
    loaded = tiny("llama")
    pairs = make_pairs(loaded, 3)
    lengths, seeds = [len(pair.base_ids) for pair in pairs], [1, 2, 3]
    decoding = Decoding(temperature=1.0, max_new_tokens=6)
    cells = [Cell(Site(1, "head_z"), "all", head) for head in (None, 0, 1)]
    found = [regenerate(loaded, pairs, cell, lengths, decoding, seeds) for cell in cells]
    assert len({tuple(m for c in run for m in c.margins) for run in found}) == 3


def test_positions_after_the_prompt_are_refused(tiny: Tiny):
    loaded = tiny("llama")
    pairs = make_pairs(loaded, 2)
    with pytest.raises(HintprobeError, match="in every pair's prompt"):
        regenerate(loaded, pairs, Cell(FIRST, "end"), [len(p.base_ids) - 1 for p in pairs], DECODING)
    with pytest.raises(HintprobeError, match="in every pair's prompt"):
        regenerate(loaded, pairs, Cell(FIRST, "nowhere"), [len(p.base_ids) for p in pairs], DECODING)
    with pytest.raises(HintprobeError, match="at least one pair"):
        regenerate(loaded, [], Cell(FIRST, "end"), [], DECODING)
    assert torch.is_grad_enabled()
