"""What a refinement says of V and does with it, where nothing better than the start was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import deploy.host.refine as refine_module
from deploy.host.refine import Refinement, refine
from deploy.host.refine_outputs import report_path, trainer_state_path
from offline_data.dataset import Dataset
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.networks import ValueNetwork
from policy.trainer_state import load_trainer_state, unpack_module
from policy.transitions import from_columns
from policy.uni_o4.behavior_check import logged_return
from policy.uni_o4.value import RewardScale, ValueFit
from tests.deploy.host.conftest import EVALUATION, improvement, tiny_refinement


@pytest.fixture(scope="module")
def rejected(dataset: Path, shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Refinement, Any]:
    """A refinement whose policies never move, and the V that it fitted to the logs."""
    fits: list[ValueFit] = []

    def remembered(*given: Any, **named: Any) -> ValueFit:
        fits.append(fit_value(*given, **named))
        return fits[-1]

    fit_value = refine_module.fit_value
    out = tmp_path_factory.mktemp("rejected") / "same.go1policy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine_module, "fit_value", remembered)
        result = refine(dataset, shipped, out, tiny_refinement(improvement=improvement(learning_rate=0.0)))
    return out, result, fits[0].value


def test_a_refinement_that_was_rejected_saves_the_value_of_the_logs(rejected: tuple[Path, Refinement, Any]):
    """Not the one that was trained inside the model, along with policies that nobody took."""
    out, result, fitted = rejected
    assert not result.accepted
    state = load_trainer_state(trainer_state_path(out))
    saved = ValueNetwork(result.bundle.contract.observation_dim, state.record["value_hidden_dims"])
    unpack_module("value", saved, state.tensors)
    for mine, theirs in zip(saved.parameters(), fitted.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_report_sets_what_was_logged_beside_what_the_model_predicts(
    rejected: tuple[Path, Refinement, Any], dataset: Path, shipped: Path
):
    out, result, fitted = rejected
    told = json.loads(report_path(out).read_text())["behavior"]
    assert told == json.loads(json.dumps(result.report["behavior"]))
    assert told["starts"] == EVALUATION.starts
    transitions = from_columns(Dataset.open(dataset), load_graph(read_bundle(shipped)))
    scale = RewardScale(load_trainer_state(trainer_state_path(out)).record["reward_scale"])
    everywhere, _ = logged_return(transitions, torch.arange(len(transitions)), fitted, scale, EVALUATION)
    spread = float(everywhere.std()) / EVALUATION.starts**0.5
    assert told["logged"]["mean"] == pytest.approx(float(everywhere.mean()), abs=5.0 * spread)
    assert told["difference"]["mean"] == pytest.approx(told["predicted"]["mean"] - told["logged"]["mean"], rel=1e-3)
