"""A shadow over a log: a new policy is shown what the old one saw on the robot, without a robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deploy.onboard.shadow import DriverStep, Shadow
from deploy.onboard.shadow_report import ShadowError, ShadowReport
from offline_data.log_reader import Log, log_paths, read_log
from policy.bundle import Bundle, PolicySession, verify_bundle
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel


def replay(logs: Path, bundle: Bundle, robot: RobotModel) -> ShadowReport:
    """Compare `bundle` with the policy that drove in every log below `logs`.

    Raises:
        ContractError, BundleError: the policy is not for this robot, or does not compute what was sealed.
        LogError: no log there, or a file that cannot be read.
        ShadowError: the policies cannot be compared, or the logs are of more than one driver.
    """
    verify_bundle(bundle, robot)
    paths = log_paths(logs)
    first = read_log(paths[0])
    driver = PolicyContract.from_json(first.metadata.contract_json)
    shadow = Shadow(PolicySession(bundle, robot), driver, robot)
    driver_steps = 0
    for path in paths:
        log = first if path == paths[0] else read_log(path)
        _require_same_driver(log, first)
        shadow.forget()
        _replay_ticks(shadow, log.policy_tick, driver.command_dim)
        driver_steps += len(log.policy_tick)
    return ShadowReport(bundle.sha256, first.metadata.bundle_sha256, driver_steps, shadow.findings())


def _require_same_driver(log: Log, first: Log) -> None:
    found, expected = log.metadata.bundle_sha256, first.metadata.bundle_sha256
    if found != expected:
        raise ShadowError(
            f"logs of one driver: {expected[:12]} as in {first.path.name}",
            f"{found[:12]} in {log.path.name}",
            "Compare with one driver at a time: give a single log, or a folder of its own.",
        )


def _replay_ticks(shadow: Shadow, ticks: np.ndarray, command_dim: int) -> None:
    for row in ticks:
        shadow.see(
            DriverStep(
                row["episode"],
                row["tick"],
                row["orientation_trunk_in_world"],
                row["angular_velocity_trunk_in_trunk"],
                row["joint_position"],
                row["joint_velocity"],
                row["command"][:command_dim],
                row["action_mean"],
                row["action_std"],
            )
        )
