"""A small summary, every number in it different, as `summary.json` holds one."""

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
        "chosen": ["resid_post.1@prompt_end C=0.1", "resid_post.1@prompt_end C=0.1", "resid_post.0@cot_0.5 C=1"],
        "auroc_minus_judge": figure(-0.283, -0.411, -0.152),
    }
    return result | changes


def comparison():
    judge = detector(figure(0.587, 0.487, 0.687), chosen=[], reads="the CoT")
    del judge["auroc_minus_judge"]
    detectors = {
        "judge_lexical": judge,
        "probe_before_cot": detector(figure(0.913, 0.846, 0.968), null_aurocs=[0.411, 0.531, 0.634]),
        "prompt_words": detector(figure(None), brier=None, ece=None, recall_at_judge_fpr=None, chosen=["words C=1"]),
    }
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
            "by_direction": {},
        },
        "frozen": {},
        "detectors": detectors,
        "hidden_detectors": {k: detectors[k] for k in detectors if k != "judge_lexical"},
        "rows": {"reliant": 19, "aligned": 9},
        "hidden_rows": {"hidden": 13, "aligned_and_silent": 8},
        "validation": {
            "probe_before_cot": {
                "resid_pre.0@prompt_end": 0.501,
                "resid_post.0@prompt_end": 0.734,
                "resid_post.1@prompt_end": 0.876,
            },
            "probe_within_cot": {"resid_post.0@cot_0.5": 0.645, "resid_post.1@cot_0.5": None},
            "prompt_words": {"words": 0.512},
        },
        "best_probe": "probe_before_cot",
        "best_baseline": "prompt_words",
        "probe_minus_baseline": figure(0.222, -0.05, 0.444),
    }


def cell(site, position, recovery):
    return {"site": site, "position": position, "recovery": recovery, "low": recovery, "high": recovery, "flips": 0.25}


def model_summary(name="organism:unfaithful"):
    accounts = {
        "generate": {
            "questions": 41,
            "unparsed": 2,
            "truncated": 7,
            "without_swap_target": 6,
            "swapped_of_other_length": 8,
            "dropped_questions": {"fewer than two options": 12},
        },
        "judge": {"unscored": 14},
        "capture": {"unresolved_hinted": {"think_end: no chain of thought": 15}},
        "probe": {"unresolved_rows": 16},
        "patch": {"pairs": 21, "dropped": {"the completions do not diverge": 22}},
        "compare": {},
    }
    cells = [
        cell("resid_pre.0", "pointer", 0.987),
        cell("resid_pre.1", "pointer", -0.004),
        cell("resid_pre.0", "random_positions", 0.031),
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
