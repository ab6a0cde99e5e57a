"""The velocity task on an engine that does what a test says, every figure by hand; and on MuJoCo for the whole."""

import dataclasses
import math

import pytest
import torch

from policy.contract import PolicyContract
from policy.graph import PHASE, PolicyGraph, projected_gravity
from policy.networks import GaussianActor
from policy.rewards import REWARD_TERMS
from policy.velocity_contract import velocity_contract
from robot_configs.robot import RobotModel, load_robot
from sim.engines.mujoco import MujocoEngine
from sim.engines.protocol import EngineState, PhysicsParameters
from sim.randomization import Randomization, draw_commands, draw_physics
from sim.velocity_task import SHAPING_TERMS, VelocityTask, VelocityTaskSettings

torch.set_num_threads(1)

ROBOTS = 4
NEVER_S = 1e9
QUIET = Randomization(
    friction=(0.8, 0.8),
    payload_kg=(0.0, 0.0),
    center_of_mass_shift_m=0.0,
    gain_scale=(1.0, 1.0),
    joint_friction_nm=(0.0, 0.0),
    encoder_offset_rad=0.0,
    delay_substeps=(0, 0),
    gravity_noise=0.0,
    angular_velocity_noise_rad_s=0.0,
    joint_position_noise_rad=0.0,
    joint_velocity_noise_rad_s=0.0,
    push_interval_s=NEVER_S,
    command_interval_s=NEVER_S,
    standing_fraction=0.0,
)
NO_ACTION = torch.zeros(ROBOTS, 12)


class ScriptedEngine:
    """No physics: robots are in the state that a test writes, and every call is taken down."""

    physics_dt_s = 0.004

    def __init__(self, robot: RobotModel) -> None:
        self.num_envs = ROBOTS
        self.targets: list[torch.Tensor] = []
        self.pushes: list[torch.Tensor] = []
        self.reset_rows: list[list[int]] = []
        stand = torch.tensor(robot.stand_position, dtype=torch.float32)
        feet = torch.zeros(ROBOTS, 4, 3)
        feet[:, :, 2] = robot.geometry.foot_radius
        self.now = EngineState(
            position_trunk_in_world=torch.tensor([0.0, 0.0, 0.29]).repeat(ROBOTS, 1),
            orientation_trunk_in_world=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(ROBOTS, 1),
            linear_velocity_trunk_in_trunk=torch.zeros(ROBOTS, 3),
            angular_velocity_trunk_in_trunk=torch.zeros(ROBOTS, 3),
            joint_position=stand.repeat(ROBOTS, 1),
            joint_velocity=torch.zeros(ROBOTS, 12),
            joint_torque=torch.zeros(ROBOTS, 12),
            foot_position_in_world=feet,
        )

    def change(self, **fields: torch.Tensor) -> None:
        self.now = dataclasses.replace(self.now, **fields)

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        self.parameters = parameters

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        self.targets += [joint_target.clone()] * substeps

    def state(self) -> EngineState:
        return EngineState(
            **{field.name: getattr(self.now, field.name).clone() for field in dataclasses.fields(self.now)}
        )

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        self.reset_rows.append(rows.tolist())

    def push(self, velocity_change: torch.Tensor) -> None:
        self.pushes.append(velocity_change.clone())


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return load_robot()


@pytest.fixture(scope="module")
def contract(robot) -> PolicyContract:
    return velocity_contract(robot).without_slew()


@pytest.fixture(scope="module")
def graph(contract) -> PolicyGraph:
    torch.manual_seed(0)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, (16,), 0.1)
    return PolicyGraph(contract, actor).requires_grad_(False)


@pytest.fixture
def engine(robot) -> ScriptedEngine:
    return ScriptedEngine(robot)


@pytest.fixture
def task(robot, graph, engine) -> VelocityTask:
    return make_task(robot, graph, engine)


def make_task(robot, graph, engine, episode_s: float = 20.0, **changed) -> VelocityTask:
    randomization = dataclasses.replace(QUIET, **changed)
    settings = VelocityTaskSettings(num_envs=ROBOTS, seed=3, episode_s=episode_s, randomization=randomization)
    return VelocityTask(settings, robot, graph, engine)


def tilted(angle_rad: float) -> torch.Tensor:
    """Rolled to the right by an angle."""
    return torch.tensor([math.cos(angle_rad / 2), math.sin(angle_rad / 2), 0.0, 0.0])


