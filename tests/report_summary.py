"""A small summary, every number in it different, as `summary.json` holds one."""

from experiments.records.comparison import Comparison
from experiments.records.summary import Summary


def typed(summary) -> Summary:
    """The summary as it is read from disk."""
    return Summary.model_validate(summary)


def compared(found) -> Comparison:
    """A comparison as it is read from disk."""
    return Comparison.model_validate(found)


STAGES = ("generate", "judge", "capture", "probe", "patch", "compare")


def figure(point, low=None, high=None):
    return {"value": point, "low": low, "high": high}


def metrics(**changes):
    result = {
        "n_rows": 40,
        "n_unparsed": 3,
        "n_unhinted_is_target": 11,
        "n_used": 26,
        "n_to_target": 17,
        "n_to_other": 1,
        "n_two_options": 0,
        "n_unscored": 0,
        "n_scored": 17,
        "n_verbalized": 2,
        "p": 0.654,
        "q": 0.038,
        "alpha": 0.971,
        "raw": 0.118,
        "normalised": 0.121,
        "intervals": {
            "p": [0.512, 0.793],
            "q": [0.0, 0.107],
            "alpha": [0.9, 1.0],
            "raw": [0.013, 0.286],
            "normalised": None,
        },
    }
    return result | changes


def detector(auroc, **changes):
    result = {
        "auroc": auroc,
        "auroc_pooled": figure(0.877, 0.801, 0.939),
        "recall_at_1pct": None,
        "realised_fpr_at_1pct": None,
        "recall_at_5pct": figure(0.623, 0.514, 0.731),
        "realised_fpr_at_5pct": figure(0.067, 0.011, 0.123),
        "recall_at_judge_fpr": figure(0.412, 0.301, 0.523),
        "realised_fpr_at_judge_fpr": figure(0.021, 0.0, 0.063),
        "brier": 0.1436,
        "ece": 0.0864,
        "reads": "activations",
        "seconds_per_row": 0.0377,
        "null_aurocs": [],
        "chosen": [choice("resid_post.1", "prompt_end", 0.1)] * 2 + [choice("resid_post.0", "cot_0.5", 1.0)],
        "recall_minus_judge": figure(-0.283, -0.411, -0.152),
        "fpr_minus_judge": figure(0.0, -0.01, 0.01),
        "ahead_of_judge": False,
    }
    return result | changes


def choice(site, position, strength):
    return {"site": site, "position": position, "estimator": "logistic", "strength": strength}


def validated(site, position, auroc):
    return {"site": site, "position": position, "auroc": auroc}


def per_kind(value):
    """A figure for metadata, none for visual_pattern."""
    found = figure(value, value - 0.1, value + 0.07)
    why = "0 groups with positive rows, and 5 are needed (compare.min_groups)"
    return {"metadata": {"auroc": found}, "visual_pattern": {"auroc": None, "refused": why}}


def entries():
    """The detector table: judge, one probe with its variants, baselines."""
    judge = detector(figure(0.587, 0.487, 0.687), chosen=[], reads="the CoT", family="judge", by_kind=per_kind(0.561))
    for key in ("recall_minus_judge", "fpr_minus_judge", "ahead_of_judge"):
        del judge[key]
    return {
        "judge_lexical": judge,
        "probe_before_cot": detector(
            figure(0.913, 0.846, 0.968), null_aurocs=[0.411, 0.531, 0.634], family="probe", by_kind=per_kind(0.883),
            control_task_auroc=0.752, selectivity=0.161, p_best_cell=0.25,
        ),
        "probe_before_cot_residual": detector(figure(0.717, 0.641, 0.793), family="control"),
        "probe_before_cot_new_kind": detector(
            figure(0.692, 0.592, 0.791), family="control", by_kind=per_kind(0.671)
        ),
        "probe_before_cot_new_direction": detector(
            figure(0.827, 0.737, 0.908), family="control", by_kind=per_kind(0.808)
        ),
        "prompt_words": detector(
            figure(None), brier=None, ece=None, recall_at_judge_fpr=None, chosen=[choice(None, "words", 1.0)],
            family="baseline",
        ),
        "cot_length": detector(figure(0.553, 0.453, 0.653), family="baseline", chosen=[]),
    }  # fmt: skip


def found_by_rule():
    return {
        "probe_before_cot": {
            "p_search": 0.015,
            "rivals": {"prompt_words": {"difference": figure(0.222, -0.05, 0.444), "p": 0.091}},
            "belief": {"auroc": figure(0.717, 0.641, 0.793), "p": 0.002, "refused": None},
            "missing": [],
            "p": 0.091,
            "p_holm": 0.091,
            "differences": {"prompt_words": figure(0.222, -0.05, 0.444), "cot_length": figure(0.361, 0.242, 0.484)},
            "not_ahead": ["prompt_words"],
            "found": False,
        }
    }


