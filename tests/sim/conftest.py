"""Bundles that the tests of evaluation and logging run: the shipped one, and one that can only fall."""

from pathlib import Path

import pytest
import torch

from policy.bundle import BUNDLES, Lineage
from policy.export import export_bundle
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The pretrained policy."""
    return BUNDLES / "go1_velocity.go1policy"


@pytest.fixture(scope="session")
def falling(tmp_path_factory) -> Path:
    """A sealed policy that folds the left legs and stretches the right ones, whatever it sees."""
    torch.set_num_threads(1)
    robot = load_robot()
    contract = velocity_contract(robot)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.01)
    with torch.no_grad():
        for parameter in actor.mean_network.parameters():
            parameter.zero_()
        bias = list(actor.mean_network.parameters())[-1]
        for index, name in enumerate(contract.policy_joint_names):
            left = name[1] == "L"
            bias[index] = {"hip": 0.0, "thigh": 2.5 if left else -2.0, "calf": -2.5 if left else 2.5}[name[3:]]
    path = tmp_path_factory.mktemp("falling") / "falling.go1policy"
    export_bundle(PolicyGraph(contract, actor), path, Lineage("pretrain", (), (), "test", 0, "test"), 1, robot)
    return path
