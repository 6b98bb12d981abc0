"""What a run would cost and whether it could carry its question, before it is started."""

from experiments.planning.plan import Assumptions, plan_run

__all__ = ["Assumptions", "plan_run"]
