"""The mirror: its own inverse, by hand on each part, and true to the physics of two mirrored robots."""

import dataclasses

import pytest
import torch
from tensordict import TensorDict

from policy.contract import PolicyContract
from policy.gait_contract import gait_contract
from policy.graph import PHASE, PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import RobotModel, load_robot
from sim.engines.mujoco import MujocoEngine
from sim.mirror import Mirror, MirrorError
from sim.privileged import PRIVILEGED, PRIVILEGED_WIDTH
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask
from tests.sim.velocity_task.bench import QUIET

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return load_robot()


@pytest.fixture(scope="module")
def contract(robot) -> PolicyContract:
    return velocity_contract(robot).without_slew()


@pytest.fixture(scope="module")
def mirror(contract, robot) -> Mirror:
    return Mirror(contract, robot)


def test_twice_mirrored_is_as_before(mirror, contract):
    widths = (
        (mirror.observation, contract.observation_dim),
        (mirror.privileged, PRIVILEGED_WIDTH),
        (mirror.action, 12),
    )
    for mirrored, width in widths:
        values = torch.randn(5, width)
        assert torch.equal(mirrored(mirrored(values)), values)
        assert not torch.equal(mirrored(values), values)


def test_every_part_of_the_critics_view_is_mirrored_in_its_own_place(mirror):
    """No part mixes with another: what a mirrored part holds comes from that part alone."""
    first = 0
    for width in PRIVILEGED.values():
        values = torch.zeros(1, PRIVILEGED_WIDTH)
        values[:, first : first + width] = 1.0
        assert mirror.privileged(values).abs().tolist() == values.tolist()
        first += width


def test_an_action_by_hand(mirror):
    """FR 1 2 3, FL 4 5 6, RR 7 8 9, RL 10 11 12: right and left change places, hips their signs."""
    found = mirror.action(torch.arange(1.0, 13.0)[None])[0].tolist()
    assert found == [-4, 5, 6, -1, 2, 3, -10, 11, 12, -7, 8, 9]


def test_an_observation_by_hand(mirror):
    """Gravity, turning, command, position, velocity, last action, clock."""
    joints = torch.arange(1.0, 13.0)
    observation = torch.cat([torch.tensor([0.1, 0.2, -0.9, 1.0, 2.0, 3.0, 0.5, 0.4, 0.3]), joints.repeat(3)])
    observation = torch.cat([observation, torch.tensor([0.6, 0.8])])[None]
    found = mirror.observation(observation)[0]
    assert found[:9].tolist() == pytest.approx([0.1, -0.2, -0.9, -1.0, 2.0, -3.0, 0.5, -0.4, -0.3])
    assert found[9:21].tolist() == [-4, 5, 6, -1, 2, 3, -10, 11, 12, -7, 8, 9]
    assert torch.equal(found[9:21].repeat(3), found[9:45])
    assert found[45:].tolist() == pytest.approx([-0.6, -0.8])


def test_a_commanded_gait_is_the_same_on_both_sides(robot):
    contract = gait_contract(robot).without_slew()
    observation = torch.zeros(1, contract.observation_dim)
    observation[0, 6:12] = torch.tensor([0.5, 0.4, 0.3, 1.25, 0.9, 2.9])
    found = Mirror(contract, robot).observation(observation)[0]
    assert found[6:12].tolist() == pytest.approx([0.5, -0.4, -0.3, 1.25, 0.9, 2.9])


def test_the_critics_feet_change_sides(mirror):
    privileged = torch.arange(1.0, PRIVILEGED_WIDTH + 1)[None]
    found = mirror.privileged(privileged)[0].tolist()
    assert found == [1, -2, 3, 4, -5, 6, -7, 8, -9, 10, 12, 11, 14, 13, 15, 16, 17]


