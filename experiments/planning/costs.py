"""Time, memory and disk of a run, from the model's shape and a card's data sheet: arithmetic, not a measurement."""

from dataclasses import dataclass

from experiments.planning.shapes import ModelShape

DTYPE_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
MATRIX_SHARE = 0.4
"""Share of a card's matrix rate that prefill and capture reach."""
DECODE_OVERHEAD = 2.0
"""Time of a decoding step over that of reading weights and cache once."""


@dataclass(frozen=True)
class Card:
    """A graphics card by its data sheet: dense 16-bit operations a second, bytes a second, bytes of memory."""

    flops: float
    bandwidth: float
    memory: float


CARDS = {
    "H200": Card(989e12, 4.8e12, 141e9),
    "H100": Card(989e12, 3.35e12, 80e9),
    "A100": Card(312e12, 2.04e12, 80e9),
    "L40S": Card(362e12, 0.864e12, 48e9),
    "RTX4090": Card(165e12, 1.01e12, 24e9),
}


@dataclass(frozen=True)
class Work:
    """How much there is to do.

    Attributes:
        prompts: distinct prompts to complete.
        records: rollouts to write; items of one question each have the unhinted one.
        prompt_tokens, completion_tokens: mean length of each.
        token_budget: padded tokens per batch.
        captured: rollouts to capture.
        entries: token positions to keep of all of them.
        sites: tensors kept at each position.
    """

    prompts: int
    records: int
    prompt_tokens: float
    completion_tokens: float
    token_budget: int
    captured: int
    entries: int
    sites: int

    @property
    def batch(self) -> int:
        """Completions sampled together."""
        return max(1, min(self.prompts, int(self.token_budget / (self.prompt_tokens + self.completion_tokens))))

    @property
    def row_tokens(self) -> float:
        """Tokens of a finished rollout."""
        return self.prompt_tokens + self.completion_tokens


def activation_bytes(work: Work, shape: ModelShape, n_bytes: int) -> int:
    """Size of what capture writes."""
    return work.entries * work.sites * shape.d_model * n_bytes


def record_bytes(work: Work) -> int:
    """Size of the rollouts' records: about 25 bytes a token (ids, text, margins)."""
    return int(25 * work.prompts * work.row_tokens)


def memory_bytes(work: Work, shape: ModelShape, n_bytes: int) -> int:
    """Weights, and the key-value cache of a full batch."""
    return int(n_bytes * (shape.params + work.batch * work.row_tokens * shape.kv_values))


def generate_seconds(work: Work, shape: ModelShape, card: Card, n_bytes: int) -> float:
    """Prefill by the matrix rate, decoding by the memory's bandwidth or the matrix rate, whichever is slower."""
    prefill = 2 * shape.active_params * work.prompts * work.prompt_tokens / (MATRIX_SHARE * card.flops)
    context = work.prompt_tokens + work.completion_tokens / 2
    read = n_bytes * (min(shape.params, shape.active_params * work.batch) + work.batch * context * shape.kv_values)
    step = max(read / card.bandwidth, 2 * shape.active_params * work.batch / (MATRIX_SHARE * card.flops))
    steps = work.prompts / work.batch * work.completion_tokens
    return prefill + DECODE_OVERHEAD * step * steps


def capture_seconds(work: Work, shape: ModelShape, card: Card) -> float:
    """One forward over every captured rollout."""
    return 2 * shape.active_params * work.captured * work.row_tokens / (MATRIX_SHARE * card.flops)
