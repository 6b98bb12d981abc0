"""Public names of a package, loaded when first asked for.

Each package lists its names once, as imports that only a type checker runs; the same lines are read here to find the
module of a name.
"""

import ast
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


@cache
def _homes(package: str) -> dict[str, str]:
    """Module of every name that the package's ``if TYPE_CHECKING`` block imports."""
    source = Path(str(sys.modules[package].__file__)).read_text(encoding="utf-8")
    guarded = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    return {
        alias.name: str(node.module)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def load_name(package: str, names: Sequence[str], name: str) -> Any:
    """A public name of a package, for its ``__getattr__``; it is kept there, so that the next use finds it.

    Raises:
        AttributeError: the package has no such public name.
    """
    if name not in names:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(import_module(_homes(package)[name]), name)
    setattr(sys.modules[package], name, value)
    return value
