"""Hooks see what they should, stop where they should, and are gone afterwards."""

import gc
import weakref

import pytest
import torch
from conftest import ARCHITECTURES, LAYERS, Tiny, some_rows

from activations import HintprobeError, LoadedModel, Replace, Site, capture_batch, counting_forwards, editing, visiting
from activations.abilities import abilities
from activations.batching import pad_left
from activations.forward import forward
from activations.sites import decoder_blocks, residual_sites


def hooks_on(loaded: LoadedModel) -> int:
    """Hooks of ours: transformers leaves its own on a model that was once asked for hidden states."""
    hooks = [
        hook for m in loaded.model.modules() for hook in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())
    ]
    return sum(hook.__module__.startswith("activations") for hook in hooks)


def logits(loaded: LoadedModel, batch) -> torch.Tensor:
    with torch.no_grad():
        return loaded.model(
            input_ids=batch.ids, attention_mask=batch.mask.long(), position_ids=batch.position_ids
        ).logits


def batch_of(loaded: LoadedModel, *lengths: int, seed: int = 0):
    return pad_left(some_rows(loaded, lengths, seed), loaded.tokenizer.pad_token_id, loaded.device)


def blocks_run(loaded: LoadedModel, sites: list[Site]) -> list[int]:
    """Which decoder blocks a capture of these sites runs to their end."""
    abilities(loaded.model)  # looked at once per model, by forwards of its own
    ran: list[int] = []
    handles = [
        block.mlp.register_forward_hook(lambda *_, k=k: ran.append(k))
        for k, block in enumerate(decoder_blocks(loaded.model))
    ]
    try:
        capture_batch(loaded, some_rows(loaded, (5,)), [(4,)], sites)
    finally:
        for handle in handles:
            handle.remove()
    return ran


def test_nothing_is_left_behind(tiny: Tiny):
    loaded = tiny("llama")
    batch = batch_of(loaded, 6)
    assert hooks_on(loaded) == 0
    with visiting(loaded.model, {Site(1, "resid_pre"): lambda r: None, Site(2, "resid_post"): lambda r: None}):
        assert hooks_on(loaded) == 2
        forward(loaded.model, batch, head=False)
    with counting_forwards(loaded.model):
        assert hooks_on(loaded) == 1
    assert hooks_on(loaded) == 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_behind_when_the_body_raises(tiny: Tiny, error: type[BaseException]):
    loaded = tiny("llama")
    batch = batch_of(loaded, 6)
    edit = Replace(Site(0, "resid_pre"), [(0,)], values=torch.zeros(1, 1, 64))

    def failing(_residual):
        raise error("inside the forward")

    with pytest.raises(error), visiting(loaded.model, {Site(1, "resid_post"): failing}):
        forward(loaded.model, batch, head=False)
    with pytest.raises(error), visiting(loaded.model, {Site(1, "resid_post"): lambda r: None}, stop_after_deepest=True):
        raise error("before any forward")
    with pytest.raises(error), editing(loaded, batch, [edit]):
        raise error("in the body")
    with pytest.raises(error), counting_forwards(loaded.model):
        raise error("in the body")
    assert hooks_on(loaded) == 0


@pytest.mark.parametrize("layer", [LAYERS, 99, -1])
def test_a_site_that_the_model_lacks_is_refused_before_any_forward(tiny: Tiny, layer: int):
    loaded = tiny("llama")
    sites = {Site(0, "resid_post"): lambda r: None, Site(layer, "resid_post"): lambda r: None}
    with (
        counting_forwards(loaded.model) as count,
        pytest.raises(HintprobeError, match="blocks 0 to 3"),
        visiting(loaded.model, sites),
    ):
        forward(loaded.model, batch_of(loaded, 4), head=False)
    assert count.calls == 0
    assert hooks_on(loaded) == 0


def test_a_hook_that_never_fired_raises(tiny: Tiny):
    loaded = tiny("llama")
    visitors = {Site(1, "resid_post"): lambda r: None}
    with pytest.raises(HintprobeError, match=r"resid_post\.1.*never fired"), visiting(loaded.model, visitors):
        pass
    with visiting(loaded.model, visitors):
        forward(loaded.model, batch_of(loaded, 4), head=False)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ([Site(1, "resid_post")], [0, 1]),
        ([Site(1, "resid_pre")], [0]),
        ([Site(1, "resid_pre"), Site(1, "resid_post")], [0, 1]),
        ([Site(1, "resid_post"), Site(2, "resid_pre")], [0, 1]),
        ([Site(0, "resid_pre")], []),
        (residual_sites(LAYERS), [0, 1, 2, 3]),
    ],
)
def test_no_block_above_the_deepest_site_is_run(tiny: Tiny, arch: str, sites: list[Site], expected: list[int]):
    assert blocks_run(tiny(arch), sites) == expected


def test_without_the_stop_every_block_runs(tiny: Tiny):
    loaded = tiny("llama")
    seen: list[str] = []
    with visiting(loaded.model, {s: lambda r, s=s: seen.append(str(s)) for s in residual_sites(LAYERS)}):
        out = loaded.model(torch.tensor(some_rows(loaded, (4,))))
    assert out.logits.shape[1] == 4
    assert seen == [str(site) for site in residual_sites(LAYERS)]


