"""A shadow's arithmetic by hand, and a shadow over a session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from deploy.onboard.shadow import Shadow, ShadowError, ShadowThresholds, Signals
from policy.contract import CommandTerm, PolicyContract

ANY_LENGTH = ShadowThresholds(minimum_steps=1)
SIGNALS = Signals(np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(12), np.zeros(12), np.zeros(3))


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


@pytest.fixture
def candidate(contract: PolicyContract) -> Candidate:
    return Candidate(contract)


def see(shadow: Shadow, mean: np.ndarray, std: float = 0.5, first: bool = False) -> None:
    shadow.see(first, SIGNALS, mean, np.full(12, std))


def test_a_policy_in_its_own_shadow_agrees(candidate: Any, contract: PolicyContract) -> None:
    shadow = Shadow(candidate, contract)
    for step in range(3):
        see(shadow, np.zeros(12), first=step == 0)
    report = shadow.report(ANY_LENGTH)
    assert (report.steps, report.episodes) == (3, 1)
    assert report.worst_rad == pytest.approx(0.0, abs=1e-6)
    assert report.may_drive and report.objections == ()
    # Twelve times -ln(0.5) - ln(2 pi) / 2 at the mean itself.
    assert report.log_likelihood_median == pytest.approx(12 * (np.log(2.0) - 0.5 * np.log(2.0 * np.pi)), abs=1e-4)
    assert report.driver_log_likelihood_median == pytest.approx(report.log_likelihood_median, abs=1e-4)


def test_one_joint_by_hand(candidate: Any, contract: PolicyContract) -> None:
    """0.1 rad at a scale of 0.25 are an action of 0.4: 0.8 standard deviations, 0.32 of log-likelihood."""
    shadow = Shadow(candidate, contract)
    candidate.target[4] += 0.1
    see(shadow, np.zeros(12), first=True)
    report = shadow.report(ANY_LENGTH)
    assert report.joint_worst_rad == pytest.approx([0.1 if joint == 4 else 0.0 for joint in range(12)], abs=1e-6)
    assert report.median_rad == pytest.approx(0.0, abs=1e-6)
    assert report.worst_rad == pytest.approx(0.1, abs=1e-6)
    lost = report.driver_log_likelihood_median - report.log_likelihood_median
    assert lost == pytest.approx(0.32, abs=1e-4)


def test_the_drivers_own_joint_order_is_undone(candidate: Any, contract: PolicyContract) -> None:
    """The driver's action 0 is its first joint, FL_hip, which is joint 3 on the wire."""
    order = (*contract.joint_names[3:6], *contract.joint_names[:3], *contract.joint_names[6:])
    shadow = Shadow(candidate, replace(contract, policy_joint_names=order))
    mean = np.zeros(12)
    mean[0] = 0.4
    see(shadow, mean, first=True)
    assert np.flatnonzero(np.array(shadow.report(ANY_LENGTH).joint_worst_rad) > 0.01).tolist() == [3]


def test_targets_are_compared_within_the_drivers_limits(candidate: Any, contract: PolicyContract) -> None:
    """An action of 100 asks for 25 rad; the driver's graph stops at its limit, 0.803 rad for a hip."""
    shadow = Shadow(candidate, contract)
    mean = np.zeros(12)
    mean[0] = 100.0
    see(shadow, mean, first=True)
    assert shadow.report(ANY_LENGTH).worst_rad == pytest.approx(0.803, abs=1e-6)


def test_quantiles_over_steps(candidate: Any, contract: PolicyContract) -> None:
    shadow = Shadow(candidate, contract)
    start = candidate.target.copy()
    for step in range(101):
        candidate.target = start + step / 1000.0
        see(shadow, np.zeros(12), first=step == 0)
    report = shadow.report(ANY_LENGTH)
    assert report.joint_median_rad == pytest.approx([0.05] * 12, abs=1e-6)
    assert report.joint_p95_rad == pytest.approx([0.095] * 12, abs=1e-6)
    assert report.joint_worst_rad == pytest.approx([0.1] * 12, abs=1e-6)


@pytest.mark.parametrize(
    ("offset", "joints", "objection"),
    [(0.11, 12, "median"), (0.31, 2, "95 %"), (0.81, 1, "largest")],
)
def test_each_threshold_objects(
    candidate: Any, contract: PolicyContract, offset: float, joints: int, objection: str
) -> None:
    shadow = Shadow(candidate, contract)
    candidate.target[:joints] += offset
    see(shadow, np.zeros(12), first=True)
    report = shadow.report(ANY_LENGTH)
    assert any(text.startswith(objection) for text in report.objections)
    assert not report.may_drive


def test_little_evidence_is_an_objection(candidate: Any, contract: PolicyContract) -> None:
    shadow = Shadow(candidate, contract)
    see(shadow, np.zeros(12), first=True)
    assert shadow.report().objections == ("1 steps seen, at least 500 needed",)


def test_a_slow_policy_is_an_objection(candidate: Any, contract: PolicyContract) -> None:
    shadow = Shadow(candidate, contract)
    see(shadow, np.zeros(12), first=True)
    impatient = replace(ANY_LENGTH, inference_p99_s=1e-12)
    assert [text[:4] for text in shadow.report(impatient).objections] == ["99 %"]


def test_targets_that_are_no_numbers_are_counted_and_left_out(candidate: Any, contract: PolicyContract) -> None:
    shadow = Shadow(candidate, contract)
    see(shadow, np.zeros(12), first=True)
    candidate.target = np.full(12, np.nan)
    see(shadow, np.zeros(12))
    report = shadow.report(ANY_LENGTH)
    assert (report.steps, report.non_finite_steps) == (1, 1)
    assert report.objections == ("1 steps without a finite target",)


def test_nothing_but_such_targets_is_no_report(candidate: Any, contract: PolicyContract) -> None:
    shadow = Shadow(candidate, contract)
    candidate.target = np.full(12, np.inf)
    see(shadow, np.zeros(12), first=True)
    with pytest.raises(ShadowError, match="1 steps whose targets were no numbers"):
        shadow.report()


def test_it_forgets_at_the_start_of_every_episode(candidate: Any, contract: PolicyContract) -> None:
    shadow = Shadow(candidate, contract)
    for first in (True, False, True, False, False):
        see(shadow, np.zeros(12), first=first)
    assert candidate.resets == shadow.report(ANY_LENGTH).episodes == 2


def test_policies_that_take_other_commands_cannot_be_compared(candidate: Any, contract: PolicyContract) -> None:
    narrower = (CommandTerm("vx", "m/s", -0.5, 0.5), *contract.commands[1:])
    with pytest.raises(ShadowError, match="same commands"):
        Shadow(candidate, replace(contract, commands=narrower))


def test_nothing_seen_is_no_report(candidate: Any, contract: PolicyContract) -> None:
    with pytest.raises(ShadowError, match="found none"):
        Shadow(candidate, contract).report()
