"""Edits do exactly what they say, teacher-forced and while generating, and leave nothing behind."""

import numpy as np
import pytest
import torch
from conftest import ARCHITECTURES, WIDTH, Tiny, some_rows
from families import make_family

from activations import (
    Add,
    Decoding,
    HintprobeError,
    Knockout,
    LoadedModel,
    Mean,
    ProjectOut,
    Replace,
    Site,
    Zero,
    capture_batch,
    editing,
    generate,
    onwards,
    visiting,
)
from activations.batching import pad_left

POST = Site(1, "resid_post")


class Pad:
    pad_token_id = 0
    eos_token_id = 1


def run(loaded: LoadedModel, rows, edits=(), site: Site = POST) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits of every real token, and the states that leave a site."""
    batch = pad_left(rows, loaded.tokenizer.pad_token_id, loaded.device)
    seen = []
    with torch.no_grad(), editing(loaded, batch, edits), visiting(loaded.model, {site: seen.append}):
        logits = loaded.model(
            input_ids=batch.ids, attention_mask=batch.mask.long(), position_ids=batch.position_ids
        ).logits
    unpad = [slice(offset, None) for offset in batch.offset.tolist()]
    return [line[cut] for line, cut in zip(logits, unpad, strict=True)], [
        line[cut] for line, cut in zip(seen[0], unpad, strict=True)
    ]


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def rows(tiny: Tiny):
    return some_rows(tiny("llama"), (9, 6))


def test_each_row_gets_its_own_edit_at_its_own_positions(tiny: Tiny, rows):
    loaded = tiny("llama")
    _, clean = run(loaded, rows)
    direction = vectors(2)
    _, added = run(loaded, rows, [Add(POST, [(2, 4), (5,)], direction=direction, scale=(3.0, -2.0))])
    for row, chosen, scale in ((0, (2, 4), 3.0), (1, (5,), -2.0)):
        expected = clean[row].clone()
        expected[list(chosen)] += scale * direction[row]
        torch.testing.assert_close(added[row], expected, atol=1e-5, rtol=1e-5)


def test_what_each_edit_puts_there(tiny: Tiny, rows):
    loaded = tiny("llama")
    _, clean = run(loaded, rows)
    where, vector = [(3,), range(0, 2)], vectors(1)[0]
    values = torch.randn(2, 2, WIDTH)
    _, out = run(loaded, rows, [ProjectOut(POST, where, direction=5 * vector)])
    assert (out[0][3] @ vector).abs() < 1e-4 * vector.norm() * clean[0][3].norm()
    unit = vector / vector.norm()
    torch.testing.assert_close(out[0][3], clean[0][3] - (clean[0][3] @ unit) * unit, atol=1e-4, rtol=1e-4)
    _, zero = run(loaded, rows, [Zero(POST, where)])
    assert not zero[0][3].any()
    assert not zero[1][:2].any()
    _, mean = run(loaded, rows, [Mean(POST, where, mean=vector)])
    torch.testing.assert_close(mean[1][:2], vector.expand(2, -1))
    _, replaced = run(loaded, rows, [Replace(POST, where, values=values)])
    torch.testing.assert_close(replaced[0][3], values[0, 0])
    torch.testing.assert_close(replaced[1][:2], values[1])
    for changed in (out, zero, mean, replaced):
        kept = torch.arange(9) != 3
        torch.testing.assert_close(changed[0][kept], clean[0][kept])
        torch.testing.assert_close(changed[1][2:], clean[1][2:])


def test_edits_at_one_site_follow_one_another(tiny: Tiny, rows):
    loaded = tiny("llama")
    where, vector = [(3,), (1,)], vectors(1)[0]
    add, zero = Add(POST, where, direction=vector), Zero(POST, where)
    _, first = run(loaded, rows, [add, zero])
    _, last = run(loaded, rows, [zero, add])
    assert not first[0][3].any()
    torch.testing.assert_close(last[0][3], vector)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_own_states_change_nothing_and_others_do(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    rows = some_rows(loaded, (9, 6))
    clean, _ = run(loaded, rows)
    for site in (Site(0, "resid_pre"), Site(2, "resid_pre"), Site(3, "resid_post")):
        where = [(0, 4), (3, 5)]
        own = capture_batch(loaded, rows, where, [site])[site]
        same, _ = run(loaded, rows, [Replace(site, where, values=own)])
        other, _ = run(loaded, rows, [Replace(site, where, values=own.flip(-1))])
        for row in range(2):
            assert torch.equal(same[row], clean[row])
            assert (other[row] - clean[row]).abs().max() > 1e-2


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_knocked_out_keys_have_no_influence_on_those_queries_alone(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    row, other = some_rows(loaded, (9, 9))
    swapped = (*row[:3], other[3], *row[4:])
    cut = Knockout([range(4, 9)] * 2, [(3,)] * 2)
    (a, b), _ = run(loaded, [row, swapped], [cut])
    torch.testing.assert_close(a[4:], b[4:], atol=1e-4, rtol=1e-4)
    (c, d), _ = run(loaded, [row, swapped], [Knockout([(8,)] * 2, [(3,)] * 2)])
    assert (c[8] - d[8]).abs().max() > 1e-3, "tokens between still carry it"
    assert (c[5] - d[5]).abs().max() > 1e-3
    (clean, _), _ = run(loaded, [row, swapped])
    torch.testing.assert_close(c[:8], clean[:8], atol=1e-4, rtol=1e-4)


def test_knockout_in_chosen_layers(tiny: Tiny):
    """With the first block whole, the token is read there; all blocks but the last is not all blocks."""
    loaded = tiny("llama")
    row, other = some_rows(loaded, (9, 9))
    swapped = (*row[:3], other[3], *row[4:])
    both = [row, swapped]

    def gap(layers):
        (a, b), _ = run(loaded, both, [Knockout.hiding([(3,), (3,)], layers)])
        return float((a[8] - b[8]).abs().max())

    assert gap(None) < 1e-4
    assert gap((0, 1, 2, 3)) < 1e-4
    assert gap((1, 2, 3)) > 1e-3
    assert gap((0, 1, 2)) > 1e-3


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_generation_under_edits_equals_whole_forwards_under_the_same(tiny: Tiny, arch: str):
    """No cache, no padding: after each token, the sequence so far is run anew under the edits."""
    loaded = tiny(arch)
    rows = some_rows(loaded, (9, 14, 6))
    direction = vectors(3) * 0.5

    def edits(chosen):
        pick = list(chosen)
        return [
            Add(Site(1, "resid_pre"), [onwards([2, 14, 0][k]) for k in pick], direction=direction[pick]),
            Replace(Site(2, "resid_pre"), [[(1,), (3,), (0,)][k] for k in pick], values=direction[pick, None]),
            Knockout([onwards(len(rows[k])) for k in pick], [[(4,), (2, 3), (1,)][k] for k in pick], (1, 2)),
        ]

    found = generate(loaded, rows, Decoding(max_new_tokens=7, token_budget=45), edits=edits(range(3)))
    plain = generate(loaded, rows, Decoding(max_new_tokens=7))
    for k, row in enumerate(rows):
        ids = list(row)
        for token, margin in zip(found[k].ids, found[k].margins, strict=True):
            chosen = edits([k])
            if len(ids) <= len(row):
                chosen = [e for e in chosen if not isinstance(e, Knockout)]
                chosen = [e for e in chosen if not isinstance(e, Add) or e.positions[0].start < len(ids)]
            top = run(loaded, [tuple(ids)], chosen)[0][0][-1].topk(2)
            assert int(top.indices[0]) == token
            assert margin == pytest.approx(float(top.values[0] - top.values[1]), abs=2e-3)
            ids.append(token)
        assert found[k].margins != pytest.approx(plain[k].margins, abs=1e-2)


def test_nothing_stays(tiny: Tiny, rows):
    loaded = tiny("llama")
    clean, _ = run(loaded, rows)
    edits = [Zero(POST, [(0,), (0,)]), Knockout.hiding([(1,), (1,)])]
    with pytest.raises(RuntimeError, match="inside"), editing(loaded, pad_left(rows, 0, loaded.device), edits):
        raise RuntimeError("inside")
    again, _ = run(loaded, rows)
    assert all(torch.equal(a, b) for a, b in zip(clean, again, strict=True))
    assert not any(
        hook.__module__.startswith("activations")
        for module in loaded.model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda: Zero(POST, [(9,), (0,)]), "row 0, which has 9 tokens"),
        (lambda: Zero(POST, [(-1,), (0,)]), "row 0"),
        (lambda: Zero(POST, [range(2, 12), ()]), "onwards"),
        (lambda: Zero(POST, [(0,)]), "positions for 1 rows, and 2"),
        (lambda: Zero(POST, [(), ()]), "never fire"),
        (lambda: Zero(POST, [onwards(9), onwards(6)]), "never fired"),
        (lambda: Zero(Site(7, "resid_pre"), [(1,), (1,)]), "blocks 0 to 3"),
        (lambda: Zero(POST, [(1,), (1,)], head=1), "only head_z has heads"),
        (lambda: Knockout([(1,), (1,)], [(3,), (4,)], (9,)), "blocks 0 to 3"),
        (lambda: Knockout([onwards(9), onwards(6)], [(3,), (4,)]), "never fired"),
        (lambda: Add(POST, [(1,), (1,)], direction=torch.ones(5)), "width 5"),
        (lambda: Add(POST, [(1,), (1,)], direction=torch.ones(3, WIDTH)), "2 rows, width"),
        (lambda: Add(POST, [(1,), (1,)], direction=torch.full((WIDTH,), torch.nan)), "not finite"),
        (lambda: ProjectOut(POST, [(1,), (1,)], direction=torch.zeros(WIDTH)), "length zero"),
        (lambda: Replace(POST, [(1, 2), (1,)], values=torch.zeros(2, 1, WIDTH)), r"\[2, 2, width\]"),
    ],
)
def test_what_does_not_fit_is_refused(tiny: Tiny, rows, edit, message: str):
    with pytest.raises(HintprobeError, match=message):
        run(tiny("llama"), rows, [edit()])


def test_numbers_that_overflow_end_a_generation(tiny: Tiny, rows):
    huge = Add(POST, [onwards(0)] * 2, direction=torch.full((WIDTH,), 3e38), scale=10)
    with pytest.raises(HintprobeError, match="not finite"):
        generate(tiny("llama"), rows, Decoding(max_new_tokens=2), edits=[huge])


def test_an_edit_that_no_generated_token_reached_is_refused(tiny: Tiny, rows):
    late = Zero(POST, [onwards(30)] * 2)
    with pytest.raises(HintprobeError, match="never fired"):
        generate(tiny("llama"), rows, Decoding(max_new_tokens=2), edits=[late])


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3", "neox", "qwen3_moe"])
def test_knockout_keeps_a_familys_own_mask(name: str):
    """Windows of 4 tokens stay: with the keys they leave cut as well, only the token itself is seen in such a block."""
    loaded = LoadedModel(make_family(name), Pad(), name, name, name)  # type: ignore[arg-type]
    row = (5, 9, 33, 2, 71, 14, 8, 60, 44)
    other = (*row[:2], 3, *row[3:])
    rows, last = [row, other], len(row) - 1

    def logits(edits):
        return [line[last] for line in run(loaded, rows, edits)[0]]

    clean, swapped = logits([])
    assert (clean - swapped).abs().max() > 1e-3
    (a, b) = logits([Knockout.hiding([(2,), (2,)])])
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    if name == "mistral":
        # Every block looks back 3 tokens, so in one block alone the last token never saw token 2.
        (c, _) = logits([Knockout([(last,)] * 2, [(2,)] * 2)])
        torch.testing.assert_close(c, clean, atol=1e-5, rtol=1e-5)
    generated = generate(loaded, [row[:6]], Decoding(max_new_tokens=8), edits=[Knockout.hiding([(2,)])])
    unseen = generate(loaded, [other[:6]], Decoding(max_new_tokens=8), edits=[Knockout.hiding([(2,)])])
    assert generated[0].margins == pytest.approx(unseen[0].margins, abs=1e-3)
    assert generated[0].ids == unseen[0].ids


def test_an_edit_of_one_head_changes_that_head_alone():
    loaded = LoadedModel(make_family("llama"), Pad(), "m", "m", "m")  # type: ignore[arg-type]
    site, rows = Site(1, "head_z"), [(5, 9, 33, 2, 71, 14, 8)]
    _, clean = run(loaded, rows, [], site)
    _, edited = run(loaded, rows, [Zero(site, [(3,)], 2)], site)
    by_head = [states[0].unflatten(-1, (4, -1)) for states in (clean, edited)]
    assert not by_head[1][3, 2].any()
    changed = (by_head[0] != by_head[1]).any(-1)
    assert changed.nonzero().tolist() == [[3, 2]]
    with pytest.raises(HintprobeError, match="heads 0 to 3"):
        run(loaded, rows, [Zero(site, [(3,)], 4)])


def test_a_probes_numpy_direction_is_taken():
    direction = np.arange(1.0, 5.0)
    edit = ProjectOut(Site(0, "resid_pre"), [[0]], direction=direction)
    states = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    left = edit.changed(states, torch.tensor([0]), torch.tensor([0]))
    assert abs(float(left[0].double() @ torch.from_numpy(direction))) < 1e-5
    with pytest.raises(HintprobeError, match="not finite"):
        ProjectOut(Site(0, "resid_pre"), [[0]], direction=np.array([np.nan, 1.0]))
