"""Shapes stand over ``np.ndarray`` and ``Tensor`` alone: over an ``NDArray`` alias, numpy 2.5 refuses them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("activations", "probes", "experiments")
ALLOWED = {"np.ndarray", "Tensor", "torch.Tensor"}


def shaped(source: str) -> Iterator[tuple[int, str]]:
    """Line and first argument of every jaxtyping annotation, those inside string annotations included."""
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping"
        for alias in node.names
    }
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "jaxtyping"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "[" in node.value:
            try:
                inner = ast.parse(node.value.strip(), mode="eval")
            except (SyntaxError, ValueError):
                continue
            yield from ((node.lineno, of) for _, of in _in(inner, names, modules))
    yield from _in(tree, names, modules)


def _in(tree: ast.AST, names: set[str], modules: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            of = node.value
            named = isinstance(of, ast.Name) and of.id in names
            dotted = isinstance(of, ast.Attribute) and isinstance(of.value, ast.Name) and of.value.id in modules
            if named or dotted:
                yield node.lineno, ast.unparse(node.slice.elts[0])


def test_shapes_stand_over_plain_arrays_and_tensors():
    found = [
        (str(path.relative_to(ROOT)), line, of)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, of in shaped(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 200
    assert [where for where in found if where[2] not in ALLOWED] == []


@pytest.mark.parametrize(
    ("source", "of"),
    [
        ("from jaxtyping import Float\ndef f(x: Float[NDArray[np.float64], 'row']): ...", "NDArray[np.float64]"),
        ("from jaxtyping import Bool as B\nx: dict[str, B[Bools, 'row']]", "Bools"),
        ("import jaxtyping as j\nx = j.Int[Rows, '']", "Rows"),
        ("from jaxtyping import Float\nx: \"Float[Array, 'row']\"", "Array"),
    ],
)
def test_an_alias_is_seen(source, of):
    assert [found for _, found in shaped(source)] == [of]
