"""A healthy log gives no finding; each injected fault gives its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offline_data.log_reader import read_log
from offline_data.log_schema import CHANNELS, Ending
from offline_data.quality import QualityReport, check_log, check_logs
from robot_configs.robot import load_robot
from tests.offline_data.synthetic_log import joined, metadata, standing_session, write_log

ROBOT = load_robot()
Session = dict[str, np.ndarray]


def report(tmp_path: Path, session: Session) -> QualityReport:
    return check_log(read_log(write_log(tmp_path / "a.mcap", session)), ROBOT)


def healthy() -> Session:
    return standing_session(60)


def test_healthy_log_measured_by_hand(tmp_path: Path) -> None:
    measured = report(tmp_path, healthy())
    assert measured.findings == ()
    assert measured.duration_s == pytest.approx(1.2)  # 600 intervals of 2 ms
    state, _, tick = measured.channels
    assert (state.messages, state.gaps, state.lost, state.backward) == (601, 0, 0, 0)
    assert state.rate_hz == pytest.approx(500.0) and tick.rate_hz == pytest.approx(50.0)
    assert measured.endings == {"truncated": 1}
    assert measured.coverage == pytest.approx(1 / 125)
    assert "nothing to look at" in str(measured)


def lose_states(session: Session) -> None:
    session["/low_state"] = np.delete(session["/low_state"], np.arange(100, 110))


def lose_ticks(session: Session) -> None:
    session["/policy_tick"] = np.delete(session["/policy_tick"], [20, 21])


def swap_states(session: Session) -> None:
    session["/low_state"]["monotonic_ns"][50] = session["/low_state"]["monotonic_ns"][49]


def saturate(session: Session) -> None:
    session["/low_state"]["joint_torque"][:60, 2] = 0.96 * ROBOT.torque_limit[2]


def stick_encoder(session: Session) -> None:
    session["/low_state"]["joint_velocity"][100:400, 5] = 0.0


def stick_gyro(session: Session) -> None:
    session["/low_state"]["angular_velocity_trunk_in_trunk"][100:400] = 0.1


def spoil_quaternion(session: Session) -> None:
    session["/low_state"]["orientation_trunk_in_world"][7] = 0.0


def put_nan(session: Session) -> None:
    session["/low_state"]["joint_position"][7, 3] = np.nan


def turn_through_stop(session: Session) -> None:
    session["/low_state"]["joint_position"][7, 3] = ROBOT.joint_upper[3] + 0.31


def spin(session: Session) -> None:
    session["/low_state"]["joint_velocity"][7, 0] = 46.0  # 1.5 times the limit is 45.15


def overheat(session: Session) -> None:
    session["/low_state"]["motor_temperature"][-1, 0] = 85


def drain(session: Session) -> None:
    session["/low_state"]["battery_soc"][-1] = 4


@pytest.mark.parametrize(
    ("fault", "where", "what"),
    [
        (lose_states, "/low_state", "1 gaps, the longest of 22 ms"),
        (lose_states, "/low_state", "10 messages lost"),
        (lose_ticks, "/policy_tick", "1 gaps, the longest of 60 ms"),
        (swap_states, "/low_state", "1 stamps do not increase"),
        (saturate, "FR_calf", "torque limit in 10%"),
        (stick_encoder, "FL_calf", "unchanged for 0.6 s"),
        (stick_gyro, "angular_velocity_trunk_in_trunk", "unchanged for 0.6 s"),
        (spoil_quaternion, "orientation_trunk_in_world", "no unit quaternion in 1 states"),
        (put_nan, "joint_position", "not finite in 1 states"),
        (turn_through_stop, "FL_hip", "past its mechanical stop in 1 states"),
        (spin, "FR_hip", "faster than it can turn in 1 states"),
        (overheat, "motor_temperature", "85 degC"),
        (drain, "battery_soc", "down to 4 %"),
    ],
)
def test_each_fault_is_found(tmp_path: Path, fault: Callable[[Session], None], where: str, what: str) -> None:
    session = healthy()
    fault(session)
    findings = report(tmp_path, session).findings
    assert [finding for finding in findings if finding.where == where and what in finding.what], findings


def test_pause_between_episodes_is_no_gap_of_the_policy(tmp_path: Path) -> None:
    first, second = healthy(), standing_session(60, Ending.TERMINATED, episode=1, start_ns=10**10)
    measured = report(tmp_path, joined(first, second))
    assert measured.channels[2].gaps == 0
    assert measured.endings == {"terminated": 1, "truncated": 1}


def test_coverage_counts_cells(tmp_path: Path) -> None:
    session = healthy()
    session["/policy_tick"]["command"][:30, 0] = 1.4  # forward speed, last of its five bins
    session["/policy_tick"]["command"][:10, 2] = -9.0  # beyond the range: counted in the outermost bin
    measured = report(tmp_path, session)
    assert measured.coverage == pytest.approx(3 / 125)
    assert measured.commanded["vx"] == pytest.approx((0.0, 1.4))


def test_a_log_without_states_or_ticks(tmp_path: Path) -> None:
    session = {topic: channel.zeros(0) for topic, channel in CHANNELS.items()}
    session["/event"] = standing_session(2)["/event"]
    findings = report(tmp_path, session).findings
    assert [(finding.where, finding.what) for finding in findings] == [
        (topic, "no messages") for topic in ("/low_state", "/low_cmd", "/policy_tick")
    ]


def test_folder_report_names_damage_foreign_files_and_other_robots(tmp_path: Path) -> None:
    write_log(tmp_path / "a.mcap", healthy(), record={**metadata().to_record(), "robot_sha256": "0"}, finish=False)
    (tmp_path / "b.mcap").write_text("rubbish")
    folder = check_logs(tmp_path)
    found = [finding.what for finding in folder.reports[0].findings]
    assert any("without a footer" in what for what in found)
    assert "recorded with another robot configuration" in found
    assert list(folder.to_dict()["failures"]) == [str(tmp_path / "b.mcap")]
    assert "to be an MCAP file" in str(folder)
