"""A shadow's arithmetic by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, Optional

import numpy as np
import pytest

from deploy.onboard.shadow import DriverStep, Shadow, check_comparable
from deploy.onboard.shadow_report import Divergence, ShadowError
from policy.contract import CommandTerm, PolicyContract
from robot_configs.robot import RobotModel


class Output(NamedTuple):
    joint_target: np.ndarray


class Candidate:
    """A session whose targets the test sets."""

    def __init__(self, contract: PolicyContract) -> None:
        self.contract = contract
        self.target = np.array(contract.default_position)
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def step(self, *signals: np.ndarray) -> Output:
        assert len(signals) == 5, "a shadow acts without noise"
        return Output(self.target.astype(np.float32))


class Stage:
    """A candidate, its shadow, and a driver that stands still at its default pose."""

    def __init__(self, contract: PolicyContract, robot: RobotModel, **driver: Any) -> None:
        candidate: Any = Candidate(contract)
        self.candidate = candidate
        self.shadow = Shadow(candidate, replace(contract, **driver), robot)
        self.pose = np.array(contract.default_position)
        self.tick = 0

    def see(self, mean: Optional[np.ndarray] = None, velocity: float = 0.0) -> None:
        mean = np.zeros(12) if mean is None else mean
        still = np.array([1.0, 0, 0, 0]), np.zeros(3)
        speed = np.full(12, velocity)
        self.shadow.see(DriverStep(0, self.tick, *still, self.pose, speed, np.zeros(3), mean, np.full(12, 0.5)))
        self.tick += 1

    def divergence(self) -> Divergence:
        divergence = self.shadow.findings().divergence
        assert divergence is not None
        return divergence


@pytest.fixture
def stage(contract: PolicyContract, robot: RobotModel) -> Stage:
    return Stage(contract, robot)


def test_a_policy_in_its_own_shadow_agrees(stage: Stage) -> None:
    for _ in range(3):
        stage.see()
    findings = stage.shadow.findings()
    assert (findings.steps, findings.starts, findings.non_finite_steps) == (3, 1, 0)
    divergence = stage.divergence()
    assert divergence.worst_rad == pytest.approx(0.0, abs=1e-6)
    assert (divergence.gate_changed_share, divergence.driver_gate_changed_share) == (0.0, 0.0)
    # Twelve times -ln(0.5) - ln(2 pi) / 2 at the mean itself.
    highest = 12 * (np.log(2.0) - 0.5 * np.log(2.0 * np.pi))
    assert divergence.log_likelihood_median == pytest.approx(highest, abs=1e-4)
    assert divergence.driver_log_likelihood_median == pytest.approx(divergence.log_likelihood_median, abs=1e-4)


def test_one_joint_by_hand(stage: Stage) -> None:
    """0.1 rad at a scale of 0.25 are an action of 0.4: 0.8 standard deviations, 0.32 of log-likelihood."""
    stage.candidate.target[4] += 0.1
    stage.see()
    divergence = stage.divergence()
    assert divergence.joint_worst_rad == pytest.approx([0.1 if joint == 4 else 0.0 for joint in range(12)], abs=1e-6)
    assert divergence.median_rad == pytest.approx(0.0, abs=1e-6)
    assert divergence.worst_rad == pytest.approx(0.1, abs=1e-6)
    lost = divergence.driver_log_likelihood_median - divergence.log_likelihood_median
    assert lost == pytest.approx(0.32, abs=1e-4)


def test_the_root_of_the_mean_square_by_hand(stage: Stage) -> None:
    """+0.3 and -0.4 rad: the root of (0.09 + 0.16) / 2."""
    start = stage.candidate.target.copy()
    for offset in (0.3, -0.4):
        stage.candidate.target[7] = start[7] + offset
        stage.see()
    rms = stage.divergence().joint_rms_rad
    assert rms == pytest.approx([np.sqrt(0.125) if joint == 7 else 0.0 for joint in range(12)], abs=1e-6)


def test_the_drivers_own_joint_order_is_undone(contract: PolicyContract, robot: RobotModel) -> None:
    """The driver's action 0 is its first joint, FL_hip, which is joint 3 on the wire."""
    order = (*contract.joint_names[3:6], *contract.joint_names[:3], *contract.joint_names[6:])
    stage = Stage(contract, robot, policy_joint_names=order)
    mean = np.zeros(12)
    mean[0] = 0.4
    stage.see(mean)
    assert np.flatnonzero(np.array(stage.divergence().joint_worst_rad) > 0.01).tolist() == [3]


def test_targets_are_compared_within_the_drivers_limits(stage: Stage) -> None:
    """An action of 100 asks for 25 rad; the driver's graph stops at its limit, 0.803 rad for a hip."""
    mean = np.zeros(12)
    mean[0] = 100.0
    stage.see(mean)
    assert stage.divergence().worst_rad == pytest.approx(0.803, abs=1e-6)


def test_quantiles_over_steps(stage: Stage) -> None:
    start = stage.candidate.target.copy()
    for step in range(101):
        stage.candidate.target = start + step / 1000.0
        stage.see()
    divergence = stage.divergence()
    assert divergence.joint_median_rad == pytest.approx([0.05] * 12, abs=1e-6)
    assert divergence.joint_p95_rad == pytest.approx([0.095] * 12, abs=1e-6)
    assert divergence.joint_worst_rad == pytest.approx([0.1] * 12, abs=1e-6)


