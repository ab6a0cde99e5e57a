"""A tenth of the fault matrix, every group of it and every class: nothing unsafe, everything as expected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sim.faults.campaign import all_cases, run_cases

REDUCED = (
    "joint_position.FR_calf/off",
    "joint_position.FR_calf/garbage",
    "joint_position.RL_thigh/sign_flip",
    "joint_position.FL_hip/nan",
    "joint_velocity.FL_thigh/garbage",
    "joint_velocity.RR_calf/nan",
    "joint_torque.FR_thigh/bias_step",
    "gyro/off",
    "gyro/stuck",
    "gyro/garbage",
    "gyro/nan",
    "accelerometer/garbage",
    "quaternion/off",
    "quaternion/stuck",
    "quaternion/spike",
    "foot_force/garbage",
    "motor_temperature/spike",
    "battery/off",
    "battery/garbage",
    "remote/garbage",
    "remote/nan",
    "tick/stuck",
    "tick/garbage",
    "loss/10_percent_both_ways",
    "loss/30_percent_both_ways",
    "burst/18_ms_both_ways",
    "burst/30_ms_both_ways",
    "latency/4_ms_both",
    "duplicate/100_percent",
    "replay/100_percent_of_states_100_ms_old",
    "malformed/random_bytes_behind_100_percent_of_states",
    "malformed/one_bit_flipped_behind_100_percent_of_commands",
    "cable/unplugged_and_back",
    "cable/back_and_rearmed_by_a_person",
    "push/1.0_m_s_towards_90_degrees",
    "fall/thrown_over_about_0_degrees",
    "lift/dropped_from_0.3_m",
    "ice/friction_0.08",
    "motor/FR_calf_dead",
    "motor/RL_thigh_jammed",
    "pilot/nan",
    "pilot/saturated",
    "pilot/wild",
    "pilot/crash",
    "pilot/late_by_15_ms",
    "pilot/late_by_25_ms",
    "pilot/stalls_the_loop_for_200_ms",
)
WORLDS = 3  # fewer than the matrix has: every world costs a walk of its own


def test_a_tenth_of_the_matrix(bundle_path: Path) -> None:
    by_name = {case.name: case for case in all_cases()}
    cases = [replace(by_name[name], world=by_name[name].world % WORLDS) for name in REDUCED]
    verdicts = run_cases(cases, bundle_path, workers=1)
    assert {case.group for case in cases} >= {case.group for case in all_cases()} - {"machine", "jitter", "reorder"}
    assert {v.case.name: (v.outcome.value, v.result) for v in verdicts if not v.as_expected} == {}
    assert sum(v.result.commands for v in verdicts) > 500 * len(cases)  # they did walk
