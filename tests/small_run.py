"""A run of the organism `unfaithful` that takes seconds: every stage, nothing to be concluded."""

from typing import Any

SMALL: dict[str, Any] = {
    "models": ["organism:unfaithful"],
    "threads": 1,
    "questions": {"source": "organism-world", "limit": 96},
    "generate": {"max_new_tokens": 64},
    "capture": {"positions": ["prompt_end", "cot_0.5"]},
    "probe": {
        "outer_folds": 2, "inner_folds": 2, "c_grid": [0.03], "permutations": 0, "control_tasks": 0, "transfer": False,
        "early_answering": [0.0], "targets": ["reliant"], "along_cot": 0, "min_per_class": 4,
    },
    "patch": {"pairs": 2, "controls": ["random_positions"]},
    "mediate": {"items": 1, "draws": 1, "cut": ["pointer"]},
    "directions": {"detectors": []},
    "compare": {"bootstrap": 100},
}  # fmt: skip