def test_what_the_gate_would_move_to_its_position_limit_counts(stage: Stage, robot: RobotModel) -> None:
    """Two of twelve joints beyond their limits, in one of two steps."""
    start = stage.candidate.target.copy()
    stage.see()
    stage.candidate.target[:2] = robot.joint_upper[:2] + 0.01
    stage.pose = stage.pose.copy()
    stage.pose[:2] = robot.joint_upper[:2] - 0.01  # near by: neither rate nor torque objects
    stage.see()
    divergence = stage.divergence()
    assert divergence.gate_changed_share == pytest.approx(2 / 24)
    assert not np.allclose(start, stage.candidate.target)


@pytest.mark.parametrize(("offset_rad", "moved"), [(0.59, 0), (0.61, 1)])
def test_what_the_gate_would_slow_down_counts_from_the_target_before(
    stage: Stage, offset_rad: float, moved: int
) -> None:
    """300 rad/s are 0.6 rad in a tick of 2 ms; with 30 Nm/rad that is 18 Nm, within what a hip can give."""
    stage.see()
    stage.candidate.target[0] += offset_rad
    stage.see()
    assert stage.divergence().gate_changed_share == pytest.approx(moved / 24)


def test_what_a_fast_joint_has_no_torque_left_for_counts(contract: PolicyContract, robot: RobotModel) -> None:
    """At 15 rad/s a hip has 23.7 (1 - 15 / 30.1) = 11.9 Nm left and damping takes 11.2 of 0.75 Nm s/rad against it:
    23.1 Nm of spring at most, 0.77 rad at 30 Nm/rad; a target 0.79 rad ahead, reached in two steps, is beyond it."""
    stage = Stage(contract, robot)
    stage.pose = stage.pose - np.eye(12)[0] * 0.4
    stage.candidate.target[0] = stage.pose[0] + 0.45
    stage.see(velocity=15.0)
    before = stage.shadow.findings().divergence
    assert before is not None and before.gate_changed_share == 0.0
    stage.candidate.target[0] = stage.pose[0] + 0.79
    stage.see(velocity=15.0)
    assert stage.divergence().gate_changed_share == pytest.approx(1 / 24)


def test_the_drivers_targets_are_judged_by_the_same_gate(stage: Stage) -> None:
    """An action of 2.6 is a step of 0.65 rad."""
    mean = np.zeros(12)
    stage.see(mean)
    mean[0] = 2.6
    stage.see(mean)
    divergence = stage.divergence()
    assert divergence.driver_gate_changed_share == pytest.approx(1 / 24)
    assert divergence.gate_changed_share == 0.0


def test_targets_that_are_no_numbers_are_counted_and_left_out(stage: Stage) -> None:
    stage.see()
    stage.candidate.target = np.full(12, np.nan)
    stage.see()
    findings = stage.shadow.findings()
    assert (findings.steps, findings.non_finite_steps) == (1, 1)
    assert stage.divergence().worst_rad == pytest.approx(0.0, abs=1e-6)


def test_nothing_but_such_targets_is_no_divergence(stage: Stage) -> None:
    stage.candidate.target = np.full(12, np.inf)
    stage.see()
    findings = stage.shadow.findings()
    assert (findings.steps, findings.non_finite_steps, findings.divergence) == (0, 1, None)


def test_it_starts_anew_with_every_episode_hole_and_session(stage: Stage) -> None:
    """Ticks 0, 1 of episode 0; tick 0 of episode 1; tick 2 after a hole; tick 3 of another session."""
    still = np.array([1.0, 0, 0, 0]), np.zeros(3), stage.pose, np.zeros(12), np.zeros(3), np.zeros(12), np.ones(12)
    resets = []
    for episode, tick in ((0, 0), (0, 1), (1, 0), (1, 2), (1, 3)):
        if tick == 3:
            stage.shadow.forget()
        stage.shadow.see(DriverStep(episode, tick, *still))
        resets.append(stage.candidate.resets)
    assert resets == [1, 1, 2, 3, 4]
    assert stage.shadow.findings().starts == 4


def test_policies_that_take_other_commands_cannot_be_compared(contract: PolicyContract) -> None:
    narrower = (CommandTerm("vx", "m/s", -0.5, 0.5), *contract.commands[1:])
    with pytest.raises(ShadowError, match=r"vx \[-0.5, 0.5\] m/s.* found vx \[-1, 1.5\]"):
        check_comparable(contract, replace(contract, commands=narrower))


@pytest.mark.parametrize("gain", ["stiffness", "damping"])
def test_policies_with_other_gains_cannot_be_compared(contract: PolicyContract, gain: str) -> None:
    softer: Any = {gain: (0.5,) * 12}
    with pytest.raises(ShadowError, match=f"the driver's {gain}"):
        check_comparable(contract, replace(contract, **softer))


def test_what_is_a_policys_own_affair_may_differ(contract: PolicyContract) -> None:
    slewed = tuple(replace(term, slew_per_s=3.0) for term in contract.commands)
    order = tuple(reversed(contract.joint_names))
    check_comparable(contract, replace(contract, commands=slewed, policy_joint_names=order, action_scale=(0.5,) * 12))


def test_nothing_seen_is_an_empty_finding(stage: Stage) -> None:
    findings = stage.shadow.findings()
    assert (findings.steps, findings.starts, findings.divergence) == (0, 0, None)
