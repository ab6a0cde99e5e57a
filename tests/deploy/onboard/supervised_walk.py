"""A session in processes of its own that walks a robot on the network, and what has to hold after it was disturbed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from deploy.onboard.shared_slot import SHARED_MEMORY
from policy.bundle import read_bundle
from robot_configs.robot import RobotModel
from tests.deploy.onboard.real_time_robot import BUNDLE, RealTimeRobot, Session, wait_until


class Walk:
    """A robot that walks, and the session that walks it."""

    def __init__(self, server: RealTimeRobot, session: Session, robot: RobotModel) -> None:
        self.server, self.session, self._robot = server, session, robot
        self._stiffness = read_bundle(BUNDLE).contract.stiffness[0]

    def wait_for_the_policy(self) -> None:
        def driven_by_the_policy() -> bool:
            assert self.session.process.poll() is None, self.session.process.communicate()
            newest = self.server.received[-5:]  # a ramp's gains pass through the policy's, but do not stay
            return bool(newest) and all(received.command.stiffness[0] == self._stiffness for received in newest)

        wait_until(driven_by_the_policy, "walking")
        maps = Path(f"/proc/{self.session.pid('gate')}/maps").read_text().split()
        self.rings = {Path(name) for name in maps if name.startswith(f"{SHARED_MEMORY}/go1_")}

    def assert_damped_since(self, time_s: float) -> None:
        """Once damped, damped for good; and until then within the limits."""
        wait_until(lambda: any(received.damping for received in self.server.after(time_s)), "damped")
        time.sleep(0.3)  # whatever else may be under way
        after = self.server.after(time_s)
        damping = [received.damping for received in after]
        first = damping.index(True)
        assert all(damping[first:]), "the motors pulled again"
        assert len(damping) - first >= 5
        self.assert_within_limits()

    def assert_within_limits(self) -> None:
        for received in self.server.received:
            if not received.damping:
                assert np.all(received.command.position >= self._robot.joint_lower - 1e-6)
                assert np.all(received.command.position <= self._robot.joint_upper + 1e-6)
                assert np.all(received.command.stiffness <= self._robot.max_stiffness)


def endings(summary: dict[str, Any]) -> dict[str, str]:
    return {process["name"]: process["ending"] for process in summary["processes"]}


def assert_nothing_left(walk: Walk, pids: list[int]) -> None:
    wait_until(lambda: not any(alive(pid) for pid in pids), "without orphans")
    wait_until(lambda: not any(ring.exists() for ring in walk.rings), "without shared memory")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
