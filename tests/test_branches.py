"""Branches read after a shared trunk equal forwards of their own."""

import pytest
import torch
from conftest import some_rows

from activations.branches import Branch, _from_trunks, _one_by_one, branch_logits, shares_trunks


@pytest.mark.parametrize("arch", ["llama", "qwen3", "gpt2"])
def test_a_shared_trunk_changes_nothing(arch, tiny):
    loaded = tiny(arch)
    assert shares_trunks(loaded)
    trunks = some_rows(loaded, (12, 30, 21))
    suffixes = some_rows(loaded, (4, 2, 5, 3, 1, 4), seed=1)
    read = (5, 9, 11)
    branches = [
        [Branch(cut, suffixes[k], read), Branch(full, suffixes[k + 3], read)]
        for k, (cut, full) in enumerate(((5, 12), (30, 17), (1, 20)))
    ]
    together = _from_trunks(loaded, trunks, branches)
    apart = _one_by_one(loaded, trunks, branches)
    for a, b in zip(together, apart, strict=True):
        torch.testing.assert_close(torch.stack(a), torch.stack(b), atol=2e-4, rtol=1e-4)
    alone = loaded.model(torch.tensor([[*trunks[0][:5], *suffixes[0]]])).logits[0, -1, list(read)]
    torch.testing.assert_close(together[0][0], alone, atol=2e-4, rtol=1e-4)
    small = branch_logits(loaded, trunks, branches, token_budget=8)
    torch.testing.assert_close(torch.stack(small[1]), torch.stack(together[1]), atol=2e-4, rtol=1e-4)


def test_tokens_after_the_cut_are_not_seen(tiny):
    loaded = tiny("qwen3")
    (one, other) = some_rows(loaded, (20, 20))
    mixed = one[:8] + other[8:]
    branch = [Branch(8, other[:3], (4, 6, 8)), Branch(20, other[:3], (4, 6, 8))]
    (a, c), (b, d) = _from_trunks(loaded, [one, mixed], [branch, branch])
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert (c - d).abs().max() > 1e-2
