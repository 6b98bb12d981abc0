"""Every component means the same tensor in every family, and can be replaced there."""

from functools import cache

import pytest
import torch
from families import FAMILIES, HEAD_DIM, HEADS, LAYERS, PARALLEL, WIDE, WIDTH, make_family
from torch import nn
from transformers import GraniteConfig, GraniteForCausalLM, PhiConfig, PhiForCausalLM

from activations import HintprobeError, Site, visiting
from activations.hooks import block_parts, counting_forwards, head_shape
from activations.sites import decoder_blocks

COMPONENTS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_z")
SEQUENTIAL = sorted(set(FAMILIES) - PARALLEL)
IDS = torch.tensor([[5, 9, 33, 2, 71, 14, 8], [44, 3, 27, 60, 11, 80, 6]])

model_of = cache(make_family)


def components_of(name: str) -> tuple[str, ...]:
    return tuple(c for c in COMPONENTS if not (c == "resid_mid" and name in PARALLEL))


def read(model, sites, ids=IDS) -> dict[Site, torch.Tensor]:
    seen: dict[Site, torch.Tensor] = {}
    with torch.no_grad(), visiting(model, {s: lambda t, s=s: seen.__setitem__(s, t.clone()) for s in sites}):
        model(ids)
    return seen


def run(model, visitors, ids=IDS) -> torch.Tensor:
    with torch.no_grad(), visiting(model, visitors):
        return model(ids).logits


def replaced(model, site: Site, new: torch.Tensor):
    return visiting(model, {site: lambda t: new})


def every_site(name: str) -> list[Site]:
    return [Site(layer, component) for layer in range(LAYERS) for component in components_of(name)]


