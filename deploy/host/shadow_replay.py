"""A shadow over a log: a new policy is shown what the old one saw on the robot, without a robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deploy.onboard.shadow import Shadow, ShadowReport, Signals
from offline_data.log_reader import log_paths, read_log
from policy.bundle import Bundle, PolicySession, verify_bundle
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel


def replay(logs: Path, bundle: Bundle, robot: RobotModel) -> ShadowReport:
    """Compare `bundle` with the policy that drove in every log below `logs`.

    Raises:
        ContractError, BundleError: the policy is not for this robot, or does not compute what was sealed.
        LogError: no log there, or a file that cannot be read.
        ShadowError: the policies take different commands, or nothing was walked.
    """
    verify_bundle(bundle, robot)
    shadow = None
    for path in log_paths(logs):
        log = read_log(path)
        driver = PolicyContract.from_json(log.metadata.contract_json)
        if shadow is None:
            shadow = Shadow(PolicySession(bundle, robot), driver)
        _replay_ticks(shadow, log.policy_tick, driver.command_dim)
    assert shadow is not None  # log_paths gives at least one
    return shadow.report()


def _replay_ticks(shadow: Shadow, ticks: np.ndarray, command_dim: int) -> None:
    """Every step in order; after a hole the shadow starts anew, as its memory would be of another moment."""
    previous = (-1, -1)
    for row in ticks:
        place = (int(row["episode"]), int(row["tick"]))
        first = place != (previous[0], previous[1] + 1)
        previous = place
        signals = Signals(
            row["orientation_trunk_in_world"],
            row["angular_velocity_trunk_in_trunk"],
            row["joint_position"],
            row["joint_velocity"],
            row["command"][:command_dim],
        )
        shadow.see(first, signals, row["action_mean"], row["action_std"])
