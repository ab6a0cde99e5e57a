"""Which V a refinement hands on: the one that belongs to the policy that it seals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import deploy.host.refine as refine_module
from deploy.host.refine import refine, trainer_state_path
from policy.networks import ValueNetwork
from policy.trainer_state import load_trainer_state, unpack_module
from policy.uni_o4.value import ValueFit
from tests.deploy.host.conftest import improvement, tiny_refinement


def test_a_refinement_that_was_rejected_saves_the_value_of_the_logs(
    dataset: Path, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Not the one that was trained inside the model, along with policies that nobody took."""
    fits: list[ValueFit] = []

    def remembered(*given: Any, **named: Any) -> ValueFit:
        fits.append(fit_value(*given, **named))
        return fits[-1]

    fit_value = refine_module.fit_value
    monkeypatch.setattr(refine_module, "fit_value", remembered)
    out = tmp_path / "same.go1policy"
    result = refine(dataset, shipped, out, tiny_refinement(improvement=improvement(learning_rate=0.0)))
    assert not result.accepted
    state = load_trainer_state(trainer_state_path(out))
    saved = ValueNetwork(result.bundle.contract.observation_dim, state.record["value_hidden_dims"])
    unpack_module("value", saved, state.tensors)
    for mine, theirs in zip(saved.parameters(), fits[0].value.parameters(), strict=True):
        assert torch.equal(mine, theirs)
