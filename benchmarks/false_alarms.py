"""Does the gate let go of a healthy robot? Walks on the twin's conditions, and why each of them ended.

    python -m benchmarks.false_alarms --episodes 3

The runner walks through real packets, in lockstep, nothing is injected. A walk ends as planned or with a fall: the
trunk is really tilted when the gate says so. Any other fault of the gate is a false alarm, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.pilot import PilotStep
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import EpisodeSummary
from offline_data.log_schema import Ending
from policy.bundle import BUNDLES, Bundle, read_bundle
from robot_configs.robot import RobotModel, load_robot
from robot_configs.twin_conditions import condition_names, load_condition
from sim.evaluate import DEFAULT_COMMANDS, seeded
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport

TILT_SLACK_RAD = 0.1
"""The gate judges by a state that is a few milliseconds old and noisy; the truth is looked at when it has judged."""


@dataclass(frozen=True)
class Walk:
    """How one walk ended.

    Attributes:
        ending: name of `Ending`, lower case; empty if the robot never came to walk.
        reason: what the gate, or the schedule, gave for it.
        tilt_rad: angle between the trunk's true z axis and the vertical then.
    """

    condition: str
    seed: int
    ending: str
    reason: str
    duration_s: float
    tilt_rad: float

    def is_as_planned(self) -> bool:
        """Whether it lasted to its end."""
        return self.ending == Ending.TRUNCATED.name.lower()

    def is_fall(self, robot: RobotModel) -> bool:
        """Whether the robot really lay tilted."""
        return "tilt" in self.reason and self.tilt_rad > robot.safety.tilt_limit_rad - TILT_SLACK_RAD


class _TiltAtTheEnd:
    """Looks at the twin's truth in the tick in which an episode ends."""

    def __init__(self, body: TwinBody) -> None:
        self._body = body
        self.tilt_rad = math.nan

    def on_policy_step(self, step: PilotStep) -> None:
        """Nothing to see."""

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        """Take the tilt."""
        self.tilt_rad = tilt_rad(self._body.truth.orientation_trunk_in_world)


def tilt_rad(orientation: np.ndarray) -> float:
    """Angle [rad] between the trunk's z axis and the vertical, from its attitude (4,) w x y z in the world."""
    _, x, y, _ = orientation / np.linalg.norm(orientation)
    return math.acos(float(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0)))


def walk(bundle: Bundle, condition: str, seed: int, episode_s: float, commands: str) -> Walk:
    """Stand up, walk once with the policy's mean action, and say how that ended."""
    body = TwinBody(load_condition(condition), seed)
    observer = _TiltAtTheEnd(body)
    settings = RunSettings(
        seeded(commands, seed), SessionSettings(episode_s, episodes=1), exploration=0.0, seed=seed, lockstep=True
    )
    link = PacketLink(TwinTransport(body))
    summary = run_session(bundle, load_robot(), link, VirtualClock(), settings, observers=[observer])
    if not summary.episodes:
        return Walk(condition, seed, "", ", ".join(summary.faults) or summary.stop_reason, 0.0, math.nan)
    episode = summary.episodes[0]
    return Walk(condition, seed, episode.ending, episode.reason, episode.duration_s, observer.tilt_rad)


def row(condition: str, walks: list[Walk], robot: RobotModel) -> str:
    """A line of the report's table."""
    planned = sum(each.is_as_planned() for each in walks)
    falls = [each for each in walks if each.is_fall(robot)]
    alarms = [each for each in walks if not each.is_as_planned() and not each.is_fall(robot)]
    reasons = "; ".join(f"{each.reason} (seed {each.seed}, tilt {each.tilt_rad:.2f} rad)" for each in alarms)
    return f"| {condition} | {len(walks)} | {planned} | {len(falls)} | {len(alarms)} | {reasons or '-'} |"


def main() -> int:
    """Walk, print the table; 1 if there was a false alarm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("conditions", nargs="*", default=list(condition_names()), help="twin conditions [all]")
    parser.add_argument("--bundle", type=Path, default=BUNDLES / "go1_velocity.go1policy")
    parser.add_argument("--episodes", type=int, default=3, help="walks in each condition [%(default)s]")
    parser.add_argument("--episode-s", type=float, default=10.0, help="planned length of a walk [s] [%(default)s]")
    parser.add_argument("--commands", default=DEFAULT_COMMANDS, help="specification of the commands [%(default)s]")
    options = parser.parse_args()
    bundle, robot = read_bundle(options.bundle), load_robot()
    false_alarms = 0
    print("| condition | walks | as planned | falls | false alarms | which |\n|---|---|---|---|---|---|")
    for condition in options.conditions:
        walks = [walk(bundle, condition, seed, options.episode_s, options.commands) for seed in range(options.episodes)]
        false_alarms += sum(not each.is_as_planned() and not each.is_fall(robot) for each in walks)
        print(row(condition, walks, robot), flush=True)
    return 1 if false_alarms else 0


if __name__ == "__main__":
    sys.exit(main())
