"""Reasons: the numbers that logs hold, and their names."""

from __future__ import annotations

from deploy.onboard.reasons import CLAMPS, Reason, reason_names

BITS = {
    "state_missing": 0,
    "state_stale": 1,
    "state_not_finite": 2,
    "tick_jump": 3,
    "quaternion_norm": 4,
    "tilt": 5,
    "motor_hot": 6,
    "battery_low": 7,
    "stop_key": 8,
    "target_missing": 9,
    "target_stale": 10,
    "target_not_finite": 11,
    "gains_out_of_range": 12,
    "target_malformed": 13,
    "target_valid_too_long": 14,
    "sensor_jump": 15,
    "position_clamped": 16,
    "rate_clamped": 17,
    "torque_clamped": 18,
    "joint_position_range": 19,
    "joint_velocity_range": 20,
    "joint_torque_range": 21,
    "imu_range": 22,
    "motor_temperature_range": 23,
    "battery_range": 24,
    "state_delayed": 25,
    "imu_frozen": 26,
    "joint_frozen": 27,
    "joint_mismatch": 28,
    "rotation_mismatch": 29,
    "gravity_mismatch": 30,
    "free_fall": 31,
}
"""Written out a second time on purpose: logs keep these numbers, so no bit may ever move."""


def test_no_bit_has_moved() -> None:
    assert {reason.name.lower(): int(reason) for reason in Reason if reason and reason.name} == {
        name: 1 << bit for name, bit in BITS.items()
    }
    assert int(Reason.NONE) == 0


def test_they_fit_the_log() -> None:
    """`reasons` of /low_cmd is an unsigned 32-bit number."""
    assert max(Reason) < 2**32


def test_names_come_lowest_bit_first() -> None:
    assert reason_names(Reason.TILT | Reason.RATE_CLAMPED) == ("tilt", "rate_clamped")
    assert reason_names(0) == ()
    assert reason_names(2**32 - 1) == tuple(BITS)


def test_clamps_are_the_three_that_are_no_faults() -> None:
    assert reason_names(CLAMPS) == ("position_clamped", "rate_clamped", "torque_clamped")
