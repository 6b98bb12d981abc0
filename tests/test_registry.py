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


def test_a_backend_is_one_class_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from activations.backends import open_backend
    from activations.names import BACKENDS
    from experiments.config import CaptureConfig

    class Mine:
        def __init__(self, loaded: object) -> None:
            self.loaded = loaded

    with pytest.raises(HintprobeError, match="no backend 'mine'"):
        open_backend("mine", object())  # type: ignore[arg-type]
    monkeypatch.setattr(sys.modules[__name__], "Mine", Mine, raising=False)
    monkeypatch.setitem(BACKENDS._entries, "mine", f"{__name__}:Mine")
    assert isinstance(open_backend("mine", object()), Mine)  # type: ignore[arg-type]
    assert CaptureConfig(backend="mine").backend == "mine"
    with pytest.raises(ValueError, match="no backend"):
        CaptureConfig(backend="theirs")
