"""How the gate's faults end an episode: the whole table, and what counts when several come at once."""

from __future__ import annotations

import pytest

from deploy.onboard.endings import ENDING_OF_REASON, ORIENTATION_DOUBTED, ending_of_fault
from deploy.onboard.reasons import CLAMPS, Reason
from offline_data.log_schema import Ending

INTERVENTIONS = {Reason.STOP_KEY, Reason.MOTOR_HOT}
FALLS = {Reason.TILT, Reason.FREE_FALL}


def expected(reason: Reason) -> Ending:
    if reason in INTERVENTIONS:
        return Ending.INTERVENTION
    return Ending.TERMINATED if reason in FALLS else Ending.STOPPED


def test_every_fault_has_a_row_and_no_clamp_has() -> None:
    """A new reason must be decided about before it can end an episode."""
    assert set(ENDING_OF_REASON) == {reason for reason in Reason if reason and not reason & CLAMPS}


@pytest.mark.parametrize("reason", list(ENDING_OF_REASON), ids=lambda reason: reason.name)
def test_a_fault_by_itself(reason: Reason) -> None:
    assert ending_of_fault(int(reason)) is ENDING_OF_REASON[reason] is expected(reason)


@pytest.mark.parametrize(
    ("reasons", "ending"),
    [
        (Reason.STOP_KEY | Reason.TILT, Ending.INTERVENTION),  # a person was first: the fall is not the policy's
        (Reason.STOP_KEY | Reason.IMU_FROZEN, Ending.INTERVENTION),
        (Reason.TILT | Reason.STATE_STALE, Ending.TERMINATED),
        (Reason.TILT | Reason.MOTOR_HOT, Ending.TERMINATED),
        (Reason.TILT | Reason.JOINT_TORQUE_RANGE, Ending.TERMINATED),
        (Reason.MOTOR_HOT | Reason.BATTERY_LOW, Ending.INTERVENTION),
        (Reason.BATTERY_LOW | Reason.TARGET_STALE, Ending.STOPPED),
    ],
)
def test_several_at_once(reasons: Reason, ending: Ending) -> None:
    assert ending_of_fault(int(reasons)) is ending


@pytest.mark.parametrize("doubt", [reason for reason in Reason if reason & ORIENTATION_DOUBTED])
@pytest.mark.parametrize("fall", sorted(FALLS))
def test_a_fall_that_only_a_doubtful_imu_tells_of_is_none(fall: Reason, doubt: Reason) -> None:
    assert ending_of_fault(int(fall | doubt)) is Ending.STOPPED


def test_a_clamp_beside_a_fault_changes_nothing() -> None:
    assert ending_of_fault(int(Reason.TILT | Reason.POSITION_CLAMPED)) is Ending.TERMINATED
