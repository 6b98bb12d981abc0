"""Registries: names to things that are imported when asked for."""

import sys

import pytest

from activations.errors import HintprobeError
from activations.registry import Registry


def test_a_name_gives_its_thing_and_nothing_is_imported_before() -> None:
    sys.modules.pop("colorsys", None)
    registry: Registry[object] = Registry("colour", {"hue": "colorsys:rgb_to_hls"})
    assert "hue" in registry
    assert list(registry) == ["hue"]
    assert "colorsys" not in sys.modules
    thing = registry["hue"]
    assert thing is sys.modules["colorsys"].rgb_to_hls


def test_an_unknown_name_is_told_what_there_is_and_what_may_be_meant() -> None:
    registry: Registry[object] = Registry("backend", {"native": "a:b", "nnsight": "c:d"})
    with pytest.raises(HintprobeError, match=r"no backend 'nativ'\. Did you mean 'native'\? Known: native, nnsight"):
        registry["nativ"]
    with pytest.raises(HintprobeError, match=r"no backend 'zzz'\. Known"):
        registry.check("zzz")
    assert "zzz" not in registry


@pytest.mark.parametrize("path", ["module", "module:", ":name", "module:a.b"])
def test_a_wrong_path_is_refused_where_it_is_written(path: str) -> None:
    with pytest.raises(ValueError, match="module:attribute"):
        Registry("thing", {"x": path})


def test_a_name_is_never_taken_twice() -> None:
    registry: Registry[object] = Registry("thing", {"x": "a:b"})
    registry.add("x", "a:b")
    with pytest.raises(ValueError, match="registered already"):
        registry.add("x", "c:d")