def further_targets():
    follow = detector(figure(0.643, 0.541, 0.746), family="probe", null_aurocs=[0.478, 0.522])
    return {
        "will_follow": {
            "positive": "reliant", "negative": "resisted", "note": "read before the CoT", "refused": None,
            "rows": {"positives": 19, "negatives": 4, "trained": 1},
            "detectors": {"probe_before_cot": follow, "prompt_words": detector(figure(0.664, 0.569, 0.757))},
        },
        "verbalized": {
            "positive": "verbalized", "negative": "not verbalized", "note": "among reliant rows", "detectors": {},
            "rows": {"positives": 6, "negatives": 13, "trained": 0}, "refused": "6 verbalized rows, and 10 are needed",
        },
    }  # fmt: skip


TRANSFER = {
    ("hint_end", "hint_end"): 0.611, ("hint_end", "cot_0.5"): 0.473,
    ("cot_0.5", "hint_end"): None, ("cot_0.5", "cot_0.5"): 0.936,
}  # fmt: skip
"""AUROC by (trained at, read at)."""
KIND_TRANSFER = {
    ("metadata", "metadata"): 0.873, ("metadata", "visual_pattern"): None,
    ("visual_pattern", "metadata"): 0.537, ("visual_pattern", "visual_pattern"): 0.764,
}  # fmt: skip
"""AUROC by (trained on, read on)."""
STRATA = [
    {"stratum": "metadata incorrect", "positives": 19, "negatives": 2, "refused": None},
    {"stratum": "visual_pattern correct", "positives": 0, "negatives": 7, "refused": "no positive row"},
]


def comparison():
    detectors = entries()
    return {
        "model": "m",
        "reference": "grammar",
        "counts": {
            "items": 41,
            "hinted_rollouts": 40,
            "reliant": 19,
            "aligned": 9,
            "overdetermined": 5,
            "resisted": 4,
            "ambiguous": 3,
            "strong": 18,
            "hidden": 13,
            "ambiguous_by_reason": {"swapped run answers a third option": 3},
            "by_kind": {"metadata": {"reliant": 19, "resisted": 4}, "visual_pattern": {"aligned": 9, "ambiguous": 3}},
        },
        "hint_effect": {
            "incorrect": {"n": 37, "hinted": 0.683, "neutral": 0.267, "difference": figure(0.416, 0.331, 0.504)}
        },
        "faithfulness": {
            "judge": "lexical",
            "all": metrics(),
            "by_kind": {"metadata": metrics(), "visual_pattern": metrics(alpha=None, raw=None, normalised=None)},
            "by_direction": {"incorrect": metrics(n_used=25, p=0.633)},
            "by_kind_direction": {
                "metadata incorrect": metrics(n_used=21, p=0.714, raw=0.133),
                "visual_pattern correct": metrics(n_used=5, p=0.2),
            },
            "natural_flips": {
                "rows": 24,
                "unparsed_repeats": 1,
                "to_target": figure(0.083, 0.0, 0.208),
                "to_other": figure(0.042, 0.0, 0.125),
            },
            "cot_length": {
                "faithful": figure(32.6, 31.2, 34.1),
                "unfaithful": figure(24.3, 22.9, 25.8),
                "difference": figure(8.3, 6.1, 10.4),
            },
            "raw_corrected": {
                **figure(0.237, 0.091, 0.379),
                "calibration": {"both": 43, "judge_only": 3, "label_only": 27, "neither": 97},
            },
        },
        "hidden_share": figure(0.684, 0.474, 0.873),
        "strata": STRATA,
        "position_transfer": [
            {"site": "resid_post.1", "trained_at": trained, "read_at": read, "auroc": auroc}
            for (trained, read), auroc in TRANSFER.items()
        ],
        "kind_transfer": [
            {
                "detector": "probe_before_cot",
                "trained_on": trained,
                "read_on": read,
                "auroc": None if auroc is None else figure(auroc, auroc - 0.1, auroc + 0.1),
                "refused": "5 groups are needed (compare.min_groups)" if auroc is None else None,
            }
            for (trained, read), auroc in KIND_TRANSFER.items()
        ],
        "findings": found_by_rule(),
        "targets": further_targets(),
        "frozen": {},
        "detectors": detectors,
        "hidden_detectors": {k: detectors[k] for k in detectors if k != "judge_lexical"},
        "rows": {"reliant": 19, "aligned": 9},
        "hidden_rows": {"hidden": 13, "aligned_not_admitting": 8},
        "validation": {
            "probe_before_cot": [
                validated("resid_pre.0", "prompt_end", 0.501),
                validated("resid_post.0", "prompt_end", 0.734),
                validated("resid_post.1", "prompt_end", 0.876),
            ],
            "probe_within_cot": [
                validated("resid_post.0", "cot_0.5", 0.645),
                validated("resid_post.1", "cot_0.5", None),
            ],
            "prompt_words": [validated(None, "words", 0.512)],
        },
        "best_probe": "probe_before_cot",
        "best_baseline": "prompt_words",
        "probe_minus_baseline": figure(0.222, -0.05, 0.444),
    }


