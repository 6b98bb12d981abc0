"""Names of detectors as a reader meets them; records, configurations and data frames keep the short ones."""

import re

_PROBE = {
    "probe_before_cot": "probe before the CoT",
    "probe_within_cot": "probe within the CoT",
    "probe_after_cot": "probe after the CoT",
    "probe_selected": "probe, any position",
    "probe_unhinted_run": "probe on the unhinted run",
    "probe_unhinted_direction": "probe on the unhinted run × direction",
    "probe_first_layer": "probe on the first layer",
    "random_direction": "random direction",
    "prompt_words": "words of the prompt",
    "prompt_forest": "words of the prompt, forest",
    "cot_words": "words of the CoT",
    "cot_tfidf": "words of the CoT, tf-idf",
    "cot_masked": "words of the CoT, options masked",
    "cot_length": "length of the CoT",
    "direction": "direction of the hint",
    "hint_kind": "kind of the hint",
    "confidence": "unhinted confidence",
    "direction_x_confidence": "direction × unhinted confidence",
    "margin": "unhinted margin",
    "direction_x_margin": "direction × unhinted margin",
    "causal_neutral": "loss under the neutral prompt",
}
_VARIANT = {
    "_residual": "residualised",
    "_new_kind": "kind not seen in training",
    "_new_direction": "direction not seen in training",
    "_new_source": "source not seen in training",
}


def readable(name: str) -> str:
    """``probe_within_cot_new_kind`` as ``probe within the CoT, kind not seen in training``."""
    for ending, words in _VARIANT.items():
        if name.endswith(ending) and name.removesuffix(ending) in _PROBE:
            return f"{_PROBE[name.removesuffix(ending)]}, {words}"
    if name in _PROBE:
        return _PROBE[name]
    words = re.sub(r"^judge_", "judge ", name)
    return words if words != name else name.replace("_", " ")