# ---- Observation -----------------------------------------------------------------------------------------------------


def test_the_actor_sees_what_the_deployed_graph_sees(robot, graph):
    """On MuJoCo, in closed loop: without noise, simulation's observation is the one inside the exported pass."""
    task = make_task(robot, graph, MujocoEngine(robot, ROBOTS, 1), delay_substeps=(0, 2))
    memory = torch.zeros(ROBOTS, graph.contract.memory_dim)
    generator = torch.Generator().manual_seed(0)
    seen = []
    for _ in range(12):
        state = task.state
        noise = torch.randn(ROBOTS, 12, generator=generator)
        _, action, _, _, _, observation, memory = graph(
            state.orientation_trunk_in_world,
            state.angular_velocity_trunk_in_trunk,
            state.joint_position,
            state.joint_velocity,
            task.command,
            noise,
            memory,
        )
        torch.testing.assert_close(task.get_observations()["observation"], observation, atol=1e-6, rtol=0)
        seen.append(observation)
        _, _, done, _ = task.step(action)
        assert not done.any()
    assert (seen[0] - seen[-1]).abs().max() > 0.1, "something moved"


def test_noise_stays_within_its_half_widths_and_offsets_stay_for_good(robot, graph, engine):
    quiet = make_task(robot, graph, engine)
    noisy = make_task(robot, graph, engine, joint_position_noise_rad=0.02, encoder_offset_rad=0.05)
    start = 9  # gravity, angular velocity and command come first
    offset = noisy.encoder_offset
    assert offset.abs().max() <= 0.05
    assert offset.abs().max() > 0.02
    draws = []
    for _ in range(50):
        _, _, done, _ = noisy.step(NO_ACTION)
        assert not done.any()
        draws.append(noisy.observation[:, start : start + 12] - quiet.observation[:, start : start + 12] - offset)
    noise = torch.stack(draws)
    assert noise.abs().max() <= 0.02 + 1e-6
    assert noise.abs().max() > 0.019
    assert noise.mean(0).abs().max() < 0.02 / math.sqrt(3 * 50) * 4, "what stays is in the offset"


def test_the_critic_alone_sees_the_truth(robot, graph, engine):
    task = make_task(robot, graph, engine, friction=(0.5, 0.5), payload_kg=(1.0, 1.0), delay_substeps=(2, 2))
    velocity = torch.tensor([0.7, -0.1, 0.2]).repeat(ROBOTS, 1)
    before = task.observation.clone()
    engine.change(linear_velocity_trunk_in_trunk=velocity, position_trunk_in_world=torch.tensor([[5.0, 5.0, 0.31]] * 4))
    task.step(NO_ACTION)
    critic = task.get_observations()["privileged"]
    torch.testing.assert_close(critic[:, :3], velocity)
    torch.testing.assert_close(critic[:, 9], torch.full((ROBOTS,), 0.2), atol=1e-5, rtol=0)  # (0.31 - 0.29) * 10
    torch.testing.assert_close(critic[:, -3:], torch.tensor([[0.5, 0.5, 2.0]] * ROBOTS))
    clock = slice(-2, None)
    torch.testing.assert_close(task.observation[:, : clock.start], before[:, : clock.start])


# ---- Endings ---------------------------------------------------------------------------------------------------------


