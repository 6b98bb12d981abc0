"""Patching: exact against plain hooks, TransformerLens and nnsight; nothing where nothing is; refusals."""

from functools import cache

import numpy as np
import pytest
import torch
from conftest import LAYERS, Tiny, some_rows
from families import FAMILIES, HEADS, PARALLEL, make_family
from families import LAYERS as DEPTH

from activations import HintprobeError, LoadedModel, Replace, Site, capture_batch, editing
from activations.batching import pad_left
from activations.hooks import head_shape
from activations.partial import KeptRun, keep_run
from probes.patching import CONTROLS, Account, Cell, Patch, PatchPair, patch_pairs, run_patches
from probes.readout import last_logits

COMPONENTS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_z")
ROWS = ((5, 9, 33, 2, 71, 14, 8, 60), (44, 3, 27, 60, 11, 80, 6, 5, 7, 8, 12))


class Pad:
    pad_token_id = 0


@cache
def family(name: str) -> LoadedModel:
    return LoadedModel(make_family(name), Pad(), name, name, name)  # type: ignore[arg-type]


def make_pairs(loaded: LoadedModel, n: int = 5, seed: int = 0) -> list[PatchPair]:
    """Pairs of unequal lengths whose source differs in token 3 alone; the next tokens are arbitrary."""
    rng = np.random.default_rng(seed)
    pairs = []
    for k in range(n):
        base = [int(t) for t in rng.integers(10, 80, 12 + 3 * k)]
        source = [*base[:3], base[3] + 1, *base[4:]]
        end = len(base) - 1
        pairs.append(
            PatchPair(
                tuple(base), tuple(source), 20, 30,
                {"changed": (3,), "after": (5,), "before": (1,), "end": (end,), "all": tuple(range(end + 1))},
                group=str(k),
            )
        )  # fmt: skip
    return pairs


def hooked(loaded: LoadedModel, row, patch: Patch) -> torch.Tensor:
    """The independent route: one whole unpadded forward under an edit."""
    batch = pad_left([row], 0, torch.device("cpu"))
    edit = Replace(patch.site, [patch.positions], patch.head, values=patch.values[None])
    with torch.no_grad(), editing(loaded, batch, [edit]):
        return last_logits(loaded, batch)[0]


def random_patches(kept: KeptRun, name: str, seed: int = 0) -> list[Patch]:
    """Every component, layer and position, some of them two positions at once, some of them one head."""
    generator = torch.Generator().manual_seed(seed)
    patches = []
    for site in sites_of(name):
        for row, ids in enumerate(ROWS):
            for position in range(len(ids)):
                head = position % HEADS if site.component == "head_z" and position % 2 else None
                width = head_shape(kept.loaded.model, 0)[1] if head is not None else kept.state(site).shape[-1]
                where = (position,) if position < 4 else (position, position - 2)
                values = torch.randn(len(where), width, generator=generator)
                patches.append(Patch(row, site, where, values, head))
    return patches


def sites_of(name: str) -> list[Site]:
    return [Site(k, c) for k in range(DEPTH) for c in COMPONENTS if not (c == "resid_mid" and name in PARALLEL)]


@pytest.mark.parametrize("name", FAMILIES)
def test_runs_from_the_middle_equal_whole_forwards_in_every_family(name: str):
    loaded = family(name)
    kept = keep_run(loaded, pad_left(ROWS, 0, torch.device("cpu")), sites_of(name))
    assert kept.can_start_in_the_middle
    patches, account = random_patches(kept, name), Account()
    found = {}
    for done, logits in run_patches(kept, patches, account):
        found |= dict(zip(done, logits, strict=True))
    assert sorted(found) == list(range(len(patches)))
    moved = 0.0
    for k, patch in list(enumerate(patches))[:: 1 if name in ("gemma2", "neox") else 7]:
        torch.testing.assert_close(found[k], hooked(loaded, ROWS[patch.row], patch), atol=2e-5, rtol=1e-5)
        moved = max(moved, float((found[k] - kept.logits[patch.row]).abs().max()))
    assert moved > 0.5
    assert account.whole == 0
    assert account.cells == len(patches)
    assert account.work < 0.5 * len(patches)


def test_a_family_that_cannot_start_in_the_middle_is_run_whole_and_said_to_be(monkeypatch: pytest.MonkeyPatch):
    loaded = family("llama")
    kept = keep_run(loaded, pad_left(ROWS, 0, torch.device("cpu")), sites_of("llama"))
    patches = [p for p in random_patches(kept, "llama") if p.site in (Site(1, "head_z"), Site(2, "resid_pre"))]

    def run(account):
        return {k: line for done, out in run_patches(kept, patches, account) for k, line in zip(done, out, strict=True)}

    usual, whole = Account(), Account()
    expected = run(usual)
    kept.__dict__.pop("can_start_in_the_middle")
    monkeypatch.setattr(KeptRun, "last_state", lambda *_args, **_kwargs: kept.last * 1.1)
    assert not kept.can_start_in_the_middle, "a wrong run from the middle is seen"
    found = run(whole)
    for k, line in expected.items():
        torch.testing.assert_close(found[k], line, atol=2e-5, rtol=1e-5)
    assert (usual.whole, whole.whole) == (0, len(patches) - whole.without_effect)


