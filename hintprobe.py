"""hintprobe: did the model use a hint that its chain of thought does not admit to?

The one documented import. It loads the three packages lazily, and says so when another folder shadows one of them::

    import hintprobe
    model = hintprobe.load_model("Qwen/Qwen3-8B")
"""

import importlib
import sys
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_PACKAGES = ("activations", "probes", "experiments")


class ShadowedPackageError(ImportError):
    """One of hintprobe's packages was imported from somewhere else."""


def _package(name: str) -> Any:
    home = Path(__file__).resolve().parent
    module = importlib.import_module(name)
    files = [module.__file__] if module.__file__ else list(module.__path__)
    found = Path(files[0]).resolve()
    if home not in found.parents:
        raise ShadowedPackageError(
            f"hintprobe needs its own package {name!r} in {home}, and Python found another one at {found}. Rename that "
            "folder, or run from elsewhere."
        )
    return module


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # asked for by Python itself, such as __path__ by `from hintprobe import …`
        raise AttributeError(f"hintprobe has no {name!r}")
    if name in _PACKAGES:
        return _package(name)
    for package in _PACKAGES:
        module = _package(package)
        if name in getattr(module, "__all__", ()):
            return getattr(module, name)
    raise AttributeError(f"hintprobe has no {name!r}")


def __dir__() -> list[str]:
    return sorted({*_PACKAGES, *(n for p in _PACKAGES for n in _package(p).__all__)})


def main() -> None:
    """The command line, once it is clear that its packages are ours."""
    try:
        for name in _PACKAGES:
            _package(name)
    except ShadowedPackageError as error:
        sys.stderr.write(f"hintprobe: {error}\n")
        raise SystemExit(2) from error
    importlib.import_module("experiments.cli").main()


if __name__ == "__main__":  # python -m hintprobe
    main()
