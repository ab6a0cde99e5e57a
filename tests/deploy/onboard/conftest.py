"""A Go1 made of nothing: states to order, and a link to a robot that goes wherever it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

from deploy.onboard.link import LinkStatistics
from deploy.onboard.packet_layout import BATTERY_CELLS, MOTORS
from deploy.onboard.remote import IDLE_REMOTE
from deploy.onboard.wire import MOTOR_MODE_SERVO, POSITION_STOP, JointCommand, RobotState
from policy.bundle import PolicyOutput
from policy.contract import CommandTerm, ObservationTerm, PolicyContract
from robot_configs.robot import RobotModel, load_robot
from tests.deploy.onboard.control_bench import Bench
from tests.deploy.onboard.real_time_robot import RealTimeRobot, Session
from tests.deploy.onboard.schedule_views import ViewMaker, view_maker
from tests.deploy.onboard.supervised_walk import Walk

StateMaker = Callable[..., RobotState]


@pytest.fixture(scope="session")
def robot() -> RobotModel:
    return load_robot()


@pytest.fixture(scope="session")
def make_state() -> StateMaker:
    """A healthy robot, standing still and level, with the given fields changed; its IMU's last bits are never still."""
    robot = load_robot()

    def make(**changes: Any) -> RobotState:
        noise = 1e-5 * (changes.get("tick_ms", 1000) // 2 % 5)
        state = RobotState(
            tick_ms=1000,
            orientation_trunk_in_world=np.array([1.0, noise, 0.0, 0.0], np.float32),
            angular_velocity_trunk_in_trunk=np.array([noise, 0.0, 0.0], np.float32),
            accelerometer_trunk_in_trunk=np.array([noise, 0.0, 9.81], np.float32),
            roll_pitch_yaw=np.zeros(3, np.float32),
            imu_temperature=40,
            joint_position=robot.stand_position.astype(np.float32),
            joint_velocity=np.zeros(MOTORS, np.float32),
            joint_torque=np.zeros(MOTORS, np.float32),
            joint_temperature=np.full(MOTORS, 30, np.int8),
            joint_mode=np.full(MOTORS, MOTOR_MODE_SERVO, np.uint8),
            foot_force=np.array([50, 51, 52, 53], np.int16),
            battery_soc_percent=80,
            battery_current_ma=-1500,
            battery_cell_mv=np.full(BATTERY_CELLS, 3200, np.int16),
            remote=IDLE_REMOTE,
        )
        return replace(state, **changes)

    return make


class FakeLink:
    """A link to a weightless robot: servoed joints go to their targets at 5 rad/s; it starts folded, its tick is 2 ms.

    `tamper` sees every state with its number (from 0) before it is handed out; it may change, withhold (None) or raise.
    """

    def __init__(self, make_state: StateMaker, position: np.ndarray) -> None:
        self._make_state = make_state
        self.position = self._target = position.astype(np.float32)
        self.sent: list[JointCommand] = []
        self.received = 0
        self.tamper: Callable[[int, RobotState], Optional[RobotState]] = lambda number, state: state

    @property
    def statistics(self) -> LinkStatistics:
        return LinkStatistics(len(self.sent), 0, self.received, {}, 0)

    def send(self, command: JointCommand) -> None:
        self.sent.append(command)
        if command.position[0] != POSITION_STOP and command.stiffness[0] > 0.0:
            self._target = command.position.astype(np.float32)

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        number = self.received
        self.received += 1
        step = np.clip(self._target - self.position, -0.01, 0.01)
        noise = np.float32(1e-5 * (1 + number % 5))  # a live velocity is never exactly zero
        self.position, velocity = self.position + step, step / np.float32(0.002) + noise
        state = self._make_state(tick_ms=2 * number, joint_position=self.position, joint_velocity=velocity)
        return self.tamper(number, state)

    def close(self) -> None:
        pass


@pytest.fixture
def folded_link(make_state: StateMaker, robot: RobotModel) -> FakeLink:
    """A robot lying folded, with its calves outside the limits, as a real one does."""
    position = robot.sit_position.copy()
    position[2::3] = -2.78
    return FakeLink(make_state, position)


@pytest.fixture(scope="session")
def contract(robot: RobotModel) -> PolicyContract:
    """A small contract that uses every signal."""
    joints = len(robot.joint_names)
    return PolicyContract(
        robot=robot.name,
        joint_names=robot.joint_names,
        policy_joint_names=robot.joint_names,
        control_hz=robot.control_hz,
        link_hz=robot.link_hz,
        stiffness=(30.0,) * joints,
        damping=(0.75,) * joints,
        default_position=tuple(robot.stand_position.tolist()),
        action_scale=(0.25,) * joints,
        target_lower=tuple(robot.joint_lower.tolist()),
        target_upper=tuple(robot.joint_upper.tolist()),
        commands=(
            CommandTerm("vx", "m/s", -1.0, 1.5),
            CommandTerm("vy", "m/s", -0.8, 0.8),
            CommandTerm("yaw", "rad/s", -1.5, 1.5),
        ),
        terms=tuple(
            ObservationTerm(name, (1.0,))
            for name in ("projected_gravity", "angular_velocity", "joint_position", "joint_velocity", "command")
        ),
        history_length=1,
        gait_clock=None,
        observation_mean=(),
        observation_std=(),
    )


class FakePolicy:
    """A session that asks for the standing pose plus 0.01 rad times the noise, and remembers what it was given."""

    def __init__(self, stand_position: np.ndarray) -> None:
        self._stand_position = stand_position
        self.resets = 0
        self.calls: list[tuple[np.ndarray, ...]] = []
        self.tamper: Callable[[int, np.ndarray], np.ndarray] = lambda number, target: target

    def reset(self) -> None:
        self.resets += 1

    def step(self, *signals: np.ndarray) -> PolicyOutput:
        noise = signals[5]
        target = (self._stand_position + 0.01 * noise).astype(np.float32)
        target = self.tamper(len(self.calls), target)
        self.calls.append(tuple(signal.copy() for signal in signals))
        zeros, ones = np.zeros(MOTORS, np.float32), np.ones(MOTORS, np.float32)
        return PolicyOutput(target, noise, zeros, ones, -3.5, np.zeros(15, np.float32), np.zeros(14, np.float32))


@pytest.fixture
def policy(robot: RobotModel) -> FakePolicy:
    return FakePolicy(robot.stand_position)


@pytest.fixture
def bench(folded_link: FakeLink, policy: FakePolicy, contract: PolicyContract, robot: RobotModel) -> Bench:
    return Bench(folded_link, policy, contract, robot)


@pytest.fixture
def view(make_state: StateMaker) -> ViewMaker:
    return view_maker(make_state)


@pytest.fixture
def walking(make_state: Any, robot: RobotModel, tmp_path: Path) -> Iterator[Callable[..., Walk]]:
    """Starts a session and waits until the policy drives."""
    robots: list[RealTimeRobot] = []
    sessions: list[Session] = []

    def start(**options: Any) -> Walk:
        robots.append(RealTimeRobot(make_state, robot))
        sessions.append(Session(robots[-1].port, tmp_path, **options))
        walk = Walk(robots[-1], sessions[-1], robot)
        walk.wait_for_the_policy()
        return walk

    yield start
    for session in sessions:
        session.kill_all()
    for server in robots:
        server.stop()
