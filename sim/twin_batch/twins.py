"""N twins in one process, in lockstep with each other: joint targets in, measurements and truth out.

Robot i is the twin of `seeds[i]`: same folded pose, same biases of its sensors. On rough ground robots share at most
eight grounds, and only the first robot of each has the bumps of its own seed: `TwinBatch.grounds` says who shares one.
What a batch leaves out is listed in `sim.twin_batch.coverage`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Optional, Sequence

import numpy as np
import torch

from deploy.onboard.wire import MOTOR_MODE_SERVO, RobotState
from robot_configs.robot import RobotModel, load_robot
from robot_configs.twin_conditions import TwinCondition
from sim.engines.rotations import world_to_trunk
from sim.twin.handling import LOOK_EVERY_TICKS, draw_push, draw_push_tick
from sim.twin.sensors import SensorSuite
from sim.twin.world import PHYSICS_STEP_S
from sim.twin_batch.coverage import require_covered
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.motors import BatchMotors
from sim.twin_batch.simulations import Simulations
from sim.twin_batch.start import fold_at_origin, settle, stand_ramp

OnTick = Callable[[list[RobotState]], None]
"""Told what all robots measure at a tick of the link."""


@dataclass(frozen=True, eq=False)
class BatchTruth:
    """What only a simulator knows, of N robots; the fields of `sim.twin.body.TwinTruth`, arrays are copies.

    Attributes:
        position_trunk_in_world: (N, 3) [m].
        orientation_trunk_in_world: (N, 4) w x y z.
        linear_velocity_trunk_in_trunk, angular_velocity_trunk_in_trunk: (N, 3) [m/s], [rad/s].
        joint_position, joint_velocity: (N, 12) [rad], [rad/s].
        joint_torque: (N, 12) delivered in the last physics step [Nm].
        mechanical_power_w: (N,) sum over the joints of max(0, torque velocity).
    """

    position_trunk_in_world: np.ndarray
    orientation_trunk_in_world: np.ndarray
    linear_velocity_trunk_in_trunk: np.ndarray
    angular_velocity_trunk_in_trunk: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    joint_torque: np.ndarray
    mechanical_power_w: np.ndarray


@dataclass(frozen=True, eq=False)
class BatchStep:
    """What came of one policy step of N robots.

    Attributes:
        fell: (N,) bool, the trunk was past the robot's tilt limit at a tick of the link, as the gate would have seen.
        mean_torque: (N, 12) mean over the ticks of what the motors believed to deliver [Nm].
        measured: what each robot measures at the end.
    """

    fell: np.ndarray
    mean_torque: np.ndarray
    measured: list[RobotState]


class TwinBatch:
    """N Go1s in the worlds of one condition, standing from construction on.

    Args:
        seeds: one a robot, of everything random about it.
        threads: of the physics; 0 takes every core. The result does not depend on it.
        robot: the robot's facts; the Go1's own by default.

    Raises:
        TwinBatchError: no robots, a condition that a batch does not cover, or a robot that did not come to stand.
    """

    def __init__(
        self, condition: TwinCondition, seeds: Sequence[int], threads: int = 0, robot: Optional[RobotModel] = None
    ) -> None:
        if not seeds:
            raise TwinBatchError("at least one robot", "no seeds", "Ask for one or more.")
        self.condition = condition
        self.robot = robot if robot is not None else load_robot()
        require_covered(condition, self.robot)
        self.count = len(seeds)
        self._steps_per_tick = round(1.0 / (self.robot.link_hz * PHYSICS_STEP_S))
        self._lowest_upright = math.cos(self.robot.safety.tilt_limit_rad)
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        self._simulations = Simulations(condition, self.robot, self._generators, threads)
        self._motors = BatchMotors(self.robot, condition.motors, self.count)
        self._sensors = [SensorSuite(condition, self.robot) for _ in seeds]
        self._servo = np.full(len(self.robot.joint_names), MOTOR_MODE_SERVO, dtype=np.uint8)
        self._physics_steps = self._ticks = 0
        self._walking = np.ones(self.count, dtype=bool)
        self._next_push_tick = np.full(self.count, math.inf)
        self._begin()

    def _begin(self) -> None:
        # The order in which a twin draws; tests hold it.
        self._next_push_tick = np.array([self._draw_push_tick(row) for row in range(self.count)])
        for sensors, generator in zip(self._sensors, self._generators, strict=True):
            sensors.reset(generator)
        fold_at_origin(self._simulations, self.condition, self.robot, self._generators)
        settle(self._simulations, self._motors)
        self._stand_up()
        self._standing = self._simulations.save()
        # As after every later reset: where the ground drags, the feet's depths are those of the pose itself.
        self._simulations.restore(np.arange(self.count), self._standing)
        fallen = np.flatnonzero(self._upright() < self._lowest_upright)
        if len(fallen):
            raise TwinBatchError(
                f"robots that can stand up in {self.condition.name}",
                f"{len(fallen)} of {self.count} past the tilt limit afterwards",
                "A policy's walk cannot be measured where standing up fails; change the condition.",
            )

    def _stand_up(self) -> None:
        robot = self.robot
        ramp = stand_ramp(robot, np.stack([state.joint_position for state in self.measure()]))
        for tick in range(round(ramp.duration_s * robot.link_hz)):
            target = ramp.target(tick / robot.link_hz, 0.0)
            position = np.broadcast_to(target.position, (self.count, len(self._servo)))
            self._motors.accept(position, target.stiffness, target.damping, self._physics_steps)
            self._tick()

    def reset(self, rows: np.ndarray) -> None:
        """Robots `rows` (R,), ascending, stand again where and how they first stood, on the same ground.

        Their biases stay, as those of one robot do; noise and pushes go on.
        """
        robot = self.robot
        self._simulations.restore(rows, self._standing)
        gains = [np.full(len(self._servo), gain) for gain in (robot.stand.stiffness, robot.stand.damping)]
        self._motors.hold(rows, np.broadcast_to(robot.stand_position, (len(rows), len(self._servo))), *gains)
        self._walking[rows] = True
        for row in rows:
            self._next_push_tick[row] = self._draw_push_tick(int(row))

    def retire(self, rows: np.ndarray) -> None:
        """Robots `rows` (R,) are not stepped any more until they are reset; what they measure stays."""
        self._walking[rows] = False

    @property
    def grounds(self) -> np.ndarray:
        """(N,) number of the ground under each robot: robots of one number walk over the same bumps."""
        return self._simulations.grounds

    def step(
        self,
        joint_target: np.ndarray,
        stiffness: np.ndarray,
        damping: np.ndarray,
        on_tick: Optional[OnTick] = None,
    ) -> BatchStep:
        """One policy step with targets (N, 12) [rad] and gains (12,) [Nm/rad], [Nm s/rad].

        Sensors are read once, at the end, as the policy reads them; with `on_tick` at every tick of the link.
        """
        self._motors.accept(joint_target, stiffness, damping, self._physics_steps)
        fell = np.zeros(self.count, dtype=bool)
        torque = np.zeros_like(self._motors.estimated_torque)
        for _ in range(self.robot.ticks_per_policy_step):
            self._tick()
            fell |= self._upright() < self._lowest_upright
            torque += self._motors.estimated_torque
            if on_tick is not None:
                measured = self.measure()
                on_tick(measured)
        if on_tick is None:
            measured = self.measure()
        return BatchStep(fell, torque / self.robot.ticks_per_policy_step, measured)

    def measure(self, rows: Optional[Sequence[int]] = None) -> list[RobotState]:
        """What robots `rows`, by default all, measure now; their noise is drawn anew at each call."""
        qpos, qvel = self._simulations.qpos, self._simulations.qvel
        specific_force = self._simulations.sensor("accelerometer", 3)
        foot_force_n = self._simulations.sensor(f"{self.robot.foot_names[0]}_touch", len(self.robot.foot_names))
        tick_ms = round(1000.0 * self._ticks / self.robot.link_hz)
        return [
            self._sensors[row].measure(
                self._generators[row],
                tick_ms=tick_ms,
                orientation=qpos[row, 3:7],
                angular_velocity=qvel[row, 3:6],
                specific_force=specific_force[row],
                joint_position=qpos[row, 7:19],
                joint_velocity=qvel[row, 6:18],
                estimated_torque=self._motors.estimated_torque[row],
                motor_mode=self._servo,
                foot_force_n=foot_force_n[row],
            )
            for row in (range(self.count) if rows is None else rows)
        ]

    @property
    def truth(self) -> BatchTruth:
        """The true states now."""
        qpos, qvel = self._simulations.qpos, self._simulations.qvel
        torque = self._motors.delivered
        return BatchTruth(
            position_trunk_in_world=qpos[:, :3].copy(),
            orientation_trunk_in_world=qpos[:, 3:7].copy(),
            linear_velocity_trunk_in_trunk=_in_trunk(qpos[:, 3:7], qvel[:, :3]),
            angular_velocity_trunk_in_trunk=qvel[:, 3:6].copy(),
            joint_position=qpos[:, 7:19].copy(),
            joint_velocity=qvel[:, 6:18].copy(),
            joint_torque=torque.copy(),
            mechanical_power_w=np.maximum(torque * qvel[:, 6:18], 0.0).sum(axis=1),
        )

    def _tick(self) -> None:
        """One tick of the link (2 ms)."""
        simulations, rows = self._simulations, None if self._walking.all() else self._walking
        for _ in range(self._steps_per_tick):
            torque = self._motors.torque(self._physics_steps, simulations.qpos[:, 7:19], simulations.qvel[:, 6:18])
            simulations.step(torque, rows)
            self._physics_steps += 1
        self._ticks += 1
        if self._ticks % LOOK_EVERY_TICKS == 0:
            self._push_when_due()

    def _upright(self) -> np.ndarray:
        """(N,) cosine between the trunk's and the world's z axes."""
        x, y = self._simulations.qpos[:, 4], self._simulations.qpos[:, 5]
        upright: np.ndarray = 1.0 - 2.0 * (x * x + y * y)
        return upright

    def _draw_push_tick(self, row: int) -> float:
        return draw_push_tick(self.condition.disturbance, self._ticks, self.robot.link_hz, self._generators[row])

    def _push_when_due(self) -> None:
        for row in np.flatnonzero((self._ticks >= self._next_push_tick) & self._walking).tolist():
            self._simulations.push(row, draw_push(self.condition.disturbance, self._generators[row]))
            self._next_push_tick[row] = self._draw_push_tick(row)


def _in_trunk(orientation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """World vectors (N, 3) in the frames of (N, 4)."""
    turned: np.ndarray = world_to_trunk(torch.from_numpy(orientation.copy()), torch.from_numpy(vector.copy())).numpy()
    return turned
