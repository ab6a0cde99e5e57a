"""The twin's body: physics, motors and sensors in one object: commands in, measurements out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import AbstractSet, Optional

import mujoco
import numpy as np

from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.wire import JointCommand, RobotState
from robot_configs.robot import RobotModel, load_robot
from robot_configs.twin_conditions import TwinCondition
from sim.divergence import LARGEST_STATE, divergence
from sim.twin.foot_drag import FootDrag
from sim.twin.handling import (
    DROP_HEIGHT_M,
    LOOK_EVERY_TICKS,
    SETTLE_LIMIT_S,
    SETTLED_LOOK_STEPS,
    SETTLED_RAD_S,
    draw_push,
    draw_push_tick,
)
from sim.twin.motor import MotorBank
from sim.twin.sensors import SensorSuite
from sim.twin.world import PHYSICS_STEP_S, build_model, ground_quaternion, roll_terrain

_RESCUE_AFTER_S = 1.0
_TIPPED_COSINE = math.cos(math.radians(60.0))  # whatever the motors do
_LIMP_TIPPED_COSINE = math.cos(math.radians(45.0))  # a limp robot that leans so does not lie on its belly
_HOME_RADIUS_M = 0.5  # a folded robot within it needs nobody's help


@dataclass(frozen=True, eq=False)
class TwinTruth:
    """What only a simulator knows; arrays are copies.

    Attributes:
        time_s: since reset.
        position_trunk_in_world: (3,) [m].
        orientation_trunk_in_world: (4,) w x y z.
        linear_velocity_trunk_in_trunk: (3,) [m/s], of the trunk frame's origin.
        angular_velocity_trunk_in_trunk: (3,) [rad/s].
        joint_position, joint_velocity: (12,) [rad], [rad/s].
        joint_torque: (12,) delivered by the motors [Nm].
        foot_contact_force_in_world: (4, 3), of the ground on the feet [N].
        mechanical_power_w: sum over the joints of max(0, torque velocity) [W]: nothing is won back by braking.
    """

    time_s: float
    position_trunk_in_world: np.ndarray
    orientation_trunk_in_world: np.ndarray
    linear_velocity_trunk_in_trunk: np.ndarray
    angular_velocity_trunk_in_trunk: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    joint_torque: np.ndarray
    foot_contact_force_in_world: np.ndarray
    mechanical_power_w: float


class TwinBody:
    """A Go1 in a world. The same condition, seed and commands give bit-identical states.

    Args:
        condition: the world and what is wrong with the robot.
        seed: of everything random: bumps, folded pose, biases, noise, pushes.
        rescue: whether a virtual person sets the robot upright again, folded at the origin, once for a second it has
            been tipped over by more than 60 degrees (limp: 45), or limp away from the origin. `rescues` counts.
        robot: the robot's facts; the Go1's own by default.
    """

    def __init__(
        self, condition: TwinCondition, seed: int = 0, rescue: bool = False, robot: Optional[RobotModel] = None
    ) -> None:
        self.condition = condition
        self.robot = robot if robot is not None else load_robot()
        self.model = build_model(condition, self.robot)
        self.data = mujoco.MjData(self.model)
        self._option = self.model.opt
        self._with_sensors = int(self._option.disableflags)
        self._without_sensors = self._with_sensors | int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
        self._rescue = rescue
        self._steps_per_tick = round(1.0 / (self.robot.link_hz * PHYSICS_STEP_S))
        self._tick_ms = round(1000.0 / self.robot.link_hz)
        self._motors = MotorBank(self.robot, condition.motors)
        self._sensors = SensorSuite(condition, self.robot)
        self._feet = tuple(self.model.geom(f"{name}_foot").id for name in self.robot.foot_names)
        self._drag = FootDrag(self.model, self.robot)
        self._bind_views()
        self.power_ups = 0
        """How often it was reset, the first time included: each forgets the command that acted."""
        self.reset(seed)

    def _bind_views(self) -> None:
        """Views into MuJoCo's arrays, made once: making one costs more than reading it."""
        data = self.data
        self._orientation, self._joint_position = data.qpos[3:7], data.qpos[7:19]
        self._angular_velocity, self._joint_velocity = data.qvel[3:6], data.qvel[6:18]
        self._control = data.ctrl[: len(self.robot.joint_names)]
        self._velocities = data.qvel
        first_foot = self.robot.foot_names[0]
        accelerometer_at = int(self.model.sensor("accelerometer").adr[0])
        touch_at = int(self.model.sensor(f"{first_foot}_touch").adr[0])
        self._specific_force = data.sensordata[accelerometer_at : accelerometer_at + 3]
        self._foot_force = data.sensordata[touch_at : touch_at + len(self._feet)]

    def reset(self, seed: int) -> RobotState:
        """Power up folded at the origin, motors braking: clock at zero, new bumps and biases, a charged battery.

        Raises:
            DivergedPhysicsError: the robot can not lie down under this condition.
        """
        self._random = np.random.default_rng(seed)
        roll_terrain(self.model, self._random)
        mujoco.mj_resetData(self.model, self.data)
        self._motors.switch_off()
        self._step_count = 0
        self._ticks = 0
        self._helpless_ticks = 0
        self.power_ups += 1
        self._next_push_tick = self._draw_push_tick()
        self.rescues = 0
        self._sensors.reset(self._random)
        self._fold_at_origin()
        self._settle()
        return self._measure()

    def accept(self, command: JointCommand) -> None:
        """Take a command that arrives now.

        Raises:
            MotorCommandError: a number of it is not finite; the motors go on with what they had.
        """
        self._motors.accept(command, self._step_count)

    def step(self, command: Optional[JointCommand] = None) -> RobotState:
        """Advance one tick of the link (2 ms); without a new command the last one acts on.

        Raises:
            MotorCommandError: as for `accept`; time has not advanced.
            DivergedPhysicsError: the robot moves as nothing can; only resetting helps.
        """
        if command is not None:
            self.accept(command)
        # Sensors act on nothing: only the tick's last physics step has to compute them.
        self._option.disableflags = self._without_sensors
        for _ in range(self._steps_per_tick - 1):
            self._physics_step()
        self._option.disableflags = self._with_sensors
        self._physics_step()
        self._require_motion()
        self._ticks += 1
        if self._ticks % LOOK_EVERY_TICKS == 0:
            self._push_when_due()
            if self._rescue:
                self._rescue_when_helpless()
        return self._measure()

    def press(
        self, keys: AbstractSet[Key] = frozenset(), lx: float = 0.0, ly: float = 0.0, rx: float = 0.0, ry: float = 0.0
    ) -> None:
        """Hold these keys and sticks of the wireless remote from now on; without arguments, let go of it."""
        self._sensors.remote = encode_remote(keys, lx, ly, rx, ry)

    def set_motor_strength(self, joint: int, strength: float) -> None:
        """From now on, motor `joint` delivers this share of what is demanded [-]; resetting does not heal it."""
        self._motors.set_strength(joint, strength)

    @property
    def time_s(self) -> float:
        """Since reset [s]."""
        return self._ticks / self.robot.link_hz

    @property
    def truth(self) -> TwinTruth:
        """The true state now."""
        data = self.data
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, self._orientation)
        torque = self._motors.delivered.copy()
        return TwinTruth(
            time_s=self.time_s,
            position_trunk_in_world=data.qpos[:3].copy(),
            orientation_trunk_in_world=self._orientation.copy(),
            linear_velocity_trunk_in_trunk=rotation.reshape(3, 3).T @ data.qvel[:3],
            angular_velocity_trunk_in_trunk=self._angular_velocity.copy(),
            joint_position=self._joint_position.copy(),
            joint_velocity=self._joint_velocity.copy(),
            joint_torque=torque,
            foot_contact_force_in_world=self._foot_contact_force(),
            mechanical_power_w=float(np.maximum(torque * self._joint_velocity, 0.0).sum()),
        )

    def _physics_step(self) -> None:
        self._control[:] = self._motors.torque(self._step_count, self._joint_position, self._joint_velocity)
        self._drag.apply(self.data.ctrl, self.data.geom_xpos)
        mujoco.mj_step(self.model, self.data)
        self._step_count += 1

    def _require_motion(self) -> None:
        # The comparison fails for what is not a number.
        if not np.abs(self._velocities).max() <= LARGEST_STATE:
            raise divergence(f"the twin {self.condition.name!r}, {self.time_s:g} s after its reset,")

    def _settle(self) -> None:
        """Let the folded robot sink until it rests, then set the physics' clock to zero."""
        for step in range(round(SETTLE_LIMIT_S / PHYSICS_STEP_S)):
            self._physics_step()
            looks = step % SETTLED_LOOK_STEPS == SETTLED_LOOK_STEPS - 1
            if looks and np.abs(self.data.qvel).max() < SETTLED_RAD_S:
                break
        self._require_motion()
        self._step_count = 0
        self.data.time = 0.0

    def _measure(self) -> RobotState:
        return self._sensors.measure(
            self._random,
            tick_ms=self._ticks * self._tick_ms,
            orientation=self._orientation,
            angular_velocity=self._angular_velocity,
            specific_force=self._specific_force,
            joint_position=self._joint_position,
            joint_velocity=self._joint_velocity,
            estimated_torque=self._motors.estimated_torque,
            motor_mode=self._motors.mode,
            foot_force_n=self._foot_force,
        )

    def _foot_contact_force(self) -> np.ndarray:
        """(4, 3) [N], world frame; the contacts are those of the last physics step."""
        total = np.zeros((len(self._feet), 3))
        wrench = np.empty(6)
        for index, contact in enumerate(self.data.contact):
            for foot, geom in enumerate(self._feet):
                if geom not in (contact.geom1, contact.geom2):
                    continue
                mujoco.mj_contactForce(self.model, self.data, index, wrench)
                # The contact frame's first axis, a row of `frame`, points from geom1 to geom2, and so does the force.
                sign = 1.0 if geom == contact.geom2 else -1.0
                total[foot] += sign * (contact.frame.reshape(3, 3).T @ wrench[:3])
        return total

    def _fold_at_origin(self) -> None:
        """Upright, at rest, legs folded, just above the ground; the pose varies, as nobody folds twice alike."""
        spread = self.condition.disturbance.start_joint_spread_rad
        joints = self.robot.sit_position + self._random.uniform(-spread, spread, size=12)
        qpos, data = self.data.qpos, self.data
        qpos[:3] = 0.0
        qpos[3:7] = ground_quaternion(self.condition.ground)
        qpos[7:19] = joints
        data.qvel[:] = 0.0
        data.qacc_warmstart[:] = 0.0
        mujoco.mj_kinematics(self.model, data)
        normal = np.empty(3)
        mujoco.mju_rotVecQuat(normal, np.array([0.0, 0.0, 1.0]), qpos[3:7])
        lowest = min(float(normal @ data.geom_xpos[foot]) - self.robot.geometry.foot_radius for foot in self._feet)
        qpos[:3] = normal * (DROP_HEIGHT_M - lowest)
        mujoco.mj_kinematics(self.model, data)  # the drag reads how deep the feet are

    def _draw_push_tick(self) -> float:
        return draw_push_tick(self.condition.disturbance, self._ticks, self.robot.link_hz, self._random)

    def _push_when_due(self) -> None:
        if self._ticks < self._next_push_tick:
            return
        self.data.qvel[:3] += draw_push(self.condition.disturbance, self._random)
        self._next_push_tick = self._draw_push_tick()

    def _rescue_when_helpless(self) -> None:
        self._helpless_ticks = self._helpless_ticks + LOOK_EVERY_TICKS if self._needs_help() else 0
        if self._helpless_ticks >= _RESCUE_AFTER_S * self.robot.link_hz:
            self._fold_at_origin()
            self._helpless_ticks = 0
            self.rescues += 1

    def _needs_help(self) -> bool:
        _, x, y, _ = self._orientation.tolist()
        upright = 1.0 - 2.0 * (x * x + y * y)  # cosine between the trunk's and the world's z axes
        if not self._motors.holds_nothing:
            return upright < _TIPPED_COSINE
        away = math.hypot(self.data.qpos[0], self.data.qpos[1]) > _HOME_RADIUS_M
        return away or upright < _LIMP_TIPPED_COSINE
