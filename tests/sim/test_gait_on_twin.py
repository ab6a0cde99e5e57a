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
from policy.contract import ContractError
from policy.export import export_bundle, load_graph
from policy.gait_contract import GAIT_COMMANDS, GAIT_FREQUENCY, SWING_HEIGHT, TRUNK_HEIGHT
from robot_configs.robot import load_robot
from sim.blind_gait import blind_to_gait
from sim.start_stop_record import record_start_stop

torch.set_num_threads(1)
SHIPPED = BUNDLES / "go1_velocity.go1policy"
AT_REST = {term.name: term.rest for term in GAIT_COMMANDS}


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped actor with no weight on the three new places of its observation."""
    robot = load_robot()
    graph = blind_to_gait(load_graph(read_bundle(SHIPPED)), robot)
    path: Path = tmp_path_factory.mktemp("blind") / "blind.go1policy"
    return export_bundle(graph, path, Lineage("pretrain", (), (), "test", 0, "test"), 1, robot)


@torch.no_grad()
def test_at_the_default_gait_it_acts_as_the_plain_policy(blind: Bundle) -> None:
    """Over 20 steps of random signals, memories included: the same joint targets."""
    plain, same = load_graph(read_bundle(SHIPPED)), load_graph(blind)
    generator = torch.Generator().manual_seed(5)
    memories = [torch.zeros(8, graph.contract.memory_dim) for graph in (plain, same)]
    gait = torch.tensor([term.rest for term in GAIT_COMMANDS]).repeat(8, 1)
    for _ in range(20):
        orientation = torch.tensor([1.0, 0.0, 0.0, 0.0]) + 0.2 * torch.randn(8, 4, generator=generator)
        signals = [orientation, *(torch.randn(8, width, generator=generator) for width in (3, 12, 12))]
        velocity = torch.rand(8, 3, generator=generator) - 0.5
        noise = torch.randn(8, 12, generator=generator)
        first = plain(*signals, velocity, noise, memories[0])
        second = same(*signals, torch.cat([velocity, gait], dim=1), noise, memories[1])
        torch.testing.assert_close(second[0], first[0], atol=1e-5, rtol=0)
        memories = [first[-1], second[-1]]


def test_only_a_velocity_policy_can_be_blind(blind: Bundle) -> None:
    with pytest.raises(ContractError, match="velocity contract"):
        blind_to_gait(load_graph(blind), load_robot())


@pytest.mark.parametrize("frequency_hz", [1.5, 3.5])
def test_feet_step_at_the_commanded_frequency(blind: Bundle, frequency_hz: float) -> None:
    found = walk(blind, "nominal", 0.5, {**AT_REST, GAIT_FREQUENCY: frequency_hz}, walk_s=5.0)
    assert found.measured is not None, "it fell"
    assert found.measured[GAIT_FREQUENCY] == pytest.approx(frequency_hz, abs=0.05)
    assert found.measured[SWING_HEIGHT] == pytest.approx(0.10, abs=0.03)
    assert found.measured[TRUNK_HEIGHT] == pytest.approx(0.3, abs=0.02)
    assert found.speed_m_s == pytest.approx(0.5, abs=0.15)


def test_without_a_velocity_it_stands_whatever_the_gait(blind: Bundle) -> None:
    found = walk(blind, "nominal", 0.0, {**AT_REST, GAIT_FREQUENCY: 3.5, SWING_HEIGHT: 0.12}, walk_s=3.5)
    assert found.measured is not None
    assert math.isnan(found.measured[GAIT_FREQUENCY]), "feet that rest make no strides"
    assert found.speed_m_s == pytest.approx(0.0, abs=0.01)
    assert found.joint_motion_rad_s is not None
    assert found.joint_motion_rad_s < 0.05


def test_a_gait_is_commanded_all_along_and_a_start_and_a_stop_are_still_found(blind: Bundle) -> None:
    record = record_start_stop(blind, "nominal", walk_s=2.2, rest_s=1.0)
    assert record.start_step == 50
    assert record.stop_step - record.start_step == 110
