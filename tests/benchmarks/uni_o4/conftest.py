"""The toy robot in the place of Gymnasium."""

from __future__ import annotations

import pytest
import torch

from benchmarks.uni_o4 import behavior_training, data, evaluate, online_rollouts
from tests.benchmarks.uni_o4.toy_robot import ToyEnvironment


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every environment that the benchmark makes is a toy."""
    torch.set_num_threads(1)
    for module in (behavior_training, data, evaluate, online_rollouts):
        monkeypatch.setattr(module, "make_environment", ToyEnvironment)
