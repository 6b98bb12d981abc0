"""The wheel holds all that the packages need, and works outside the checkout, where nothing else of it can be found."""

import json
import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from small_run import SMALL

ROOT = Path(__file__).parent.parent
PACKAGES = ("activations", "probes", "experiments")


def tracked() -> list[str]:
    """Files of the packages as git would take them, so that caches and builds of this checkout are not among them."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        if name.split("/")[0] in (*PACKAGES, "hintprobe.py", "pyproject.toml", "README.md", "LICENSE"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(source),
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def outside(wheel, tmp_path_factory):
    """Runs a command of a fresh environment, in a fresh folder; dependencies are taken from this environment."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home / "venv", with_pip=False)
    python = home / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-index", "--no-deps", str(wheel)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (packages,) = (home / "venv").glob("lib/*/site-packages")
    # Plain paths: the files in them that would put this checkout on the path are not read.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    env |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def run(*words, cwd=None, **more):
        (home / "work").mkdir(exist_ok=True)
        program = {"hintprobe": home / "venv" / "bin" / "hintprobe", "python": python}[words[0]]
        return subprocess.run(
            [str(program), *map(str, words[1:])], cwd=cwd or home / "work", env=env | more, capture_output=True,
            text=True, check=False, timeout=300,
        )  # fmt: skip

    run.folder = home / "work"
    return run


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {name for name in tracked() if name.split("/")[0] in PACKAGES} | {"hintprobe.py"}
    assert held == ours


def test_it_is_the_wheel_that_is_used(outside):
    done = outside("python", "-c", "import hintprobe, experiments; print(hintprobe.__file__, experiments.__file__)")
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stdout
    assert done.stdout.count("site-packages") == 2


def test_a_run_from_the_first_command_to_the_report(outside):
    done = outside("hintprobe", "--version")
    assert (done.returncode, done.stdout.strip()) == (0, "0.1.0"), done.stderr
    done = outside("hintprobe", "init", "organism:unfaithful", "--questions", "organism-world", "-o", "mine.yaml")
    assert done.returncode == 0, done.stderr
    # Written over in the same file: the shipped defaults would take minutes.
    written = yaml.safe_load((outside.folder / "mine.yaml").read_text())
    (outside.folder / "mine.yaml").write_text(yaml.safe_dump({**written, **SMALL}))
    done = outside("hintprobe", "run", "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert "Report: cache/runs/unfaithful/report.html" in done.stdout
    page = (outside.folder / "cache/runs/unfaithful/report.html").read_text()
    assert "<style>" in page
    assert "<script" in page
    done = outside("hintprobe", "report", "cache/runs/unfaithful", "--format", "md")
    assert "probe_within_cot" in done.stdout, done.stderr


def test_a_folder_that_holds_an_experiments_folder(outside, tmp_path):
    """The installed command does not look there, and Python's own switches do: our packages are found all the same.

    So are the shipped configurations, by name.
    """
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("")
    done = outside("hintprobe", "plan", "demo", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["name"] == "demo", done.stderr
    for shadowed in (
        outside("python", "-m", "hintprobe", "--version", cwd=tmp_path),
        outside("hintprobe", "--version", cwd=tmp_path, PYTHONPATH=str(tmp_path)),
    ):
        assert (shadowed.returncode, shadowed.stderr) == (0, "")
