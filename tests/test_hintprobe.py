"""The one documented import is lazy, complete, and says which folder shadows which."""

import subprocess
import sys
from pathlib import Path

import pytest

import hintprobe

ROOT = Path(__file__).parent.parent


def run(code, cwd):
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}) if {str(ROOT)!r} not in sys.path else None\n{code}"
    return subprocess.run([sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_import_is_lazy(tmp_path):
    done = run("import hintprobe, sys; assert 'torch' not in sys.modules", tmp_path)
    assert done.returncode == 0, done.stderr


def test_public_names_are_reached():
    assert callable(hintprobe.load_model)
    assert callable(hintprobe.nested_cv)
    assert hintprobe.experiments.__name__ == "experiments"


SHADOWS = (
    "import os\nfor name in ('activations', 'probes', 'experiments'): assert sys.modules[name].__file__.startswith(%r)"
)


@pytest.mark.parametrize("filled", [False, True])
def test_folders_of_our_names_do_not_stand_in_the_way(tmp_path, filled):
    """An empty one has been enough to keep the command from starting."""
    for name in ("activations", "probes", "experiments"):
        (tmp_path / name).mkdir()
        if filled:
            (tmp_path / name / "__init__.py").write_text("")
    code = "sys.path.insert(0, '.')\nimport hintprobe\nhintprobe.experiments, hintprobe.Part\n"
    done = run(code + SHADOWS % str(ROOT), tmp_path)
    assert done.returncode == 0, done.stderr
    done = run(
        "sys.path.insert(0, '.'); sys.argv = ['hintprobe', '--version']; import hintprobe; hintprobe.main()", tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_another_package_that_was_imported_first_is_named(tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("")
    code = "sys.path.insert(0, '.')\nimport experiments\nimport hintprobe\nhintprobe.load_model"
    done = run(code, tmp_path)
    assert done.returncode != 0
    assert "ShadowedPackageError" in done.stderr
    assert str(tmp_path / "experiments") in done.stderr


def test_an_unknown_name_is_an_attribute_error(tmp_path):
    done = run("import hintprobe; hintprobe.nothing", tmp_path)
    assert "AttributeError" in done.stderr