def test_the_stop_of_an_outer_context_passes_through_an_inner_one(tiny: Tiny):
    """An inner context that swallowed it would go on after a forward that gave nothing."""
    loaded = tiny("llama")
    batch = batch_of(loaded, 5)
    reached = []
    with (
        visiting(loaded.model, {Site(1, "resid_post"): lambda r: None}, stop_after_deepest=True),
    ):
        with visiting(loaded.model, {Site(0, "resid_post"): lambda r: None}):
            forward(loaded.model, batch, head=False)
        reached.append("after the inner context")
    assert reached == []


def test_an_edit_inside_a_capture_is_seen_by_it(tiny: Tiny):
    loaded = tiny("llama")
    batch = batch_of(loaded, 5)
    seen = []
    with (
        editing(loaded, batch, [Replace(Site(1, "resid_pre"), [(2,)], values=torch.full((1, 1, 64), 7.0))]),
        visiting(loaded.model, {Site(1, "resid_pre"): seen.append}),
    ):
        forward(loaded.model, batch, head=False)
    assert torch.equal(seen[0][0, 2], torch.full((64,), 7.0))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_patching_a_run_with_itself_changes_nothing(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    rows = some_rows(loaded, (7, 12))
    batch = pad_left(rows, loaded.tokenizer.pad_token_id, loaded.device)
    clean = logits(loaded, batch)
    where = [(0, 3, 6), (1, 5, 11)]
    for site in (Site(0, "resid_pre"), Site(2, "resid_pre"), Site(1, "resid_post"), Site(3, "resid_post")):
        own = capture_batch(loaded, rows, where, [site])[site]
        with editing(loaded, batch, [Replace(site, where, values=own)]):
            patched = logits(loaded, batch)
        assert torch.equal(patched[batch.mask], clean[batch.mask]), site
        with editing(loaded, batch, [Replace(site, where, values=own.flip(-1))]):
            edited = logits(loaded, batch)
        assert (edited - clean)[batch.mask].abs().max() > 1e-2, site


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_replacing_the_whole_input_gives_the_other_rows_logits(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    rows, others = some_rows(loaded, (6, 9), seed=1), some_rows(loaded, (6, 9), seed=2)
    batch, other = (pad_left(r, loaded.tokenizer.pad_token_id, loaded.device) for r in (rows, others))
    clean, wanted = logits(loaded, batch), logits(loaded, other)
    for i in range(2):
        site, everywhere = Site(0, "resid_pre"), range(len(rows[i]))
        alone = pad_left(rows[i : i + 1], loaded.tokenizer.pad_token_id, loaded.device)
        states = capture_batch(loaded, others[i : i + 1], [everywhere], [site])[site]
        with editing(loaded, alone, [Replace(site, [everywhere], values=states)]):
            patched = logits(loaded, alone)
        assert torch.allclose(patched[0], wanted[i, batch.mask[i]], atol=1e-4)
        assert not torch.allclose(patched[0], clean[i, batch.mask[i]], atol=1e-2)
    assert torch.equal(logits(loaded, batch), clean), "nothing of the edit is left"
    assert hooks_on(loaded) == 0


def test_an_edit_reaches_later_tokens_only(tiny: Tiny):
    loaded = tiny("qwen3")
    batch = batch_of(loaded, 9)
    clean = logits(loaded, batch)
    with editing(loaded, batch, [Replace(Site(1, "resid_pre"), [(4,)], values=torch.ones(1, 1, 64))]):
        edited = logits(loaded, batch)
    moved = (edited - clean).abs().amax(-1)[0]
    assert (moved[:4] == 0).all()
    assert (moved[4:] > 1e-4).all()


def test_counting_forwards_counts_calls_and_rows(tiny: Tiny):
    loaded = tiny("llama")
    with counting_forwards(loaded.model) as count:
        forward(loaded.model, batch_of(loaded, 4, 4, 2), head=False)
        loaded.model(torch.tensor(some_rows(loaded, (4,))))
    loaded.model(torch.tensor(some_rows(loaded, (4,))))
    assert (count.calls, count.rows) == (2, 4)


def test_sites_are_read_and_written_alike():
    for site in (Site(0, "resid_pre"), Site(17, "resid_post")):
        assert Site.parse(str(site)) == site
    for bad in ("resid_post", "resid_post.x", "resid_post.-1", "mlp.3", "", "resid_post.²"):
        with pytest.raises(HintprobeError, match="is not a site"):
            Site.parse(bad)


def test_sites_sort_in_the_order_a_forward_passes_them():
    names = ["resid_pre", "head_z", "attn_out", "resid_mid", "mlp_out", "resid_post"]
    ordered = [Site(layer, name) for layer in range(2) for name in names]
    backwards = ordered[::-1]
    assert sorted(backwards) == ordered


def test_decoder_blocks_are_found_or_refused(tiny: Tiny):
    for arch in ARCHITECTURES:
        assert len(decoder_blocks(tiny(arch).model)) == LAYERS
    model = tiny("llama").model
    bare = torch.nn.Module()
    bare.config = model.config
    bare.layers = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(LAYERS))
    with pytest.raises(HintprobeError, match="could not be identified"):
        decoder_blocks(bare)


def test_a_stopped_forward_leaves_no_tensor_to_the_garbage_collector(tiny: Tiny):
    """What the traceback held would otherwise live until a collection, which is a batch's memory on a device."""
    loaded = tiny("llama")
    seen = []
    gc.collect()
    gc.disable()
    try:
        with visiting(loaded.model, {Site(1, "resid_post"): lambda r: seen.append(weakref.ref(r))}, True):
            forward(loaded.model, batch_of(loaded, 5), head=False)
        assert len(seen) == 1
        assert seen[0]() is None
    finally:
        gc.enable()
