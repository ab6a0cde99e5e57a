"""A commanded frequency on the twin, through the wire: the shipped policy's weights under the gait contract.

The plain policy has only ever seen a clock of 2.5 Hz. Blind to the gait's commands, it still steps with the clock that
the graph advances: what is measured of its feet must be the commanded frequency, and of its heights its own.
"""

import math
from pathlib import Path

import pytest
import torch

from benchmarks.gait_grid import walk
from policy.bundle import BUNDLES, Bundle, Lineage, read_bundle
from policy.export import export_bundle, load_graph
from policy.gait_contract import GAIT_COMMANDS, GAIT_FREQUENCY, SWING_HEIGHT, TRUNK_HEIGHT, gait_contract
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import load_robot

torch.set_num_threads(1)
FIRST_LAYER, COMMANDS_END = "mean_network.0.weight", 9  # gravity 3, angular velocity 3, velocity command 3
AT_REST = {term.name: term.rest for term in GAIT_COMMANDS}


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped actor with no weight on the three new places of its observation."""
    robot = load_robot()
    shipped = load_graph(read_bundle(BUNDLES / "go1_velocity.go1policy")).actor
    weights = dict(shipped.state_dict())
    layer = weights[FIRST_LAYER]
    nothing = torch.zeros(len(layer), len(GAIT_COMMANDS))
    weights[FIRST_LAYER] = torch.cat([layer[:, :COMMANDS_END], nothing, layer[:, COMMANDS_END:]], dim=1)
    contract = gait_contract(robot)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, shipped.hidden_dims, 1.0)
    actor.load_state_dict(weights)
    path: Path = tmp_path_factory.mktemp("blind") / "blind.go1policy"
    return export_bundle(PolicyGraph(contract, actor), path, Lineage("pretrain", (), (), "test", 0, "test"), 1, robot)


@pytest.mark.parametrize("frequency_hz", [1.5, 3.5])
def test_feet_step_at_the_commanded_frequency(blind: Bundle, frequency_hz: float) -> None:
    found = walk(blind, "nominal", 0.5, {**AT_REST, GAIT_FREQUENCY: frequency_hz}, walk_s=5.0)
    assert found.measured is not None, "it fell"
    assert found.measured[GAIT_FREQUENCY] == pytest.approx(frequency_hz, abs=0.05)
    assert found.measured[SWING_HEIGHT] == pytest.approx(0.10, abs=0.03)
    assert found.measured[TRUNK_HEIGHT] == pytest.approx(0.29, abs=0.01)
    assert found.speed_m_s == pytest.approx(0.5, abs=0.15)


def test_without_a_velocity_it_stands_whatever_the_gait(blind: Bundle) -> None:
    found = walk(blind, "nominal", 0.0, {**AT_REST, GAIT_FREQUENCY: 3.5, SWING_HEIGHT: 0.12}, walk_s=3.5)
    assert found.measured is not None
    assert math.isnan(found.measured[GAIT_FREQUENCY]), "feet that rest make no strides"
    assert found.speed_m_s == pytest.approx(0.0, abs=0.01)
    assert found.joint_motion_rad_s is not None
    assert found.joint_motion_rad_s < 0.05
