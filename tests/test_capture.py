"""Captured numbers are the model's own, whatever the batch; and the check would notice if they were not."""

import pytest
import torch
from conftest import ARCHITECTURES, LAYERS, Tiny, some_rows

from activations import HintprobeError, LoadedModel, Site, capture, capture_batch, counting_forwards, residual_sites
from activations.batching import by_length, pad_left, pad_right, with_backoff
from activations.transfer import Transfer

LENGTHS = (5, 17, 9, 1, 17, 12)
POSITIONS = ((4, 0), (16,), (0, 3, 8), (0,), (2, 1, 0), (11, 5))


def reference(loaded: LoadedModel, row: tuple[int, ...]) -> dict[Site, torch.Tensor]:
    """Residual stream of one unpadded row by transformers' own means, the final norm not yet applied."""
    kept = []
    last = list(loaded.model.base_model.children())
    blocks = next(module for module in last if isinstance(module, torch.nn.ModuleList) and len(module) == LAYERS)
    handle = blocks[-1].register_forward_hook(
        lambda _m, _a, out: kept.append(out if isinstance(out, torch.Tensor) else out[0])
    )
    try:
        with torch.no_grad():
            states = loaded.model(torch.tensor([row]), output_hidden_states=True).hidden_states
    finally:
        handle.remove()
    result = {Site(0, "resid_pre"): states[0][0], Site(LAYERS - 1, "resid_post"): kept[0][0]}
    for layer in range(LAYERS - 1):
        result[Site(layer, "resid_post")] = states[layer + 1][0]
        result[Site(layer + 1, "resid_pre")] = states[layer + 1][0]
    result[Site(LAYERS, "resid_pre")] = states[-1][0]  # no such site: it is what follows the final norm
    return result


def captured_rows(loaded: LoadedModel, rows, positions, sites, budget: int = 40) -> list[dict[Site, torch.Tensor]]:
    result: dict[int, dict[Site, torch.Tensor]] = {}
    for indices, values in capture(loaded, rows, positions, sites, token_budget=budget):
        for slot, i in enumerate(indices):
            result[i] = {site: values[site][slot, : len(positions[i])] for site in sites}
    return [result[i] for i in range(len(rows))]


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, in units of the expected values' root mean square."""
    return float((found - expected).abs().max() / expected.square().mean().sqrt())


