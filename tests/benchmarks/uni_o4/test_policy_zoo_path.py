"""The zoo's way through the learned world ends with its last iteration, not where a method would have stopped."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.uni_o4 import policy_zoo
from benchmarks.uni_o4.ours import OurSettings
from benchmarks.uni_o4.policy_zoo import ZOO_REPLACES, ZooSettings, make_zoo
from policy.uni_o4.offline import EnsembleSettings


class Asked(Exception):
    """The settings were seen."""


def test_nothing_ends_the_path_early(monkeypatch: pytest.MonkeyPatch):
    seen: list[EnsembleSettings] = []

    def improve(*given: Any) -> None:
        seen.extend(each for each in given if isinstance(each, EnsembleSettings))
        raise Asked

    monkeypatch.setattr(policy_zoo, "improve_in_ensemble", improve)
    ready: Any = SimpleNamespace(
        clones=SimpleNamespace(members=(), best=None), world=object(), transitions=None, scale=None
    )
    nobody: Any = None
    settings = ZooSettings(perturbations=(), path_iterations=30, path_stride=3)
    with pytest.raises(Asked):
        make_zoo(ready, nobody, nobody, OurSettings(), settings, torch.Generator())
    (used,) = seen
    assert (used.iterations, used.patience, used.kl_budget) == (30, 30, math.inf)
    changed = {name for name in vars(used) if getattr(used, name) != getattr(OurSettings().improvement, name)}
    assert changed <= set(ZOO_REPLACES["improvement"])
