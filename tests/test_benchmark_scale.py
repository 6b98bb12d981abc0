"""The benchmark of bookkeeping gives the figures that it names, and its slope is the exponent."""

import json
import math

from experiments.benchmarks import scale


def test_figures_of_small_sizes(capsys, monkeypatch):
    monkeypatch.setattr(scale, "LOOKED_UP", 50)
    monkeypatch.setattr(scale, "SHARD_ROWS", 100)
    scale.main(["--rows", "200,1000", "--records", "100,400", "--json"])
    found = json.loads(capsys.readouterr().out)
    named = {"store_open_seconds_1k", "lookup_microseconds_1k", "records_read_seconds_400"}
    assert set(found) == named | {"slope_store", "slope_records", "store", "records"}
    assert all(0 < found[name] < 60 for name in named)
    assert list(found["store"]) == ["200", "1000"]
    assert found["slope_store"] == scale.slope([200, 1000], [f["open_seconds"] for f in found["store"].values()])


def test_the_names_and_the_slope():
    assert [scale.short(n) for n in (1_000_000, 200_000, 10_000, 123)] == ["1m", "200k", "10k", "123"]
    assert math.isclose(scale.slope([10, 100, 1000], [1, 50, 10_000]), 2)
    assert math.isclose(scale.slope([10, 1000], [3, 300]), 1)
