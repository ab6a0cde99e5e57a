"""What the robot would measure of itself: noise, bias, offsets, temperatures and battery over the true state."""

from __future__ import annotations

import math
from typing import Tuple

import numpy as np

from deploy.onboard.packet_layout import BATTERY_CELLS, MOTORS
from deploy.onboard.remote import IDLE_REMOTE
from deploy.onboard.wire import RobotState
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import Power, TwinCondition

_IMU_SELF_HEATING_C = 10  # the board sits closed in the trunk
_SLOW_TICKS = 50  # heat and charge change over seconds: ten updates per second are plenty

_GYRO, _ACCELEROMETER, _ATTITUDE = slice(0, 3), slice(3, 6), slice(6, 9)
_POSITION, _VELOCITY, _FEET = slice(9, 21), slice(21, 33), slice(33, 37)
_CHANNELS = 37


class SensorSuite:
    """Turns true signals into a `RobotState`; bias and offsets are drawn by `reset`, noise at every `measure`."""

    def __init__(self, condition: TwinCondition, robot: RobotModel) -> None:
        self._foot_force = condition.foot_force
        self._noise, self._bias_spread = _deviations(condition)
        self._bias, self._error = np.zeros(_CHANNELS), np.zeros(_CHANNELS)
        # Views of the errors, made once.
        self._gyro_error, self._force_error, self._attitude_error = (
            self._error[place] for place in (_GYRO, _ACCELEROMETER, _ATTITUDE)
        )
        self._position_error, self._velocity_error, self._count_error = (
            self._error[place] for place in (_POSITION, _VELOCITY, _FEET)
        )
        self._batteries = _BatteryAndHeat(condition.power, robot.link_hz)
        self.remote = IDLE_REMOTE
        """What the robot forwards of its wireless remote, 40 bytes."""

    def reset(self, generator: np.random.Generator) -> None:
        """New biases, a charged battery, cool motors, the remote at rest."""
        self._bias = generator.standard_normal(_CHANNELS) * self._bias_spread
        self._batteries.reset()
        self.remote = IDLE_REMOTE

    def measure(
        self,
        generator: np.random.Generator,
        tick_ms: int,
        orientation: np.ndarray,
        angular_velocity: np.ndarray,
        specific_force: np.ndarray,
        joint_position: np.ndarray,
        joint_velocity: np.ndarray,
        estimated_torque: np.ndarray,
        motor_mode: np.ndarray,
        foot_force_n: np.ndarray,
    ) -> RobotState:
        """One LowState worth of measurements.

        Args:
            orientation: true (4,) w x y z, trunk in world.
            angular_velocity, specific_force: true (3,), trunk frame [rad/s], [m/s^2].
            joint_position, joint_velocity, estimated_torque: (12,) [rad], [rad/s], [Nm].
            motor_mode: (12,) uint8.
            foot_force_n: true normal forces (4,) [N].
        """
        error = generator.standard_normal(out=self._error)
        np.multiply(error, self._noise, error)
        np.add(error, self._bias, error)
        gain, offsets = self._foot_force.counts_per_newton, self._count_error.tolist()
        counts = [force * gain + offset for force, offset in zip(foot_force_n.tolist(), offsets, strict=True)]
        power = self._batteries
        power.draw(estimated_torque, joint_velocity)
        quaternion = _disturbed(orientation, self._attitude_error)
        return RobotState.unchecked(
            tick_ms=tick_ms,
            orientation_trunk_in_world=np.array(quaternion),
            angular_velocity_trunk_in_trunk=angular_velocity + self._gyro_error,
            accelerometer_trunk_in_trunk=specific_force + self._force_error,
            roll_pitch_yaw=np.array(_roll_pitch_yaw(quaternion)),
            imu_temperature=power.imu_temperature_c,
            joint_position=joint_position + self._position_error,
            joint_velocity=joint_velocity + self._velocity_error,
            joint_torque=estimated_torque.copy(),
            joint_temperature=power.motor_temperature_c,
            joint_mode=motor_mode,
            foot_force=np.array([_converted(count) for count in counts], dtype=np.int16),
            battery_soc_percent=power.soc_percent,
            battery_current_ma=power.current_ma,
            battery_cell_mv=power.cell_mv,
            remote=self.remote,
        )