EVERY_SITE = [Site(layer, component) for layer in range(LAYERS) for component in ("resid_pre", "resid_post")]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_batched_capture_equals_transformers_on_single_rows(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    rows = some_rows(loaded, LENGTHS)
    found = captured_rows(loaded, rows, POSITIONS, EVERY_SITE)
    for row, wanted, values in zip(rows, POSITIONS, found, strict=True):
        expected = reference(loaded, row)
        for site in EVERY_SITE:
            assert relative(values[site], expected[site][list(wanted)]) < 1e-5, site


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_comparison_would_notice_a_wrong_layer_position_row_or_norm(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    rows = some_rows(loaded, LENGTHS)
    (values,) = captured_rows(loaded, rows[1:2], [(8,)], EVERY_SITE)
    expected, other = reference(loaded, rows[1]), reference(loaded, rows[4])
    for layer in range(LAYERS):
        site = Site(layer, "resid_post")
        assert relative(values[site], expected[Site(layer, "resid_pre")][[8]]) > 1e-2
        assert relative(values[site], expected[site][[7]]) > 1e-2
        assert relative(values[site], expected[site][[9]]) > 1e-2
        assert relative(values[site], other[site][[8]]) > 1e-2
    last = values[Site(LAYERS - 1, "resid_post")]
    assert relative(last, expected[Site(LAYERS, "resid_pre")][[8]]) > 1e-2, "hidden_states[-1] is after the norm"


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_last_resid_post_becomes_the_last_hidden_state_through_the_final_norm(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    (row,) = some_rows(loaded, (9,))
    last = Site(LAYERS - 1, "resid_post")
    norm = loaded.model.base_model.ln_f if arch == "gpt2" else loaded.model.base_model.norm
    with torch.no_grad():
        normed = norm(capture_batch(loaded, [row], [range(9)], [last])[last][0])
    assert relative(normed, reference(loaded, row)[Site(LAYERS, "resid_pre")]) < 1e-5


def test_without_position_ids_gpt2_would_be_far_off(tiny: Tiny):
    """Why ``forward`` states them: left padding shifts learnt positions."""
    loaded = tiny("gpt2")
    rows = some_rows(loaded, (5, 17))
    batch = pad_left(rows, loaded.tokenizer.pad_token_id, loaded.device)
    bare = torch.arange(17).expand(2, -1)
    with torch.no_grad():
        states = loaded.model(
            input_ids=batch.ids, attention_mask=batch.mask.long(), position_ids=bare, output_hidden_states=True
        ).hidden_states
    assert relative(states[2][0, 12:], reference(loaded, rows[0])[Site(1, "resid_post")]) > 1e-2


def test_order_of_positions_and_repetition_are_kept(tiny: Tiny):
    loaded = tiny("llama")
    (row,) = some_rows(loaded, (7,))
    site = Site(1, "resid_post")
    values = capture_batch(loaded, [row], [(5, 2, 5)], [site])[site][0]
    everything = capture_batch(loaded, [row], [range(7)], [site])[site][0]
    assert torch.equal(values, everything[[5, 2, 5]])
    assert not torch.equal(values[0], values[1])


def test_short_rows_are_padded_by_repetition(tiny: Tiny):
    loaded = tiny("llama")
    rows = some_rows(loaded, (6, 6))
    site = Site(0, "resid_post")
    values = capture_batch(loaded, rows, [(3,), (1, 2, 4)], [site])[site]
    assert values.shape == (2, 3, 64)
    assert torch.equal(values[0, 0], values[0, 2])
    assert not torch.equal(values[1, 0], values[1, 2])


def test_values_keep_the_dtype_and_bfloat16_stays_near(tiny: Tiny):
    full, half = tiny("llama"), tiny("llama", dtype="bfloat16")
    (row,) = some_rows(full, (11,))
    site = Site(2, "resid_post")
    values = capture_batch(half, [row], [range(11)], [site])[site]
    assert values.dtype == torch.bfloat16
    error = relative(values[0].float(), capture_batch(full, [row], [range(11)], [site])[site][0])
    assert 1e-5 < error < 0.2


@pytest.mark.parametrize("positions", [[()], [(9,)], [(-1,)], [(0, 12)]])
def test_positions_outside_a_row_are_refused(tiny: Tiny, positions):
    loaded = tiny("llama")
    rows = some_rows(loaded, (9,))
    with pytest.raises(HintprobeError, match="has 9 tokens and was asked for positions"):
        list(capture(loaded, rows, positions, [Site(0, "resid_post")]))
    assert list(capture(loaded, rows, [(0, 8)], [Site(0, "resid_post")]))


def test_activations_that_are_not_finite_are_refused(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    loaded = tiny("llama")
    rows = some_rows(loaded, (4,))
    weight = loaded.model.model.layers[1].mlp.down_proj.weight
    monkeypatch.setattr(weight, "data", weight.data * float("inf"))
    assert list(capture(loaded, rows, [(3,)], [Site(0, "resid_post")])), "an earlier layer is fine"
    with pytest.raises(HintprobeError, match=r"resid_post\.1 are not finite in row 0 \(torch.float32\)"):
        list(capture(loaded, rows, [(3,)], residual_sites(LAYERS)))


def test_half_precision_that_overflows_is_refused_and_the_row_named(tiny: Tiny):
    loaded = tiny("llama", dtype="float16")
    rows, fine = some_rows(loaded, (4, 6, 5)), Site(1, "resid_post")
    embedding = loaded.model.get_input_embeddings().weight
    before = embedding.data.clone()
    try:
        embedding.data[rows[2][1]] = torch.tensor(1e5).half()  # beyond 65,504: inf
        later = {token for row in (rows[0], rows[1]) for token in row}
        assert rows[2][1] not in later
        assert list(capture(loaded, rows[:2], [(3,), (2,)], [fine]))
        with pytest.raises(HintprobeError, match=r"not finite in row 2 .*load it in bfloat16 or"):
            list(capture(loaded, rows, [(3,), (2,), (2,)], [Site(0, "resid_pre"), Site(0, "mlp_out"), fine]))
    finally:
        embedding.data.copy_(before)


def test_a_tensor_that_passes_twice_is_refused(tiny: Tiny):
    loaded = tiny("llama")
    blocks = loaded.model.model.layers
    first, blocks[1] = blocks[1], blocks[0]
    try:
        with pytest.raises(HintprobeError, match=r"resid_post\.0 was passed twice"):
            capture_batch(loaded, some_rows(loaded, (4,)), [(3,)], [Site(0, "resid_post"), Site(3, "resid_post")])
    finally:
        blocks[1] = first


def test_sites_of_different_widths_and_order_keep_their_own_values():
    sites = [Site(1, "resid_post"), Site(0, "head_z"), Site(0, "resid_pre"), Site(1, "head_z")]
    values = {s: torch.randn(3, 2, 5 if s.component == "head_z" else 4) for s in sites}
    values[sites[1]][2, 0, 1], values[sites[0]][1, 1, 0] = float("nan"), float("inf")
    arrived, broken = Transfer(values).wait()
    assert arrived.keys() == values.keys()
    assert all(torch.equal(arrived[s].nan_to_num(), values[s].nan_to_num()) for s in sites)
    assert broken == [(sites[1], 2), (sites[0], 1)]


def test_left_and_right_padding_hold_the_same_rows():
    rows = [(7, 8, 9), (5,)]
    left, right = (pad(rows, 0, torch.device("cpu")) for pad in (pad_left, pad_right))
    assert left.ids.tolist() == [[7, 8, 9], [0, 0, 5]]
    assert right.ids.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert left.position_ids[left.mask].tolist() == right.position_ids[right.mask].tolist() == [0, 1, 2, 0]
    assert (left.offset.tolist(), right.offset.tolist()) == ([0, 2], [0, 0])


def test_batches_keep_to_the_token_budget_and_leave_no_row_out():
    lengths = [3, 50, 7, 7, 1, 20, 49]
    batches = list(by_length(lengths, budget=60))
    assert sorted(i for batch in batches for i in batch) == list(range(7))
    assert all(len(batch) * max(lengths[i] for i in batch) <= 60 for batch in batches)
    assert len(batches) < 7
    assert [len(batch) for batch in by_length(lengths, budget=2)] == [1] * 7


def test_out_of_memory_halves_the_batch_and_goes_on():
    tried = []

    def run(rows: list[int]) -> int:
        tried.append(len(rows))
        if len(rows) > 2:
            raise torch.cuda.OutOfMemoryError("too big")
        return sum(rows)

    parts = with_backoff(list(range(7)), run)
    assert [i for rows, _ in parts for i in rows] == list(range(7))
    assert all(result == sum(rows) for rows, result in parts)
    assert max(len(rows) for rows, _ in parts) == 2
    assert tried[0] == 7

    def never(rows: list[int]) -> int:
        raise torch.cuda.OutOfMemoryError("too big for one row")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        with_backoff([0, 1], never)


def test_out_of_memory_in_the_middle_changes_no_value(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    loaded = tiny("qwen3")
    rows = some_rows(loaded, LENGTHS)
    sites = residual_sites(LAYERS)
    expected = captured_rows(loaded, rows, POSITIONS, sites, budget=10_000)
    forward = type(loaded.model.base_model).forward

    def tight(self, input_ids, **kwargs):
        if len(input_ids) > 2:
            raise torch.cuda.OutOfMemoryError("pretend")
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(type(loaded.model.base_model), "forward", tight)
    with counting_forwards(loaded.model) as count:
        found = captured_rows(loaded, rows, POSITIONS, sites, budget=10_000)
    assert count.calls > 3
    for a, b in zip(found, expected, strict=True):
        assert all(relative(a[site], b[site]) < 1e-5 for site in sites)


def test_a_row_that_never_fits_is_refused(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    loaded = tiny("qwen3")

    def full(*_, **__):
        raise torch.OutOfMemoryError("pretend")

    monkeypatch.setattr(type(loaded.model.base_model), "forward", full)
    with pytest.raises(HintprobeError, match=r"single row does not fit .*longest here has 9 tokens"):
        list(capture(loaded, some_rows(loaded, (4, 9)), [(3,), (2,)], [Site(1, "resid_post")]))


def test_a_batch_that_did_not_fit_is_not_tried_again(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    loaded = tiny("qwen3")
    tried, forward = [], type(loaded.model.base_model).forward

    def tight(self, input_ids, **kwargs):
        tried.append(len(input_ids))
        if len(input_ids) > 3:
            raise torch.OutOfMemoryError("pretend")
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(type(loaded.model.base_model), "forward", tight)
    rows = some_rows(loaded, (6,) * 18)
    batches = [i for i, _ in capture(loaded, rows, [(5,)] * 18, [Site(1, "resid_post")], token_budget=36)]
    assert sorted(row for batch in batches for row in batch) == list(range(18))
    assert tried == [6, 3, 3, 3, 3, 3, 3]


def test_a_batch_is_given_out_once_the_next_is_under_way(tiny: Tiny):
    """On CUDA its copy then overlaps the next forward; the account of forwards shows the order anywhere."""
    loaded = tiny("llama")
    with counting_forwards(loaded.model) as count:
        batches = capture(loaded, some_rows(loaded, (4,) * 6), [(3,)] * 6, [Site(0, "resid_post")], token_budget=8)
        seen = [(count.calls, len(indices)) for indices, _ in batches]
    assert seen == [(2, 2), (3, 2), (3, 2)]
