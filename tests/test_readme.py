"""Everything shown in README and docs runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {
    page.name: blocks
    for page in PAGES
    if (blocks := re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
}
_RUN = """
import json, os, sys
for folder, code in json.load(sys.stdin):
    os.chdir(folder)
    exec(compile(code, folder, "exec"), {"__name__": "__main__"})
"""


def test_every_python_block_runs(tmp_path):
    """Each in a folder of its own where the shown paths exist, and with names of its own; libraries load once."""
    given = []
    for page, blocks in BLOCKS.items():
        for k, code in enumerate(blocks):
            folder = tmp_path / f"{page}, block {k}"
            (folder / "experiments").mkdir(parents=True)
            (folder / "experiments" / "organisms").symlink_to(ROOT / "experiments" / "organisms")
            given.append((str(folder), code))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _RUN]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_shows_a_ten_line_use():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_the_commands_shown_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert f"\n{target}:" in makefile
    configs = set(re.findall(r"experiments/configs/\w+\.yaml", text))
    assert configs
    assert all((ROOT / config).exists() for config in configs)


def test_the_tree_shown_is_the_tree():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"## What is where[^\n]*\n\n```\n(.*?)```", text, re.DOTALL).group(1)
    top = ""
    for line in tree.splitlines():
        name = line.split()[0]
        if not name.endswith("/"):
            continue
        top = name if not line.startswith(" ") else top
        path = ROOT / (name if not line.startswith(" ") else top + name)
        assert path.is_dir(), path


def test_every_folder_of_the_packages_is_in_the_tree():
    text = (ROOT / "docs" / "structure.md").read_text(encoding="utf-8")
    tree = re.search(r"```\n(.*?)```", text, re.DOTALL).group(1)
    shown, top = set(), ""
    for line in tree.splitlines():
        name = line.split()[0]
        top = name if not line.startswith(" ") else top
        shown.add(name if not line.startswith(" ") else top + name)
    for package in ("activations", "probes", "experiments"):
        for folder in (path for path in (ROOT / package).iterdir() if path.is_dir() and not path.name.startswith("__")):
            if any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*")):
                assert f"{package}/{folder.name}/" in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
