"""The mask says exactly who sees whom."""

import pytest
import torch

from activations import HintprobeError, onwards
from activations.batching import pad_left
from activations.columns import Window
from activations.masks import causal_mask, without_keys

BATCH = pad_left([(5, 6, 7, 8), (5, 6)], pad=0, device=torch.device("cpu"))


def drawn(mask: torch.Tensor) -> list[list[str]]:
    allowed = mask if mask.dtype == torch.bool else mask == 0
    if mask.dtype != torch.bool:
        assert set(mask.unique().tolist()) <= {0.0, torch.finfo(mask.dtype).min}
    return [["".join("x" if v else "." for v in query) for query in row[0]] for row in allowed.tolist()]


def seen(queries, keys, n_new: int = 4) -> list[list[str]]:
    window = Window(BATCH, n_new, [0, 1])
    blocked = window.marked(queries, n_new)[:, :, None] & window.marked(keys, 4)[:, None, :]
    mask = without_keys(causal_mask(BATCH.mask, n_new), blocked)
    assert mask.shape == (2, 1, n_new, 4)
    return drawn(mask)


def hidden(keys, n_new: int = 4) -> list[list[str]]:
    return seen([onwards(0), onwards(0)], keys, n_new)


def test_padding():
    assert BATCH.ids.tolist() == [[5, 6, 7, 8], [0, 0, 5, 6]]
    assert BATCH.mask.tolist() == [[True] * 4, [False, False, True, True]]
    assert BATCH.position_ids.tolist() == [[0, 1, 2, 3], [0, 0, 0, 1]]
    assert BATCH.offset.tolist() == [0, 2]


def test_causal_and_padded():
    assert hidden([[], []]) == [["x...", "xx..", "xxx.", "xxxx"], ["x...", ".x..", "..x.", "..xx"]]


def test_hidden_keys_are_counted_from_each_rows_first_token():
    assert hidden([[1], [0]]) == [["x...", "xx..", "x.x.", "x.xx"], ["x...", ".x..", "..x.", "...x"]]


def test_queries_and_keys():
    assert seen([[2], [1]], [[0, 1], [0]]) == [["x...", "xx..", "..x.", "xxxx"], ["x...", ".x..", "..x.", "...x"]]
    assert seen([range(1, 3), ()], [range(0, 2), [0]]) == [
        ["x...", ".x..", "..x.", "xxxx"],
        ["x...", ".x..", "..x.", "..xx"],
    ]


def test_last_queries_only():
    assert hidden([[1], []], n_new=1) == [["x.xx"], ["..xx"]]
    assert hidden([[0, 1], []], n_new=2) == [["..x.", "..xx"], ["..x.", "..xx"]]
    assert seen([[2], []], [[0], []], n_new=1) == [["xxxx"], ["..xx"]], "a query that is past is not cut again"


def test_every_query_sees_something():
    """An empty softmax row would be NaN and spread."""
    for row in hidden([[0, 1, 2, 3], [0, 1]]):
        assert all("x" in query for query in row)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_additive_mask_keeps_its_form(dtype: torch.dtype):
    boolean = causal_mask(BATCH.mask, 4)
    additive = torch.zeros(boolean.shape, dtype=dtype).masked_fill(~boolean, torch.finfo(dtype).min)
    blocked = torch.zeros(2, 4, 4, dtype=torch.bool)
    blocked[0, 3, 1] = blocked[1, 3, 3] = True
    cut = without_keys(additive, blocked)
    assert cut.dtype == dtype
    assert drawn(cut) == drawn(without_keys(boolean, blocked))
    assert drawn(cut)[0][3] == "x.xx"
    assert drawn(cut)[1][3] == "..xx", "a query keeps itself"


def test_a_cache_that_kept_the_latest_keys_only():
    blocked = torch.zeros(2, 1, 4, dtype=torch.bool)
    blocked[0, 0, 2] = True
    assert drawn(without_keys(torch.ones(1, 1, 1, 3, dtype=torch.bool), blocked)) == [["x.x"], ["xxx"]]


def test_masks_of_another_form_are_refused():
    with pytest.raises(HintprobeError, match="sdpa or eager"):
        without_keys(BATCH.mask, torch.zeros(2, 4, 4, dtype=torch.bool))
