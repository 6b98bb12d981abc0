"""Reruns of a rollout with something changed: pairs to patch, redrawn completions, edited ones."""