class _BatteryAndHeat:
    """State of charge by counting energy; one heat capacity per motor, heated by its copper, cooled by the air."""

    def __init__(self, power: Power, link_hz: int) -> None:
        self._power = power
        self._tick_s = 1.0 / link_hz
        self._temperature_c, self._squared = np.empty(MOTORS), np.empty(MOTORS)
        self.reset()

    def reset(self) -> None:
        self._energy_wh = self._power.capacity_wh * self._power.start_soc_percent / 100.0
        self._heat_j = np.zeros(MOTORS)
        self._work_j = 0.0
        self._ticks = 0
        self._temperature_c.fill(self._power.ambient_temperature_c)
        self.imu_temperature_c = round(self._power.ambient_temperature_c) + _IMU_SELF_HEATING_C
        self._publish(self._power.idle_power_w)

    def draw(self, torque: np.ndarray, joint_velocity: np.ndarray) -> None:
        """Account for one tick of the motors' work and heat."""
        np.multiply(torque, torque, self._squared)
        np.add(self._heat_j, self._squared, self._heat_j)
        self._work_j += float(torque.dot(joint_velocity))
        self._ticks += 1
        if self._ticks == _SLOW_TICKS:
            self._update()

    def _update(self) -> None:
        power, elapsed_s = self._power, self._ticks * self._tick_s
        heating_w = self._heat_j * (power.copper_loss_w_nm2 / self._ticks)
        cooling_w = (self._temperature_c - power.ambient_temperature_c) / power.motor_thermal_resistance_k_w
        self._temperature_c += (heating_w - cooling_w) * (elapsed_s / power.motor_heat_capacity_j_k)
        drawn_w = power.idle_power_w + float(heating_w.sum()) + max(0.0, self._work_j / self._ticks)
        self._energy_wh = max(0.0, self._energy_wh - drawn_w * elapsed_s / 3600.0)
        self._heat_j.fill(0.0)
        self._work_j = 0.0
        self._ticks = 0
        self._publish(drawn_w)

    def _publish(self, drawn_w: float) -> None:
        power = self._power
        charge = self._energy_wh / power.capacity_wh
        cell_v = power.cell_voltage_empty_v + charge * (power.cell_voltage_full_v - power.cell_voltage_empty_v)
        # New arrays, not changed ones: states that were handed out keep theirs. The packet's int8 ends at 127.
        self.motor_temperature_c = np.minimum(self._temperature_c, 127.0).astype(np.int8)
        self.soc_percent = round(100.0 * charge)
        self.cell_mv = np.full(BATTERY_CELLS, round(1000.0 * cell_v), dtype=np.int16)
        # Discharge is negative, as battery gauges count it; the vendor does not document its sign.
        self.current_ma = -round(1000.0 * drawn_w / (power.cells_in_series * cell_v))


def _deviations(condition: TwinCondition) -> Tuple[np.ndarray, np.ndarray]:
    """Standard deviations (37,) of the noise of every tick and of the bias of every reset, in the channels' order."""
    imu, encoders, feet = condition.imu, condition.encoders, condition.foot_force
    counts = (3, 3, 3, MOTORS, MOTORS, 4)
    noise = (
        imu.gyro_noise_rad_s,
        imu.accelerometer_noise_m_s2,
        imu.orientation_noise_rad,
        encoders.position_noise_rad,
        encoders.velocity_noise_rad_s,
        feet.noise_counts,
    )
    bias = (
        imu.gyro_bias_rad_s,
        imu.accelerometer_bias_m_s2,
        imu.orientation_bias_rad,
        encoders.zero_offset_rad,
        0.0,  # velocity comes from differences of positions: a zero offset drops out
        feet.offset_counts,
    )
    return np.repeat(noise, counts), np.repeat(bias, counts)


def _converted(counts: float) -> int:
    """What an analogue-digital converter of 12 bits makes of it: no negative counts, none above 4095."""
    return int(min(4095.0, max(0.0, counts)))


def _disturbed(orientation: np.ndarray, angle: np.ndarray) -> Tuple[float, float, float, float]:
    """`orientation` turned by a small rotation vector (3,) [rad] of the trunk frame: q (1, angle / 2), normalised."""
    w, x, y, z = orientation.tolist()
    a, b, c = angle.tolist()
    a, b, c = 0.5 * a, 0.5 * b, 0.5 * c
    turned_w, turned_x = w - x * a - y * b - z * c, x + w * a + y * c - z * b
    turned_y, turned_z = y + w * b + z * a - x * c, z + w * c + x * b - y * a
    scale = 1.0 / math.sqrt(turned_w * turned_w + turned_x * turned_x + turned_y * turned_y + turned_z * turned_z)
    return turned_w * scale, turned_x * scale, turned_y * scale, turned_z * scale


def _roll_pitch_yaw(quaternion: Tuple[float, float, float, float]) -> Tuple[float, float, float]:
    """Angles [rad] about x, y, z of the rotation R_z(yaw) R_y(pitch) R_x(roll), as the IMU reports them."""
    w, x, y, z = quaternion
    sine_pitch = min(1.0, max(-1.0, 2.0 * (w * y - z * x)))
    return (
        math.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y)),
        math.asin(sine_pitch),
        math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)),
    )
