"""The 500 Hz states of a log as a timeline: what the policy steps look up in it."""

from __future__ import annotations

import numpy as np

from offline_data.velocity import Motion, VelocityEstimate, VelocitySettings, estimate_velocity
from robot_configs.robot import RobotModel

_VELOCITY_HZ = 100.0
"""States are averaged to this rate for the velocity: within 2 mm/s of 500 Hz on the twin, at a fifth of the work."""
SIGNALS = (
    "orientation_trunk_in_world",
    "angular_velocity_trunk_in_trunk",
    "joint_position",
    "joint_velocity",
)
_AVERAGED = ("joint_torque", "foot_force")


def ordered_states(states: np.ndarray) -> np.ndarray:
    """States by time, repetitions dropped: a foreign recorder may have written two of them in the wrong order."""
    _, first = np.unique(states["monotonic_ns"], return_index=True)
    return states[first]


class StateTimeline:
    """The 500 Hz states of a log, with what is looked up in them."""

    def __init__(self, states: np.ndarray, robot: RobotModel, settings: VelocitySettings) -> None:
        self.states = states
        self.stamps = states["monotonic_ns"]
        self._sums = {name: _running_sum(np.nan_to_num(states[name])) for name in _AVERAGED}
        self._broken = {name: _running_sum(~np.isfinite(states[name])) for name in _AVERAGED}
        self._velocity_time, self._velocity = _estimate(states, robot, settings)

    def mean(self, name: str, boundaries_ns: np.ndarray) -> np.ndarray:
        """Mean of `name` between consecutive boundaries; NaN where no state, or a broken one, lies between them."""
        at = np.searchsorted(self.stamps, boundaries_ns)
        count = np.diff(at)[:, None].astype(np.float64)
        total, broken = np.diff(self._sums[name][at], axis=0), np.diff(self._broken[name][at], axis=0)
        return np.divide(total, count, out=np.full_like(total, np.nan), where=(count > 0) & (broken == 0))

    def velocity(self, stamps_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Velocity (n, 3) and confidence (n,) at these moments; outside the estimated span the confidence is zero."""
        seconds = (stamps_ns - self.stamps[0]) * 1e-9
        axes = [np.interp(seconds, self._velocity_time, axis) for axis in self._velocity.velocity_trunk_in_trunk.T]
        confidence = np.interp(seconds, self._velocity_time, self._velocity.confidence)
        margin = 1.0 / _VELOCITY_HZ
        inside = (seconds >= self._velocity_time[0] - margin) & (seconds <= self._velocity_time[-1] + margin)
        return np.stack(axes, axis=1), np.where(inside, confidence, 0.0)

    def final_state(self, last_tick_ns: int, step_ns: int, end_ns: int | None) -> np.void | None:
        """The state one step after the last tick, or the last good one before the episode's end; None without any."""
        until = last_tick_ns + step_ns
        if end_ns is not None:
            until = min(until, max(end_ns, last_tick_ns + 1))
        candidates = self.states[(self.stamps > last_tick_ns) & (self.stamps <= until)][::-1]
        for state in candidates:
            if all(np.isfinite(state[name]).all() for name in SIGNALS):
                return state
        return None


def _estimate(states: np.ndarray, robot: RobotModel, settings: VelocitySettings) -> tuple[np.ndarray, VelocityEstimate]:
    """The velocity at `_VELOCITY_HZ`, from averages of the states in between (holes stay holes)."""
    seconds = (states["monotonic_ns"] - states["monotonic_ns"][0]) * 1e-9
    _, first = np.unique(np.floor(seconds * _VELOCITY_HZ + 1e-6).astype(np.int64), return_index=True)
    size = np.diff(np.append(first, len(states)))[:, None]

    def averaged(name: str) -> np.ndarray:
        return np.add.reduceat(states[name].astype(np.float64), first, axis=0) / size

    time_s = np.add.reduceat(seconds, first) / size[:, 0]
    names = SIGNALS + ("specific_force_imu_in_trunk", "foot_force")
    signals = {name: averaged(name) for name in names}
    return time_s, estimate_velocity(robot, Motion(time_s=time_s, **signals), settings)


def _running_sum(values: np.ndarray) -> np.ndarray:
    """(N + 1, k) sums of the rows before each."""
    return np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