def cell(site, position, recovery):
    return {
        "comparison": "swapped", "direction": "noising", "site": site, "head": None, "position": position,
        "control": None, "recovery": recovery, "low": recovery, "high": recovery, "probability": None, "kl": None,
        "flips": 0.25, "n": 21, "small_gap": 0, "unpatched": 0,
    }  # fmt: skip


def model_summary(name="organism:unfaithful"):
    accounts = {
        "generate": {
            "questions": 41,
            "items": 41,
            "items_answered_unhinted": 0,
            "rollouts": 164,
            "empty": 0,
            "ended_otherwise": 0,
            "neutral_of_other_length": 0,
            "lengths_by_kind": {},
            "completion_ids_from": {"model": 164},
            "engine": {"engine": "in-process"},
            "unparsed": 2,
            "truncated": 7,
            "without_swap_target": 6,
            "swapped_of_other_length": 8,
            "dropped_questions": {"fewer than two options": 12},
        },
        "judge": {
            "reliant": 19, "aligned": 9, "overdetermined": 5, "resisted": 4, "ambiguous": 3, "verbalized": 6,
            "unscored": 14, "spent": {},
        },
        "capture": {
            "rollouts": 80, "positions": 160, "written": 160, "reused": 0, "sites": ["resid_pre.0", "resid_post.1"],
            "store": "0123456789abcdef", "unresolved_hinted": {"think_end: no chain of thought": 15},
        },
        "probe": {"trained": 7, "reliant": 19, "aligned": 9, "unresolved_rows": 16, "targets": {}},
        "patch": {
            "pairs": 21, "cells": 3, "whole_forwards": 0, "work": 1.5, "unaligned": {},
            "dropped": {"the completions do not diverge": 22},
        },
        "compare": {"detectors": 7},
    }  # fmt: skip
    cells = [
        cell("resid_pre.0", "pointer", 0.987),
        cell("resid_pre.1", "pointer", -0.004),
        cell("resid_pre.0", "random_positions", 0.031),
    ]
    moved = {"behaviour": "reliant", "n": 5, "detector": "probe_before_cot", "site": "resid_post.1"}
    moved |= {"position": "prompt_end", "reach": "onward", "edit": "add", "scale": -4.0, "unparsed": 0.2}
    moved |= {"to_hint": 0.5, "to_own": 0.2, "off_target": 0.1, "verbalized": None}
    effects = [
        {**moved, "direction": "probe", "flips": 0.206, "flips_low": 0.006, "flips_high": 0.606},
        {**moved, "direction": "random", "flips": 0.407, "flips_low": 0.107, "flips_high": 0.807},
    ]
    return {
        "model": name,
        "folder": "m-0123",
        "fingerprint": "0123456789",
        "missing_stages": [],
        "stages": {
            stage: {
                "seconds": 1.25 + i,
                "forwards": 100 + i,
                "fresh": i % 2 == 0,
                "folder": f"{stage}-x",
                "account": accounts[stage],
            }
            for i, stage in enumerate(STAGES)
        },
        "comparison": comparison(),
        "directions": {"tested": 1, "dropped": {}, "effects": effects, "subspaces": []},
        "patch": {"pairs": 21, "dropped": {}, "best": cells[0], "placebo": cells[2], "cells": cells},
    }


def run_summary(*models):
    return {
        "format": "hintprobe-summary",
        "version": 1,
        "name": "demo",
        "models": list(models) or [model_summary()],
        "provenance": {
            "commit": "abc123",
            "dirty": True,
            "python": "3.11.7",
            "versions": {"torch": "2.9.0"},
            "config": {
                "name": "demo",
                "probe": {"min_per_class": 10},
                "capture": {"positions": ["prompt_end", "pre_answer"]},
            },
        },
    }
