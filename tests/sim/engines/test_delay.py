"""Delays of targets, on both engines: each robot's own, across control steps, and none that outlives a reset."""

import pytest
import torch

from sim.engines.isaacgym import IsaacGymEngine
from sim.engines.mujoco import MujocoEngine
from sim.engines.mujoco_fields import MujocoParametersError
from sim.engines.protocol import MAX_DELAY_SUBSTEPS, Engine
from sim.engines.target_delay import TargetDelay
from tests.sim.engines.bench import ROBOTS, ROWS, parameters, place

torch.set_num_threads(1)


@pytest.fixture(params=["mujoco", "isaacgym"])
def engine(request, robot) -> Engine:
    if request.param == "mujoco":
        return MujocoEngine(robot, ROBOTS, num_threads=1)
    request.getfixturevalue("shim")
    return IsaacGymEngine(robot, ROBOTS)


def hip_torque(engine) -> list[float]:
    """Of the first joint [Nm]: 30 Nm/rad times what its target is away, as long as nothing has moved."""
    return engine.state().joint_torque[:, 0].tolist()


def test_each_robot_waits_its_own_number_of_steps(engine, stand):
    """In the air at rest: the targets of five control steps of 5 come out as many steps later as each robot waits."""
    delays = [0, 1, 3, 8]
    engine.set_parameters(parameters(delay_substeps=delays, stiffness=[30.0] * ROBOTS, damping=[0.0] * ROBOTS))
    place(engine, 5.0, stand)
    # Steps of a ten-thousandth of a radian, so that positions hardly move while the torques are read.
    given, seen = [], []
    for step in range(20):
        offset = 1e-4 * (1 + step // 5)
        target = stand.clone()
        target[:, 0] += offset
        before = engine.state().joint_position[:, 0]
        engine.step(target, 1)
        given.append(offset)
        seen.append((engine.state().joint_torque[:, 0] / 30.0 + before - stand[:, 0]).tolist())
    for row, delay in enumerate(delays):
        expected = [0.0] * delay + given[: 20 - delay]
        assert [values[row] for values in seen] == pytest.approx(expected, abs=2e-6)


def test_one_call_of_five_steps_is_five_calls_of_one(engine, robot, stand):
    engine.set_parameters(parameters(delay_substeps=[0, 2, 5, 7]))
    ends = []
    for substeps in (5, 1):
        place(engine, 0.30, stand)
        torch.manual_seed(0)
        for _ in range(6):
            target = stand + 0.2 * torch.randn(ROBOTS, 12)
            for _ in range(5 // substeps):
                engine.step(target, substeps)
        ends.append(engine.state())
    assert torch.equal(ends[0].joint_position, ends[1].joint_position)
    assert torch.equal(ends[0].position_trunk_in_world, ends[1].position_trunk_in_world)


def test_a_reset_forgets_the_targets_on_their_way(engine, stand):
    engine.set_parameters(parameters(delay_substeps=[8] * ROBOTS, damping=[0.0] * ROBOTS))
    place(engine, 5.0, stand)
    engine.step(stand + 0.5, 4)
    place(engine, 5.0, stand)
    engine.step(stand + 0.5, MAX_DELAY_SUBSTEPS)
    assert engine.state().joint_torque.abs().max() < 0.01, "the pose of the reset acts"
    engine.step(stand + 0.5, 1)
    assert engine.state().joint_torque[:, 0].min() > 10.0


def test_a_reset_of_some_robots_leaves_the_others_targets(engine, stand):
    engine.set_parameters(parameters(delay_substeps=[4] * ROBOTS, damping=[0.0] * ROBOTS))
    place(engine, 5.0, stand)
    engine.step(stand + 0.3, 2)
    rows = torch.tensor([1])
    engine.reset(rows, torch.tensor([[0.0, 0.0, 5.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]), stand[:1])
    engine.step(stand, 3)
    torque = hip_torque(engine)
    assert torque[1] == pytest.approx(0.0, abs=0.01)
    assert min(torque[0], torque[2], torque[3]) > 5.0


def test_motor_strength_is_a_share_of_the_limited_torque(engine, robot, stand):
    engine.set_parameters(parameters(motor_strength=[1.0, 0.7, 0.3, 0.0], stiffness=[1000.0] * ROBOTS))
    place(engine, 5.0, stand)
    engine.step(stand + 0.2, 1)
    expected = torch.tensor([[1.0], [0.7], [0.3], [0.0]]) * torch.tensor(robot.torque_limit, dtype=torch.float32)
    torch.testing.assert_close(engine.state().joint_torque, expected, atol=1e-3, rtol=0)


def test_motor_strength_scales_the_pd_law_below_the_limit(engine, stand):
    engine.set_parameters(parameters(motor_strength=[1.0, 0.7, 0.3, 0.0], damping=[0.0] * ROBOTS))
    place(engine, 5.0, stand)
    engine.step(stand + 0.1, 1)
    expected = 3.0 * torch.tensor([[1.0], [0.7], [0.3], [0.0]]).expand(ROBOTS, 12)
    torch.testing.assert_close(engine.state().joint_torque, expected, atol=2e-3, rtol=0)


def test_mujoco_refuses_a_longer_delay(robot):
    with pytest.raises(MujocoParametersError, match="0 to 8 physics steps"):
        MujocoEngine(robot, ROBOTS, num_threads=1).set_parameters(parameters(delay_substeps=[0, 1, 2, 9]))


def test_the_ring_of_targets_by_hand():
    """Robots of delay 0, 1, 2 and 8, given 1, 2, 3, ... and restarted at -1 before."""
    delay = TargetDelay(ROBOTS, torch.device("cpu"))
    delay.set_delay(torch.tensor([0, 1, 2, 8]))
    delay.restart(ROWS, torch.full((ROBOTS, 12), -1.0))
    seen = [delay.give(torch.full((ROBOTS, 12), float(value)))[:, 3].tolist() for value in range(1, 11)]
    assert [row[0] for row in seen] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert [row[1] for row in seen] == [-1, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [row[2] for row in seen] == [-1, -1, 1, 2, 3, 4, 5, 6, 7, 8]
    assert [row[3] for row in seen] == [-1, -1, -1, -1, -1, -1, -1, -1, 1, 2]
