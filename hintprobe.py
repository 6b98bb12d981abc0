"""hintprobe: did the model use a hint that its chain of thought does not admit to?

The one documented import. It loads the three packages lazily, from beside this file, whatever folders of their names
lie in the working directory or on the path; where another one was imported before, it says so::

    import hintprobe
    model = hintprobe.load_model("Qwen/Qwen3-8B")
"""

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_HOME = Path(__file__).resolve().parent
_PACKAGES = ("activations", "probes", "experiments")


class ShadowedPackageError(ImportError):
    """One of hintprobe's packages was imported from somewhere else."""


class _Beside(MetaPathFinder):
    """Finds our packages beside this file, ahead of every folder on the path."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(_HOME)]) if name in _PACKAGES else None


def _package(name: str) -> Any:
    """One of our packages; all three are then loaded, so that none of them finds another in a stranger's place."""
    if not all(_is_ours(package) for package in _PACKAGES):
        finder = _Beside()
        sys.meta_path.insert(0, finder)
        try:
            for package in _PACKAGES:
                importlib.import_module(package)
        finally:
            sys.meta_path.remove(finder)
    for package in _PACKAGES:
        if not _is_ours(package):
            raise ShadowedPackageError(
                f"hintprobe needs its own package {package!r} in {_HOME}, and another one was imported before it, from "
                f"{_found(package)}. Import hintprobe first, or rename that folder."
            )
    return sys.modules[name]


def _is_ours(package: str) -> bool:
    return package in sys.modules and _HOME in _found(package).parents


def _found(package: str) -> Path:
    module = sys.modules[package]
    files = [module.__file__] if module.__file__ else list(module.__path__)
    return Path(files[0]).resolve()


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # asked for by Python itself, such as __path__ by `from hintprobe import …`
        raise AttributeError(f"hintprobe has no {name!r}")
    if name in _PACKAGES:
        return _package(name)
    if name == "hinted":  # Inspect's entry point; an extra, so it is no public name of a package
        _package("experiments")
        return importlib.import_module("experiments.inspecting.task").hinted
    for package in reversed(_PACKAGES):  # the short way in Python stands before what it is made of
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
