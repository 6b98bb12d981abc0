"""What a run would cost and whether it could carry its question, before it runs. `plan.plan_run` is the way in."""
