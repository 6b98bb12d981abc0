"""A long chain of thought is patched within a stated limit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, torch
from transformers import LlamaConfig, LlamaForCausalLM
from activations import LoadedModel, Site
from probes.patching import PatchPair, patch_pairs

D, LAYERS, TOKENS, KV = 128, 8, 4096, 64
torch.set_num_threads(1)
torch.manual_seed(0)
shape = LlamaConfig(hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=2, num_key_value_heads=1,
                    intermediate_size=256, vocab_size=512, max_position_embeddings=TOKENS)
class Pad:
    pad_token_id = 0
model = LlamaForCausalLM(shape).eval().requires_grad_(False)
loaded = LoadedModel(model, Pad(), "m", "m", "m")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
base = torch.randint(5, 500, (TOKENS,)).tolist()
source = [*base[:2000], (base[2000] + 7) % 500, *base[2001:]]
with torch.no_grad():
    model.base_model(torch.tensor([base]))
before = peak()
positions = {"hint": (2000,), "after": (2040,), "late": (4000,), "end": (TOKENS - 1,)}
pair = PatchPair(tuple(base), tuple(source), 3, 4, positions, "g")
effects = patch_pairs(loaded, [pair], [Site(k, "resid_pre") for k in range(LAYERS)])
assert effects.account.whole == 0
kept = 2 * LAYERS * TOKENS * (D + 2 * KV) * 4 / 2**20
print(peak() - before, kept)
"""


@pytest.mark.slow
def test_a_chain_of_thought_of_4096_tokens_on_eight_blocks():
    """Two kept runs (residuals, keys, values) and 256 MB to work in; a T × T pattern of one head would be 64 MB."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=600,
    )
    grown, kept = map(float, done.stdout.split())
    assert grown < kept + 256
