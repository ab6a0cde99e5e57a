"""Whether an episode of a log may be learnt from: what it says must be possible, and its parts must agree.

    /low_state ── impossible, stuck, teleported? ── the state that the policy says it saw?
    action ── contract ── the joint target that was logged? ── followed by the joint of that name?

A number that is not finite costs the steps that hold it; what is found here costs the episode, for it makes whole
stretches wrong, or all of them. Whether the policy that acted is the one that is named is asked where it is at hand
(`deploy.host.logged_policy`).
"""

from __future__ import annotations

import numpy as np

from offline_data.leg_order import swapped_legs
from offline_data.sensor_checks import impossible_findings, teleport_findings
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel

_TARGET_TOLERANCE_RAD = 1e-3
"""Targets are recomputed in another precision than the graph's; a swapped joint is off by a tenth and more."""
_TOLERATED_SHARE = 0.05
"""Of the steps that may disagree: a single damaged one does not make an episode another robot's."""


def episode_faults(
    rows: dict[str, np.ndarray], ticks: np.ndarray, states: np.ndarray, contract: PolicyContract, robot: RobotModel
) -> tuple[str, ...]:
    """Why the episode must not be learnt from, one line a reason; empty where nothing speaks against it.

    Args:
        rows: columns of the data set, T steps and the final row.
        ticks: (T,) of `/policy_tick`, those of the rows.
        states: (N,) of `/low_state`, by time, from the first step to the final row.
    """
    reasons = [str(finding) for finding in impossible_findings(states, robot)]
    reasons += [str(finding) for finding in teleport_findings(states, robot)]
    steps = len(rows["joint_target"]) - 1
    other_state = _seen_differently(ticks, states, robot)
    other_target = _targets_differ(rows["action"][:steps], rows["joint_target"][:steps], contract)
    swapped = swapped_legs(rows["joint_target"][:steps], rows["joint_position"][1:], robot.foot_names)
    return (*reasons, *(reason for reason in (other_state, other_target, swapped) if reason is not None))


def _seen_differently(ticks: np.ndarray, states: np.ndarray, robot: RobotModel) -> str | None:
    """Joint positions in the policy's record against the state that they were read from, where that was logged."""
    at = np.searchsorted(states["monotonic_ns"], ticks["state_monotonic_ns"])
    at = np.minimum(at, max(len(states) - 1, 0))
    if len(states) == 0:
        return None
    logged = states["monotonic_ns"][at] == ticks["state_monotonic_ns"]
    error = np.abs(ticks["joint_position"][logged] - states["joint_position"][at[logged]])
    return _disagreement(
        error,
        robot.plausibility.joint_position_jump_rad,
        robot.joint_names,
        "the policy saw other joint positions than /low_state holds: swapped legs, or two robots in one log",
    )


def _targets_differ(action: np.ndarray, joint_target: np.ndarray, contract: PolicyContract) -> str | None:
    """Logged joint targets (T, 12) against those that the contract makes of the actions (T, 12, policy order)."""
    executed = action if contract.action_clip is None else np.clip(action, -contract.action_clip, contract.action_clip)
    to_wire = [contract.policy_joint_names.index(name) for name in contract.joint_names]
    target = np.array(contract.default_position) + np.array(contract.action_scale) * executed[:, to_wire]
    target = np.clip(target, contract.target_lower, contract.target_upper)
    return _disagreement(
        np.abs(joint_target - target),
        _TARGET_TOLERANCE_RAD,
        contract.joint_names,
        "the joint targets are not those of the actions: swapped legs, or another policy's contract",
    )


def _disagreement(error_rad: np.ndarray, limit_rad: float, joints: tuple[str, ...], what: str) -> str | None:
    """The reason with joints and size, where more steps than tolerated have an error (T, 12) above the limit."""
    beyond = error_rad > limit_rad
    if len(error_rad) == 0 or beyond.any(axis=1).mean() <= _TOLERATED_SHARE:
        return None
    named = ", ".join(joint for joint, share in zip(joints, beyond.mean(axis=0), strict=True) if share > 0)
    return f"{what} ({named}; up to {error_rad.max():.2f} rad)"
