"""Training runs: reinforcement learning on hints, and what each checkpoint does, says and shows to a probe."""
