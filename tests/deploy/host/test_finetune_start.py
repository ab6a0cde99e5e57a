"""Where online learning starts: from the trainer state of its own bundle only, or fitted from the learner's seed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deploy.host.finetune import finetune
from deploy.host.finetune_start import first_learner
from deploy.host.refine import RefineError
from deploy.host.refine_outputs import trainer_state_path
from offline_data.dataset import Dataset
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.graph import PolicyGraph
from policy.networks import ValueNetwork
from policy.trainer_state import TrainerState, pack_module, save_trainer_state
from policy.transitions import Transitions, from_columns
from tests.deploy.host.finetune_bench import SETTINGS, SameLogs


@pytest.fixture(scope="module")
def graph(shipped: Path) -> PolicyGraph:
    return load_graph(read_bundle(shipped))


@pytest.fixture(scope="module")
def steps(dataset: Path, graph: PolicyGraph) -> Transitions:
    return from_columns(Dataset.open(dataset), graph)


def with_state(shipped: Path, folder: Path, bundle_sha256: str, value: ValueNetwork) -> Path:
    """The shipped bundle with a trainer state beside it that says which bundle it is of."""
    start = folder / "start.go1policy"
    start.write_bytes(shipped.read_bytes())
    record = {"bundle_sha256": bundle_sha256, "reward_scale": 0.25, "value_hidden_dims": list(value.hidden_dims)}
    save_trainer_state(trainer_state_path(start), TrainerState(pack_module("value", value), record))
    return start


def test_value_and_reward_scale_of_the_stage_before_are_taken_over(shipped, graph, steps, tmp_path):
    value = ValueNetwork(graph.contract.observation_dim, (24,))
    start = with_state(shipped, tmp_path, read_bundle(shipped).sha256, value)
    learner = first_learner(start, graph, steps, SETTINGS.online, SETTINGS.model)
    assert learner.scale.factor == 0.25
    for name, tensor in value.state_dict().items():
        assert torch.equal(learner.value.state_dict()[name], tensor), name


def test_another_bundles_trainer_state_is_refused_before_anything_is_driven(shipped, dataset, graph, tmp_path):
    """As a copied bundle meets, or one whose refinement was killed between its bundle and its state."""
    start = with_state(shipped, tmp_path, "f" * 64, ValueNetwork(graph.contract.observation_dim, (24,)))
    collector = SameLogs(dataset.parent / "logs")
    with pytest.raises(RefineError, match=f"bundle_sha256 = '{read_bundle(shipped).sha256}'.*'ffffff"):
        finetune(start, collector, tmp_path / "run", SETTINGS)
    assert collector.calls == []


def test_without_a_state_the_value_is_fitted_from_the_learners_seed(shipped, graph, steps):
    def weights(seed: int) -> torch.Tensor:
        learner = first_learner(shipped, graph, steps, replace(SETTINGS.online, seed=seed), SETTINGS.model)
        return torch.cat([parameter.flatten() for parameter in learner.value.parameters()]).detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
