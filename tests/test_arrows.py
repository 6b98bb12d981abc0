"""Arrows go one way: experiments → probes → activations; and the check of that is checked."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "activations": {"activations"},
    "probes": {"probes", "activations"},
    "experiments": {"experiments", "probes", "activations"},
}


def imported_packages(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found & set(ALLOWED)


def wrong_arrows(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)} imports {package}"
        for owner, allowed in ALLOWED.items()
        for path in sorted((root / owner).rglob("*.py"))
        for package in sorted(imported_packages(path.read_text(encoding="utf-8")) - allowed)
    ]


def test_arrows_go_one_way():
    assert wrong_arrows(ROOT) == []


def test_the_arrow_test_sees_wrong_arrows(tmp_path):
    for owner in ALLOWED:
        (tmp_path / owner).mkdir()
    (tmp_path / "activations" / "bad.py").write_text("def f():\n    from experiments.hints import HINTS\n")
    (tmp_path / "probes" / "bad.py").write_text("import experiments.config\n")
    (tmp_path / "probes" / "good.py").write_text("from activations import Site\nimport numpy\n")
    assert wrong_arrows(tmp_path) == [
        "activations/bad.py imports experiments",
        "probes/bad.py imports experiments",
    ]


def test_the_whole_of_each_package_is_read():
    n_files = sum(len(list((ROOT / owner).rglob("*.py"))) for owner in ALLOWED)
    assert n_files > 40


def test_only_one_module_registers_hooks():
    users = [
        str(path.relative_to(ROOT))
        for owner in ALLOWED
        for path in (ROOT / owner).rglob("*.py")
        if "register_forward" in path.read_text(encoding="utf-8")
    ]
    assert users == ["activations/hooks.py"]


def test_no_prints_outside_the_command_line():
    printing = [
        str(path.relative_to(ROOT))
        for owner in ALLOWED
        for path in (ROOT / owner).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def modules_of(package: Path) -> dict[str, Path]:
    """Every module below a package's folder by its dotted name; packages by that of their ``__init__``."""
    names = {path: ".".join(path.relative_to(package.parent).with_suffix("").parts) for path in package.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def imported_modules(path: Path, known: Mapping[str, Path]) -> set[str]:
    """Known modules that a file imports, inside functions too; what only a type checker reads does not count."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in known else node.module for full in inner.values()}
        todo += ast.iter_child_nodes(node)
    return found & set(known)


def circles(package: Path) -> list[str]:
    """Modules of a package from which imports lead back to themselves."""
    known = modules_of(package)
    arrows = {name: imported_modules(path, known) for name, path in known.items()}

    def reached(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            new = arrows[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    return sorted(name for name in known if name in reached(name))


@pytest.mark.parametrize("package", ["activations", "probes"])
def test_no_circle_inside_a_package(package):
    assert circles(ROOT / package) == []


def test_the_circle_test_sees_circles(tmp_path):
    package = tmp_path / "activations"
    package.mkdir()
    files = {
        "a": "from activations import b\n",
        "b": "def f():\n    from activations.c import x\n",
        "c": "import activations.a\n",
        "d": "from activations.a import y\nif TYPE_CHECKING:\n    from activations.e import z\n",
        "e": "import activations.d\n",
    }
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    assert circles(package) == ["activations.a", "activations.b", "activations.c"]
