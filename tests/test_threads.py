"""Processes that work side by side share the cores."""

import pytest
import torch

from experiments.config import Config
from experiments.run.model_run import ModelRun, Spent
from experiments.run.threads import limited_threads


@pytest.fixture
def eight():
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("n", "processes", "expected"), [(None, 1, 8), (None, 2, 4), (None, 3, 2), (None, 9, 1), (3, 2, 3), (3, 1, 3)]
)
def test_the_default_is_divided_and_what_is_asked_for_is_not(eight, n, processes, expected):
    with limited_threads(n, processes):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 8


@pytest.mark.parametrize(("models", "expected"), [(1, 8), (2, 4), (3, 2)])
def test_a_stage_leaves_cores_to_the_models_beside_it(eight, tmp_path, models, expected):
    """Three processes are allowed; there are never more than models."""
    names = [f"organism:{name}" for name in ("unfaithful", "blind", "dice")[:models]]
    run = ModelRun(Config.model_validate({"name": "t", "models": names, "cache": tmp_path, "processes": 3}), names[0])
    with run.measured(tmp_path / "stage", False, Spent()):
        assert torch.get_num_threads() == expected
