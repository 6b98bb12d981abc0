"""Hinted questions as a task of Inspect (`inspect_ai`), for models behind an API; only `task` imports that library.

``inspect eval hintprobe/hinted --model openai/gpt-4o -T source=mmlu -T limit=100``, then ``hintprobe import LOG``.
"""