def test_time_outs_are_not_falls(robot, graph, engine):
    """Robot 0 falls, 1 runs out of time, 2 does both at once: that is a fall; 3 goes on."""
    task = make_task(robot, graph, engine, episode_s=0.2)
    task.episode_length_buf[:] = torch.tensor([3, 9, 9, 3])
    orientation = engine.now.orientation_trunk_in_world.clone()
    orientation[0] = orientation[2] = tilted(1.01)
    orientation[3] = tilted(0.99)
    engine.change(orientation_trunk_in_world=orientation)
    _, _, done, extras = task.step(NO_ACTION)
    assert done.tolist() == [True, True, True, False]
    assert extras["time_outs"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert engine.reset_rows[-1] == [0, 1, 2]
    assert task.episode_length_buf.tolist() == [0, 0, 0, 4]
    assert extras["log"]["/falls_per_minute"] == pytest.approx(2 / 4 / 0.02 * 60)


def test_a_low_trunk_is_a_fall(robot, graph, engine):
    task = make_task(robot, graph, engine)
    engine.change(position_trunk_in_world=torch.tensor([[0.0, 0.0, z] for z in (0.119, 0.121, 0.0, 0.29)]))
    _, _, done, _ = task.step(NO_ACTION)
    assert done.tolist() == [True, False, True, False]


def test_only_those_that_ended_forget(robot, graph, engine):
    task = make_task(robot, graph, engine)
    task.step(torch.full((ROBOTS, 12), 0.3))
    commands = task.command.clone()
    orientation = engine.now.orientation_trunk_in_world.clone()
    orientation[1] = tilted(1.5)
    engine.change(orientation_trunk_in_world=orientation)
    task.step(torch.full((ROBOTS, 12), 0.4))
    assert task.memory[1].abs().max() == 0
    assert task.last_action[1].abs().max() == 0
    assert task.memory[[0, 2, 3]].abs().min(dim=1).values.max() > 0
    torch.testing.assert_close(task.last_action[[0, 2, 3]], torch.full((3, 12), 0.4))
    torch.testing.assert_close(task.command[[0, 2, 3]], commands[[0, 2, 3]])
    assert not torch.equal(task.command[1], commands[1])


def test_the_observation_after_a_fall_is_that_of_the_new_life(robot, graph):
    """On MuJoCo: what is returned with `done` belongs to the robot that has just been set up again."""
    task = make_task(robot, graph, MujocoEngine(robot, ROBOTS, 1))
    joints = task.state.joint_position[:2]
    on_its_side = tilted(1.5).repeat(2, 1)
    task.engine.reset(torch.tensor([0, 2]), torch.tensor([[0.0, 0.0, 0.5]] * 2), on_its_side, joints)
    observations, reward, done, _ = task.step(NO_ACTION)
    assert done.tolist() == [True, False, True, False]
    gravity = observations["observation"][:, :3]
    torch.testing.assert_close(gravity[[0, 2]], torch.tensor([[0.0, 0.0, -1.0]] * 2), atol=1e-5, rtol=0)
    assert (reward[[1, 3]].min() - reward[[0, 2]].max()) > 5.0, "the fall was paid for before"


# ---- Actuation -------------------------------------------------------------------------------------------------------


def test_each_robot_waits_its_own_number_of_substeps(robot, graph, engine):
    task = make_task(robot, graph, engine, delay_substeps=(0, 2))
    task.delay[:] = torch.tensor([0, 1, 2, 1])
    task.step(torch.full((ROBOTS, 12), 0.2))
    old = graph.joint_target(torch.full((ROBOTS, 12), 0.2))
    engine.targets.clear()
    task.step(torch.full((ROBOTS, 12), -0.2))
    new = graph.joint_target(torch.full((ROBOTS, 12), -0.2))
    assert len(engine.targets) == 5  # 20 ms of 4 ms each
    for substep, target in enumerate(engine.targets):
        for robot_index, delay in enumerate((0, 1, 2, 1)):
            expected = old if substep < delay else new
            torch.testing.assert_close(target[robot_index], expected[robot_index])


def test_delays_are_drawn_over_the_whole_inclusive_range(robot, graph, engine):
    seen = {int(d) for seed in range(8) for d in reseeded(robot, graph, engine, seed).delay}
    assert seen == {0, 1, 2}


def reseeded(robot, graph, engine, seed: int) -> VelocityTask:
    randomization = dataclasses.replace(QUIET, delay_substeps=(0, 2))
    return VelocityTask(VelocityTaskSettings(ROBOTS, seed, randomization=randomization), robot, graph, engine)


def test_pushes_are_horizontal_and_bounded(robot, graph, engine):
    task = make_task(robot, graph, engine, push_interval_s=0.02, push_speed_m_s=0.6)  # every robot at every step
    for _ in range(50):
        task.step(NO_ACTION)
    pushes = torch.stack(engine.pushes)
    assert pushes.shape == (50, ROBOTS, 3)
    assert pushes[:, :, 2].abs().max() == 0
    assert 0.55 < pushes.abs().max() <= 0.6
    assert (pushes[:, :, :2].abs().sum(2) > 0).all()


def test_without_pushes_nobody_is_pushed(task, engine):
    for _ in range(20):
        task.step(NO_ACTION)
    assert engine.pushes == []


def test_a_physics_step_that_does_not_divide_the_control_step_is_refused(robot, graph, engine):
    engine.physics_dt_s = 0.003
    with pytest.raises(ValueError, match="does not divide"):
        make_task(robot, graph, engine)


# ---- Commands and physics --------------------------------------------------------------------------------------------


def test_commands_fill_their_ranges_and_a_part_stands(contract):
    randomization = dataclasses.replace(QUIET, standing_fraction=0.1)
    command = draw_commands(randomization, contract, 20_000, torch.Generator().manual_seed(0))
    standing = (command == 0).all(dim=1)
    assert float(standing.float().mean()) == pytest.approx(0.1, abs=4 * math.sqrt(0.1 * 0.9 / 20_000))
    for column, term in enumerate(contract.commands):
        values = command[~standing, column]
        assert term.lower <= values.min() < term.lower + 0.01
        assert term.upper - 0.01 < values.max() <= term.upper
        assert float(values.mean()) == pytest.approx(0.5 * (term.lower + term.upper), abs=0.03)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_nobody_or_everybody_stands(contract, fraction):
    randomization = dataclasses.replace(QUIET, standing_fraction=fraction)
    command = draw_commands(randomization, contract, 500, torch.Generator().manual_seed(0))
    assert (command == 0).all(dim=1).float().mean() == fraction


def test_commands_change_when_their_time_is_over(robot, graph, engine):
    task = make_task(robot, graph, engine, command_interval_s=0.06)
    history = [task.command.clone()]
    for _ in range(7):
        task.step(NO_ACTION)
        history.append(task.command.clone())
    changed = [not torch.equal(a, b) for a, b in zip(history[:-1], history[1:], strict=True)]
    assert changed == [False, False, True, False, False, True, False]


def test_physics_is_drawn_inside_its_ranges(contract):
    settings = Randomization()
    draw = draw_physics(settings, contract, 2000, torch.Generator().manual_seed(0))
    for values, (low, high) in ((draw.friction, settings.friction), (draw.payload_kg, settings.payload_kg)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    assert draw.center_of_mass_shift_m.abs().max() <= settings.center_of_mass_shift_m
    scale = draw.stiffness / torch.tensor(contract.stiffness)
    assert 0.85 <= scale.min() < 0.86
    assert 1.14 < scale.max() <= 1.15
    assert draw.damping.shape == draw.joint_friction_nm.shape == (2000, 12)


# ---- Reward ----------------------------------------------------------------------------------------------------------


def test_reward_and_shaping_by_hand(robot, graph, engine):
    task = make_task(robot, graph, engine)
    task.command[:] = torch.tensor([1.0, 0.0, 0.5])
    task.memory[:, PHASE] = 0.125  # FR and RL are at sin(45 deg) of their swing, FL and RR on the ground
    feet = engine.now.foot_position_in_world.clone()
    apex = 0.09 * math.sqrt(0.5)
    feet[:, 0, 2] += apex  # FR where it should be; RL is 0.1 m too high
    feet[:, 3, 2] += apex + 0.1
    feet[:, 0, 0] += 0.05  # FR swings forward, which is free; FL slides 1 cm in 20 ms: 0.5 m/s
    feet[:, 1, 0] += 0.01
    joints = engine.now.joint_position.clone()
    joints[:, 3] += 0.1  # a hip
    joints[:, 4] += 0.5  # a thigh: no matter
    torque = 0.5 * torch.tensor(robot.torque_limit, dtype=torch.float32).repeat(ROBOTS, 1)
    engine.change(
        position_trunk_in_world=torch.tensor([0.0, 0.0, 0.31]).repeat(ROBOTS, 1),
        linear_velocity_trunk_in_trunk=torch.tensor([0.5, 0.0, 0.1]).repeat(ROBOTS, 1),
        angular_velocity_trunk_in_trunk=torch.tensor([0.2, -0.1, 0.0]).repeat(ROBOTS, 1),
        joint_position=joints,
        joint_velocity=torch.ones(ROBOTS, 12),
        joint_torque=torque,
        foot_position_in_world=feet,
    )
    _, reward, _, _ = task.step(torch.full((ROBOTS, 12), 0.1))
    expected = {
        "track_linear_velocity": math.exp(-1.0),  # error 0.5 m/s, width 0.5
        "track_yaw_rate": 0.5 * math.exp(-1.0),
        "tilt": 0.0,
        "vertical_velocity": -0.5 * 0.01,
        "roll_pitch_rate": -0.02 * 0.05,
        "torque": -0.03 * 12 * 0.25,
        "action_change": -0.005 * 12 * 0.01,
        "standing_motion": 0.0,  # it is told to walk
        "fall": 0.0,
        "swing": 0.5 * math.exp(-1.0),  # one foot 0.1 m off, width^2 = 0.01 m^2
        "slip": -0.08 * 0.25,
        "posture": -0.15 * 0.01,
        "height": -8.0 * 0.02**2,
        "far": -0.4 * (0.5 + 0.5 * 0.5),
    }
    assert tuple(expected) == (*REWARD_TERMS, *SHAPING_TERMS)
    torch.testing.assert_close(task.episode_terms[0], torch.tensor(list(expected.values())), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(reward, torch.full((ROBOTS,), sum(expected.values())), atol=1e-4, rtol=0)


def test_a_standing_robot_keeps_all_feet_down(task, engine):
    """Where standing is commanded no foot swings, whatever the clock says: a lifted foot costs."""
    task.command[:] = 0.0
    task.memory[:, PHASE] = 0.125
    feet = engine.now.foot_position_in_world.clone()
    apex = 0.09 * math.sqrt(0.5)
    feet[1, 0, 2] += apex
    feet[2, 0, 0] += 0.01
    engine.change(foot_position_in_world=feet)
    task.step(NO_ACTION)
    swing = task.episode_terms[:, len(REWARD_TERMS) + SHAPING_TERMS.index("swing")]
    slip = task.episode_terms[:, len(REWARD_TERMS) + SHAPING_TERMS.index("slip")]
    assert swing.tolist() == pytest.approx([0.5, 0.5 * math.exp(-(apex**2) / 0.01), 0.5, 0.5], rel=1e-4)
    assert slip.tolist() == pytest.approx([0.0, 0.0, -0.08 * 0.25, 0.0], abs=1e-5)


def test_the_log_holds_every_term_of_ended_episodes_a_step(robot, graph, engine):
    task = make_task(robot, graph, engine, episode_s=0.06)
    task.command[:] = torch.tensor([0.3, 0.4, -0.2])
    logs = [task.step(NO_ACTION)[3]["log"] for _ in range(3)]
    always = {"/error/linear_m_s", "/error/yaw_rad_s", "/falls_per_minute"}
    assert set(logs[0]) == set(logs[1]) == always
    assert set(logs[2]) == always | {f"/reward/{name}" for name in (*REWARD_TERMS, *SHAPING_TERMS)}
    assert float(logs[0]["/error/linear_m_s"]) == pytest.approx(0.5)
    assert float(logs[0]["/error/yaw_rad_s"]) == pytest.approx(0.2)
    # All three steps were alike, so a step's mean is any step's value.
    assert float(logs[2]["/reward/track_linear_velocity"]) == pytest.approx(math.exp(-1.0), abs=1e-5)
    assert float(logs[2]["/reward/track_yaw_rate"]) == pytest.approx(0.5 * math.exp(-0.16), abs=1e-5)
    assert task.episode_terms.abs().max() == 0


def test_equal_seeds_are_equal_worlds(robot, graph):
    settings = VelocityTaskSettings(num_envs=ROBOTS, seed=5)
    one, two = (VelocityTask(settings, robot, graph, MujocoEngine(robot, ROBOTS, 1)) for _ in range(2))
    for _ in range(5):
        (first, reward_first, _, _), (second, reward_second, _, _) = one.step(NO_ACTION), two.step(NO_ACTION)
        assert torch.equal(first["observation"], second["observation"])
        assert torch.equal(reward_first, reward_second)
    other = VelocityTask(dataclasses.replace(settings, seed=6), robot, graph, MujocoEngine(robot, ROBOTS, 1))
    assert not torch.equal(other.physics.friction, one.physics.friction)


def test_tilt_in_these_tests_is_what_it_says():
    torch.testing.assert_close(
        projected_gravity(tilted(math.pi / 2)[None]), torch.tensor([[0.0, -1.0, 0.0]]), atol=1e-6, rtol=0
    )
