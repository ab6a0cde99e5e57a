"""How near do a healthy robot's sensors come to what the gate takes for a jump? The largest of many walks on the twin.

    python -m benchmarks.sensor_margins nominal mattress rough --episodes 4
    python -m benchmarks.sensor_margins nominal mattress rough --push 2.5 --velocity-lag-ms 8

Runner, gate and packets are the robot's own, in lockstep. What is compared is computed by the gate's own functions from
the states that it was given, over ticks of 2 ms; a walk counts up to its end, blows of a fall included.
"""

from __future__ import annotations

import argparse
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Optional

import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.signal_lists import SignalLists, motion_error, taken_apart
from deploy.onboard.state_checks import signals
from deploy.onboard.wire import RobotState
from policy.bundle import BUNDLES, Bundle, read_bundle
from robot_configs.robot import RobotModel, load_robot
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.evaluate import DEFAULT_COMMANDS, seeded
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport

_CALVES = slice(2, None, 3)
_TICK_MS = 2


class WatchedLink(PacketLink):
    """A link that keeps the largest change between two states in a row of all that it hands on.

    Attributes:
        largest: velocity of hips and thighs, of calves [rad/s]; position beyond what the velocities explain [rad];
            gyroscope [rad/s]; quaternion beyond what the gyroscope explains [rad].
    """

    def __init__(self, body: TwinBody, velocity_lag_ms: int = 0) -> None:
        super().__init__(TwinTransport(body))
        self.largest = np.zeros(5)
        self._before: Optional[tuple[int, SignalLists]] = None
        self._velocities: deque[list[float]] = deque(maxlen=1 + velocity_lag_ms // _TICK_MS)

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        """As the link beneath; what comes is looked at in passing."""
        state = super().receive(timeout_s)
        if state is not None:
            measured = taken_apart(signals(state).tolist())
            self._velocities.append(measured.velocity)
            now = state.tick_ms, measured._replace(velocity=self._velocities[0])
            if self._before is not None and now[0] - self._before[0] == _TICK_MS:
                self.largest = np.maximum(self.largest, changes(self._before[1], now[1], 1e-3 * _TICK_MS))
            self._before = now
        return state


def changes(before: SignalLists, now: SignalLists, advance_s: float) -> np.ndarray:
    """The five figures of `WatchedLink` between two states `advance_s` apart."""
    velocity = np.abs(np.subtract(now.velocity, before.velocity))
    calves = np.zeros(len(velocity), dtype=bool)
    calves[_CALVES] = True
    error = motion_error(before, now, advance_s)
    return np.array(
        [
            velocity[~calves].max(),
            velocity[calves].max(),
            np.abs(error.joint_rad).max(),
            np.abs(np.subtract(now.gyroscope, before.gyroscope)).max(),
            np.abs(error.rotation_rad).max(),
        ]
    )


def limits(robot: RobotModel, advance_s: float) -> np.ndarray:
    """What the gate lets each of them be, in the same order."""
    known = robot.plausibility
    acceleration = known.joint_acceleration_factor * robot.torque_limit / robot.armature
    velocity = known.joint_velocity_jump_rad_s + advance_s * acceleration
    return np.array(
        [
            np.delete(velocity, np.s_[_CALVES]).min(),
            velocity[_CALVES].min(),
            known.joint_position_jump_rad + advance_s * known.joint_velocity_error_rad_s,
            advance_s * known.angular_acceleration_rad_s2,
            known.rotation_jump_rad + advance_s * known.angular_velocity_error_rad_s,
        ]
    )


def walk(bundle: Bundle, condition: TwinCondition, seed: int, episode_s: float, velocity_lag_ms: int) -> np.ndarray:
    """Largest changes (5,) of one walk with the policy's mean action; only what is compared lags."""
    link = WatchedLink(TwinBody(condition, seed), velocity_lag_ms)
    session = SessionSettings(episode_s, episodes=1)
    settings = RunSettings(seeded(DEFAULT_COMMANDS, seed), session, exploration=0.0, seed=seed, lockstep=True)
    run_session(bundle, load_robot(), link, VirtualClock(), settings)
    return link.largest


def main() -> None:
    """Walk in each condition and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("conditions", nargs="+", help="twin conditions")
    parser.add_argument("--bundle", type=Path, default=BUNDLES / "go1_velocity.go1policy")
    parser.add_argument("--episodes", type=int, default=4, help="walks in each condition [%(default)s]")
    parser.add_argument("--episode-s", type=float, default=10.0, help="planned length of a walk [s] [%(default)s]")
    parser.add_argument("--push", type=float, help="push by this speed every 2 s [m/s]")
    parser.add_argument("--velocity-lag-ms", type=int, default=0, help="let joint velocities come late [%(default)s]")
    options = parser.parse_args()
    bundle = read_bundle(options.bundle)
    print("| in 2 ms | hip, thigh [rad/s] | calf [rad/s] | position [rad] | gyroscope [rad/s] | quaternion [rad] |")
    print("|---|---|---|---|---|---|")
    print(_row("limit", limits(load_robot(), 1e-3 * _TICK_MS)))
    for name in options.conditions:
        condition = load_condition(name)
        if options.push is not None:
            pushes = replace(condition.disturbance, push_speed_m_s=options.push, push_interval_s=2.0)
            condition = replace(condition, disturbance=pushes)
        largest = [
            walk(bundle, condition, seed, options.episode_s, options.velocity_lag_ms)
            for seed in range(options.episodes)
        ]
        print(_row(f"{name}, {len(largest)} walks", np.max(largest, axis=0)), flush=True)


def _row(name: str, values: np.ndarray) -> str:
    return f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} |"


if __name__ == "__main__":
    main()