@pytest.mark.parametrize("arch", ["llama", "qwen3", "gpt2"])
def test_exactness(arch: str, tiny: Tiny):
    loaded = tiny(arch)
    pairs = make_pairs(loaded)
    sites = [*(Site(k, "resid_pre") for k in range(LAYERS)), Site(LAYERS - 1, "resid_post")]
    effects = patch_pairs(loaded, pairs, sites)
    base, source = effects.base["logit_difference"], effects.source["logit_difference"]

    def patched(site, position):
        return effects.patched[Cell(site, position)]["logit_difference"]

    assert np.abs(base - source).min() > 1e-3
    for site in sites:
        np.testing.assert_allclose(patched(site, "all"), source, atol=1e-4, err_msg="all positions: the source run")
        np.testing.assert_array_equal(patched(site, "before"), base)
    first, last = sites[0], sites[-1]
    np.testing.assert_allclose(patched(first, "changed"), source, atol=1e-4)
    np.testing.assert_array_equal(patched(first, "after"), base)
    np.testing.assert_allclose(patched(last, "end"), source, atol=1e-4)
    np.testing.assert_array_equal(patched(last, "changed"), base)
    assert effects.recovery(Cell(first, "changed")).ratio == pytest.approx(1, abs=1e-2)
    assert effects.recovery(Cell(first, "before")).ratio == 0
    mid = effects.recovery(Cell(Site(2, "resid_pre"), "after")).ratio
    assert abs(mid) > 1e-3, "another token carries some of it by now"


def test_patching_a_run_with_itself_changes_nothing(tiny: Tiny):
    loaded = tiny("qwen3")
    same = [
        PatchPair(p.base_ids, p.base_ids, p.base_token, p.source_token, p.positions, p.group)
        for p in make_pairs(loaded)
    ]
    effects = patch_pairs(loaded, same, [Site(1, c) for c in COMPONENTS], heads=True)
    for values in effects.patched.values():
        np.testing.assert_array_equal(values["logit_difference"], effects.base["logit_difference"])
        assert not values["flip"].any()
    assert effects.account.without_effect == effects.account.cells


def test_heads_add_up_to_the_whole(tiny: Tiny):
    """At the last token of the last block, heads go to the logits through sums and one norm."""
    loaded = tiny("llama")
    pairs, site = make_pairs(loaded), Site(LAYERS - 1, "head_z")
    whole = patch_pairs(loaded, pairs, [site]).patched[Cell(site, "end")]["logit_difference"]
    effects = patch_pairs(loaded, pairs, [site], heads=True)
    n_heads, _ = head_shape(loaded.model, site.layer)
    assert {c.head for c in effects.patched} == set(range(n_heads))
    single = np.array([effects.patched[Cell(site, "end", h)]["logit_difference"] for h in range(n_heads)])
    assert (np.abs(single - effects.base["logit_difference"]).max(1) > 1e-4).all(), "every head does something"
    assert not np.allclose(whole, single[0])


def test_noising_and_denoising_are_each_others_mirror(tiny: Tiny):
    loaded = tiny("llama")
    pairs, site = make_pairs(loaded), Site(2, "resid_pre")
    noising = patch_pairs(loaded, pairs, [site])
    back = patch_pairs(loaded, [pair.reversed() for pair in pairs], [site])
    np.testing.assert_allclose(back.base["logit_difference"], -noising.source["logit_difference"], atol=1e-4)
    everything = Cell(site, "all")
    assert back.recovery(everything).ratio == pytest.approx(1, abs=1e-3)
    assert [pair.reversed().reversed() for pair in pairs] == pairs


def test_metrics_say_what_they_are(tiny: Tiny):
    loaded = tiny("llama")
    pairs, site = make_pairs(loaded), Site(0, "resid_pre")
    effects = patch_pairs(loaded, pairs, [site])
    found = effects.patched[Cell(site, "changed")]
    for k, pair in enumerate(pairs):
        batches = [pad_left([ids], 0, loaded.device) for ids in (pair.base_ids, pair.source_ids)]
        with torch.no_grad():
            base, source = (last_logits(loaded, batch)[0].double().log_softmax(-1) for batch in batches)
        assert found["logit_difference"][k] == pytest.approx(float(source[20] - source[30]), abs=1e-4)
        assert found["probability"][k] == pytest.approx(float(source[20].exp()), rel=1e-3)
        assert found["source_probability"][k] == pytest.approx(float(source[30].exp()), rel=1e-3)
        assert found["kl"][k] == pytest.approx(float((base.exp() * (base - source)).sum()), rel=1e-3)
        flipped = (base[20] > base[30]) != (source[20] > source[30])
        assert found["flip"][k] == float(flipped)
    assert effects.base["kl"].max() < 1e-5
    assert 0 < effects.base["probability"].max() < 1