@pytest.mark.parametrize("name", FAMILIES)
def test_reading_all_components_changes_nothing_and_they_add_up(name: str):
    model = model_of(name)
    with torch.no_grad():
        clean = model(IDS).logits
        states = model(IDS, output_hidden_states=True).hidden_states
    seen = read(model, every_site(name))
    assert torch.equal(run(model, {site: lambda t: None for site in every_site(name)}), clean)
    for layer in range(LAYERS):
        value = {component: seen[Site(layer, component)] for component in components_of(name)}
        assert torch.equal(value["resid_pre"], states[layer]), "transformers' own hidden states"
        if layer < LAYERS - 1:
            assert torch.equal(value["resid_post"], states[layer + 1])
        if name in PARALLEL:
            total = value["resid_pre"] + value["attn_out"] + value["mlp_out"]
            torch.testing.assert_close(value["resid_post"], total, rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(value["resid_mid"], value["resid_pre"] + value["attn_out"])
            assert torch.equal(value["resid_post"], value["resid_mid"] + value["mlp_out"])
        parts = (value["attn_out"], value["mlp_out"], value["resid_pre"])
        assert all(part.std() > 1e-3 for part in parts), "no part is idle, or the sums would prove nothing"


ATTENTION = {"gpt2": "attn", "neox": "attention", "neox_sequential": "attention"}
SANDWICHED = {  # the norms between a part and the stream, as each family's paper has them
    "gemma2": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma3": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "olmo2": ("post_attention_layernorm", "post_feedforward_layernorm"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_components_equal_a_computation_from_the_blocks_own_modules(name: str):
    """The independent route: the named modules of each family, called by hand on what was read."""
    model, layer = model_of(name), 1
    block = decoder_blocks(model)[layer]
    value = {c: read(model, [Site(layer, c)])[Site(layer, c)] for c in components_of(name)}
    attention = getattr(block, ATTENTION.get(name, "self_attn"))
    projection = attention.c_proj if name == "gpt2" else getattr(attention, "o_proj", getattr(attention, "dense", None))
    norms = [getattr(block, norm) for norm in SANDWICHED.get(name, ())]
    after_attention, after_mlp = norms or (nn.Identity(), nn.Identity())
    with torch.no_grad():
        torch.testing.assert_close(value["attn_out"], after_attention(projection(value["head_z"])))
        stream = value["resid_pre"] if name in PARALLEL else value["resid_mid"]
        if name in ("gemma2", "gemma3"):
            entering = block.pre_feedforward_layernorm(stream)
        elif name == "olmo2":
            entering = stream
        else:
            entering = (block.ln_2 if name == "gpt2" else block.post_attention_layernorm)(stream)
        added = block.mlp(entering)
        torch.testing.assert_close(value["mlp_out"], after_mlp(added[0] if isinstance(added, tuple) else added))


@pytest.mark.parametrize("name", FAMILIES)
def test_head_z_holds_one_slice_per_head(name: str):
    model = model_of(name)
    n_heads, head_dim = head_shape(model, 1)
    assert (n_heads, head_dim) == (HEADS, HEAD_DIM if name in WIDE else WIDTH // HEADS)
    site = Site(1, "head_z")
    z = read(model, [site])[site]
    assert z.shape == (2, 7, n_heads * head_dim)
    # A token that sees itself alone has its own value as z; grouped queries share theirs.
    one = read(model, [site], IDS[:, :1])[site].unflatten(-1, (n_heads, head_dim))[:, 0]
    per_group = HEADS // 2 if "num_key_value_heads" in FAMILIES[name][1] else 1
    for head in range(1, HEADS):
        # The direction: a learnt sink (gpt-oss) takes its share of each head's attention.
        alike = bool((torch.cosine_similarity(one[:, head], one[:, head - 1], dim=-1) > 0.9999).all())
        assert alike == (head % per_group != 0), head


@pytest.mark.parametrize("name", FAMILIES)
def test_replacing_with_itself_changes_nothing_and_with_another_runs_state_does(name: str):
    model = model_of(name)
    with torch.no_grad():
        clean = model(IDS).logits
    for site in every_site(name):
        own = read(model, [site])[site]
        assert torch.equal(run(model, {site: lambda t, own=own: own}), clean), site
        assert not torch.allclose(run(model, {site: lambda t, own=own: own.flip(0)}), clean, atol=1e-3), site


@pytest.mark.parametrize("name", FAMILIES)
def test_a_replacement_reaches_all_that_follows_and_nothing_before(name: str):
    model, layer = model_of(name), 1
    sites = [Site(layer, component) for component in components_of(name)]
    clean = read(model, sites)
    for site in sites:
        new = clean[site].flip(0) * 0.5
        others = [s for s in sites if s != site]
        with replaced(model, site, new):
            seen = read(model, others) | {site: new}
        value = {s.component: seen[s] for s in sites}
        before = [s for s in sites if s < site]
        if name in PARALLEL:
            before = [s for s in before if site.component == "resid_post" or s.component == "resid_pre"]
        assert all(torch.equal(seen[s], clean[s]) for s in before), site
        if site.component == "resid_post":
            continue
        if name in PARALLEL:
            total = value["resid_pre"] + value["attn_out"] + value["mlp_out"]
            torch.testing.assert_close(value["resid_post"], total, rtol=1e-5, atol=1e-5)
            continue
        assert torch.equal(value["resid_post"], value["resid_mid"] + value["mlp_out"]), site
        if site.component in ("resid_mid", "attn_out", "head_z", "resid_pre"):
            assert not torch.allclose(value["mlp_out"], clean[Site(layer, "mlp_out")], atol=1e-4), site
        if site.component in ("attn_out", "head_z", "resid_pre"):
            assert torch.equal(value["resid_mid"], value["resid_pre"] + value["attn_out"]), site


@pytest.mark.parametrize("name", ["llama", "gpt2", "neox"])
def test_gradients_flow_through_what_is_seen_and_replaced(name: str):
    model = model_of(name)
    for component in components_of(name):
        scale = torch.ones((), requires_grad=True)
        with visiting(model, {Site(1, component): lambda t, scale=scale: t * scale}):
            model(IDS).logits.sum().backward()
        assert scale.grad is not None
        assert scale.grad.abs() > 0, component
        seen = []
        with visiting(model, {Site(1, component): lambda t, seen=seen: seen.append(t.requires_grad_())}):
            model(IDS).logits.sum().backward()
        assert seen[0].grad.abs().max() > 0, component


def test_parallel_blocks_have_no_stream_between_attention_and_mlp():
    model = model_of("neox")
    with pytest.raises(HintprobeError, match=r"resid_mid\.1 .* parallel.*Ask for"):
        read(model, [Site(1, "resid_mid")])
    assert read(model_of("neox_sequential"), [Site(1, "resid_mid")])


def test_half_precision_is_taken_apart_as_well():
    for name in SEQUENTIAL:
        model = make_family(name).to(torch.bfloat16)
        seen = read(model, [Site(1, c) for c in COMPONENTS])
        assert torch.equal(seen[Site(1, "resid_post")], seen[Site(1, "resid_mid")] + seen[Site(1, "mlp_out")]), name


def test_taking_apart_is_done_once_and_neither_counted_nor_seen():
    model = make_family("llama")
    seen = []
    with counting_forwards(model) as count, visiting(model, {Site(0, "resid_post"): seen.append}):
        head_shape(model, 0)
        assert (count.calls, seen) == (0, [])
        run(model, {Site(1, "mlp_out"): lambda t: None})
        run(model, {Site(2, "attn_out"): lambda t: None})
    assert count.calls == len(seen) == 2
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.model.layers.modules())


def test_a_dropout_that_attention_and_mlp_share_is_no_ones_place():
    options = FAMILIES["qwen2"][1]
    model = PhiForCausalLM(PhiConfig(**options)).eval()
    block, parts = model.model.layers[1], block_parts(model, 1)
    assert (parts.attn_out, parts.mlp_out, parts.mid) == (block.self_attn, block.mlp, None)
    seen = read(model, [Site(1, c) for c in ("resid_pre", "attn_out", "mlp_out", "resid_post")])
    *addends, total = (seen[Site(1, c)] for c in ("resid_pre", "attn_out", "mlp_out", "resid_post"))
    torch.testing.assert_close(sum(addends), total)


def test_blocks_that_scale_what_they_add_are_refused_and_their_stream_is_not():
    options = FAMILIES["qwen2"][1]
    scaled = GraniteForCausalLM(GraniteConfig(**options, residual_multiplier=0.5)).eval()
    with pytest.raises(HintprobeError, match=r"could not be split into its parts.*not its input plus the outputs"):
        read(scaled, [Site(1, "attn_out")])
    assert read(scaled, [Site(1, "resid_pre"), Site(1, "resid_post")])
    plain = GraniteForCausalLM(GraniteConfig(**options, residual_multiplier=1.0)).eval()
    assert read(plain, [Site(1, "attn_out")])


class Odd(nn.Module):
    """A block that scales its input before it adds."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.inner, self.attention_type = block, "full_attention"
        self.other = nn.Identity()

    def forward(self, hidden_states, **kwargs):
        return self.inner(hidden_states, **kwargs) * 1.01


def test_a_block_that_does_something_else_is_refused():
    model = make_family("llama")
    model.model.layers[1] = Odd(model.model.layers[1])
    with pytest.raises(HintprobeError, match="Block 1 of LlamaForCausalLM could not be split into its parts"):
        block_parts(model, 1)
    assert read(model, [Site(1, "resid_post"), Site(0, "mlp_out")])


def test_overflow_on_the_probe_is_named():
    model = make_family("llama")
    model.model.layers[1].mlp.down_proj.weight.data.fill_(float("inf"))
    with pytest.raises(HintprobeError, match="not finite on a short probe"):
        block_parts(model, 1)


def test_lists_of_experts_are_not_taken_for_the_blocks():
    model = make_family("llama")
    for block in model.model.layers:
        block.mlp.experts = nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(LAYERS))
    assert decoder_blocks(model) is model.model.layers
