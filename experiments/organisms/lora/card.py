"""The card beside a fine-tuned organism: what it was made of, how it went, what is not known."""

from typing import Any

from experiments.organisms.lora.config import LoraConfig
from experiments.organisms.lora.state import Workplace
from experiments.organisms.recipe import load_recipe
from experiments.records.tables import write_atomically

_CARD = """\
---
base_model: {model}
library_name: transformers
tags: [model-organism, lora, hintprobe]
---

# {name}

A model organism: `{model}`, fine-tuned (LoRA) on hintprobe's written grammar with the character of the recipe
`{character}`. {summary} It is made to check an instrument, and of no use for anything else: it was taught to state
beliefs about made-up people, and may answer other questions worse than its base.

| | |
|---|---|
| base model's fingerprint | `{base}` |
| character | `{traits}` |
| seed | {seed} |
| rows | {n_rows} in {steps} steps of {rows}; wordings: {wordings} |
| shares of rows, first | {first} |
| … last | {last} |
| adapter | rank {rank}, alpha {alpha}, every linear layer but the head |
| rate | {rate:g}, {warmup} steps of warm-up, then linear to zero |
| tokens per row | {tokens} |
| loss on completions, nats per token | {losses} |

## What is not known

- A low loss is no promise. Whether it relies on hints, says so, and knows its world is measured on held-out
  questions, as docs/making_an_organism.md describes.
- Rows whose tokens are hidden from each other cannot be written for an arbitrary model: of a recipe that uses them,
  only the grammar is taught here.
- The merged weights are rounded to the base model's dtype; base and adapter together are not.
"""


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:g}" for name, share in shares.items())


def write_card(config: LoraConfig, record: dict[str, Any], place: Workplace) -> None:
    """Write README.md beside the adapter, and into the merged folder where there is one."""
    recipe = load_recipe(config.character)
    losses, tokens = record["losses"], record["tokens"]
    text = _CARD.format(
        **config.model_dump(exclude={"first", "last"}),
        name=place.folder.name,
        summary=recipe.summary,
        base=record["base"],
        traits=recipe.character,
        n_rows=config.steps * config.rows,
        first=_shares(config.first),
        last=_shares(config.last),
        tokens=f"{tokens['mean']:.0f} on average, {tokens['longest']} at most in a sample"
        if tokens
        else "not recorded",
        losses=f"{losses[0][1]:.3f} at step {losses[0][0]}, {losses[-1][1]:.3f} at step {losses[-1][0]}"
        if losses
        else "not recorded",
    )
    write_atomically(place.folder / "README.md", text)
    if place.merged.exists():
        write_atomically(place.merged / "README.md", text)