def test_placebos_stand_beside_and_do_what_they_say(tiny: Tiny):
    loaded = tiny("llama")
    pairs, site = make_pairs(loaded, 8), Site(1, "resid_pre")
    pairs = [
        PatchPair(p.base_ids, p.source_ids, 20, 30, {"changed": (3,), "end": p.positions["end"]}, p.group)
        for p in pairs
    ]
    effects = patch_pairs(loaded, pairs, [site], controls=CONTROLS, rng=np.random.default_rng(0))
    assert {(c.position, c.control) for c in effects.patched} == {
        (name, control) for name in ("changed", "end") for control in (None, *CONTROLS)
    }
    drawn = {
        control: effects.patched[Cell(site, "changed", None, control)]["logit_difference"]
        for control in (None, *CONTROLS)
    }
    assert all(np.isfinite(values).all() for values in drawn.values())
    assert len({tuple(np.round(v, 4)) for v in drawn.values()}) == 4, "each is another thing"
    again = patch_pairs(loaded, pairs, [site], controls=CONTROLS, rng=np.random.default_rng(0))
    for cell, values in effects.patched.items():
        np.testing.assert_array_equal(again.patched[cell]["logit_difference"], values["logit_difference"])
    one = [PatchPair(p.base_ids, p.source_ids, 20, 30, p.positions, "g") for p in pairs]
    with pytest.raises(HintprobeError, match="one group"):
        patch_pairs(loaded, one, [site], controls=["other_states"], rng=np.random.default_rng(0))
    with pytest.raises(HintprobeError, match="pass `rng`"):
        patch_pairs(loaded, pairs, [site], controls=["other_states"])


def test_results_do_not_depend_on_the_batches(tiny: Tiny):
    loaded = tiny("qwen3")
    pairs, sites = make_pairs(loaded), [Site(1, "resid_pre"), Site(2, "mlp_out")]
    together, apart = (patch_pairs(loaded, pairs, sites, token_budget=budget) for budget in (10_000, 1))
    for cell, values in together.patched.items():
        for metric, expected in values.items():
            np.testing.assert_allclose(apart.patched[cell][metric], expected, atol=1e-4)


def test_hooks_are_gone(tiny: Tiny):
    loaded = tiny("llama")
    modules = list(loaded.model.modules())
    before = [(len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in m.__dict__) for m in modules]
    patch_pairs(loaded, make_pairs(loaded), [Site(0, "resid_pre"), Site(1, "attn_out")])
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in m.__dict__) for m in modules] == before


def test_bad_input_is_refused(tiny: Tiny):
    loaded = tiny("llama")
    with pytest.raises(HintprobeError, match="as many of each"):
        PatchPair((1, 2), (1, 2, 3), 4, 5, {}, "g")
    with pytest.raises(HintprobeError, match="same token"):
        PatchPair((1, 2), (1, 3), 4, 4, {}, "g")
    with pytest.raises(HintprobeError, match="has 2 tokens"):
        PatchPair((1, 2), (1, 3), 4, 5, {"x": (2,)}, "g")
    with pytest.raises(HintprobeError, match="has 2 tokens"):
        PatchPair((1, 2), (1, 3), 4, 5, {"x": ()}, "g")
    with pytest.raises(HintprobeError, match="no pairs"):
        patch_pairs(loaded, [], [Site(0, "resid_pre")])
    with pytest.raises(HintprobeError, match="blocks 0 to 3"):
        patch_pairs(loaded, make_pairs(loaded), [Site(4, "resid_pre")])
    kept = keep_run(loaded, pad_left(some_rows(loaded, (6,)), 0, loaded.device))
    for patch, message in (
        (Patch(0, Site(1, "resid_pre"), (6,), torch.zeros(1, 64)), "6 tokens"),
        (Patch(0, Site(1, "resid_pre"), (2, 3), torch.zeros(1, 64)), "1 states"),
        (Patch(0, Site(1, "resid_pre"), (2,), torch.zeros(1, 5)), "width 5"),
        (Patch(0, Site(1, "resid_pre"), (2,), torch.full((1, 64), torch.nan)), "not finite"),
    ):
        with pytest.raises(HintprobeError, match=message):
            list(run_patches(kept, [patch]))


def test_in_the_middle_of_a_block_too(tiny: Tiny):
    """Against hooks of torch's own on one unpadded row."""
    loaded = tiny("llama")
    pairs, site = make_pairs(loaded), Site(2, "mlp_out")
    effects = patch_pairs(loaded, pairs, [site])
    mlp = loaded.model.model.layers[2].mlp
    for k, pair in enumerate(pairs):
        kept = capture_batch(loaded, [pair.source_ids], [(5,)], [site])[site][0, 0]

        def put(_module, _args, output, kept=kept):
            changed = output.clone()
            changed[:, 5] = kept
            return changed

        handle = mlp.register_forward_hook(put)
        with torch.no_grad():
            logits = loaded.model(torch.tensor([pair.base_ids])).logits[0, -1]
        handle.remove()
        found = effects.patched[Cell(site, "after")]["logit_difference"][k]
        assert found == pytest.approx(float(logits[20] - logits[30]), abs=1e-4)
