"""Has anything been left on a model?"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from activations.check.report import Finding

_REGISTRIES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True)
class Traces:
    """Hooks and replaced methods of every module, at one time."""

    models: tuple[nn.Module, ...]
    seen: dict[tuple[int, str], tuple[Any, ...]]

    @classmethod
    def of(cls, *models: nn.Module) -> "Traces":
        """Look at models as they are now."""
        return cls(models, _look(models))

    def finding(self, same_logits: bool) -> Finding:
        """Compare with how they are by now."""
        now = _look(self.models)
        changed = sorted({name for (_, name), _ in self.seen.items() ^ now.items()})
        where = f"hooks or methods of {', '.join(changed[:3])} changed" if changed else ""
        if not same_logits:
            where = f"{where}; the logits changed" if where else "the logits changed"
        return Finding("no hook is left behind", not changed and same_logits, where=where)


def _look(models: tuple[nn.Module, ...]) -> dict[tuple[int, str], tuple[Any, ...]]:
    return {
        (k, name or "the model"): (
            *(tuple(getattr(module, registry)) for registry in _REGISTRIES),
            id(module.__dict__.get("forward")),
        )
        for k, model in enumerate(models)
        for name, module in model.named_modules()
    }
