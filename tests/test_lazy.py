"""Public names are found where they live, once, and wrong ones are refused."""

import subprocess
import sys
from types import ModuleType

import pytest

import activations
import experiments
import probes
from activations.lazy import _homes


@pytest.mark.parametrize("package", [activations, probes, experiments], ids=lambda package: package.__name__)
def test_every_public_name_has_one_home(package):
    assert sorted(_homes(package.__name__)) == sorted(package.__all__)
    for name in package.__all__:
        assert not isinstance(getattr(package, name), ModuleType)


def test_a_function_is_not_hidden_by_a_module_of_its_name():
    code = (
        "import activations.capturing, activations.planner; from activations import capture; assert callable(capture)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'nobody'"):
        _ = activations.nobody
    with pytest.raises(ImportError):
        from activations import nobody  # noqa: F401