@pytest.mark.parametrize("make_contract", [velocity_contract, gait_contract])
def test_two_robots_in_the_mirror_stay_so(robot, make_contract):
    """On MuJoCo, in the air: under mirrored commands, clocks and actions, observations remain mirror images.

    Not on the ground, where the solver stops after ten rounds and so treats the first contact unlike the last.
    """
    contract = make_contract(robot).without_slew()
    mirror = Mirror(contract, robot)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (8,), 0.1)).requires_grad_(False)
    settings = VelocityTaskSettings(num_envs=2, seed=1, randomization=QUIET)
    engine = MujocoEngine(robot, 2, 1)
    # The published trunk's centre of mass lies 2 mm to the left: the mirrored robot has it 2 mm to the right.
    engine._model.body("trunk").ipos[1] = 0.0
    task = VelocityTask(settings, robot, graph, engine)
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(2, 1)
    stand = task.default_position.repeat(2, 1)
    engine.reset(torch.arange(2), torch.tensor([[0.0, 0.0, 3.0]]).repeat(2, 1), level, stand)
    task.memory[:] = 0.0
    task.memory[:, 0] = 1.0
    task.memory[1, PHASE] = 0.5
    task.command[:] = torch.tensor([0.5, 0.3, 0.4, 3.0, 0.05, 0.25])[: contract.command_dim]
    task.command[1, 1:3] *= -1.0
    task.state = engine.state()
    task.last_feet = task.state.foot_position_in_world
    task._observe()
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        torch.testing.assert_close(mirror.observation(task.observation[:1]), task.observation[1:], atol=1e-5, rtol=0)
        torch.testing.assert_close(mirror.privileged(task.privileged[:1]), task.privileged[1:], atol=1e-5, rtol=0)
        action = 0.3 * torch.randn(1, 12, generator=generator)
        _, reward, _, _ = task.step(torch.cat([action, mirror.action(action)]))
        assert float(reward[0]) == pytest.approx(float(reward[1]), abs=1e-3)
    assert (task.observation[0] - task.observation[1]).abs().max() > 0.1


def test_a_batch_is_followed_by_its_image(mirror, contract):
    observation, privileged = torch.randn(3, contract.observation_dim), torch.randn(3, PRIVILEGED_WIDTH)
    batch = TensorDict({"observation": observation, "privileged": privileged}, batch_size=[3])
    both, actions = mirror.augment(None, batch, torch.ones(3, 12))
    assert both is not None
    assert actions is not None
    assert both.batch_size[0] == len(actions) == 6
    assert torch.equal(both["observation"][:3], observation)
    assert torch.equal(both["observation"][3:], mirror.observation(observation))
    assert torch.equal(both["privileged"][3:], mirror.privileged(privileged))
    assert mirror.augment(None, None, None) == (None, None)


def test_what_has_no_known_image_is_refused(contract, robot):
    with pytest.raises(MirrorError, match="history of 3"):
        Mirror(dataclasses.replace(contract, history_length=3), robot)


@pytest.mark.parametrize(("place", "mirrors"), [(0, True), (1, False), (6, True), (7, False), (9, False)])
def test_a_normaliser_is_mirrored_only_if_both_sides_have_the_same(contract, robot, place, mirrors):
    """Forwards is the same on both sides; gravity to the left, a command to the left and one of the hips are not."""
    mean = torch.zeros(contract.observation_dim)
    mean[place] = 0.3
    off_centre = dataclasses.replace(contract, observation_mean=tuple(mean.tolist()))
    if not mirrors:
        with pytest.raises(MirrorError, match="normaliser"):
            Mirror(off_centre, robot)
        return
    plain = torch.randn(4, contract.observation_dim)
    found = Mirror(off_centre, robot).observation(plain - mean)
    torch.testing.assert_close(found, Mirror(contract, robot).observation(plain) - mean)


@pytest.mark.parametrize("same", [True, False])
def test_standard_deviations_are_those_of_the_other_side_too(contract, robot, same):
    std = torch.ones(contract.observation_dim)
    std[10] = std[13] = 2.0  # the front thighs, right and left
    std[13] += 0.0 if same else 1.0
    uneven = dataclasses.replace(contract, observation_std=tuple(std.tolist()))
    if not same:
        with pytest.raises(MirrorError, match="normaliser"):
            Mirror(uneven, robot)
        return
    plain = torch.randn(4, contract.observation_dim)
    torch.testing.assert_close(
        Mirror(uneven, robot).observation(plain / std), Mirror(contract, robot).observation(plain) / std
    )
