"""The examination and the robot's lease: nothing is sent to a robot that another program of this machine drives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.host.doctor import examination
from deploy.host.doctor.sample import Sample
from deploy.host.doctor.wiggle import WiggleRecord
from deploy.onboard import lease
from robot_configs.robot import RobotModel
from tests.deploy.host.doctor.conftest import Heard

ROBOT = "192.0.2.1:8007"


@pytest.fixture(autouse=True)
def leases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kept in a folder of the test's."""
    tmp_path.chmod(0o777)
    monkeypatch.setattr(lease, "_RUN_LOCK", tmp_path)


@pytest.mark.parametrize("move_joints", [False, True])
def test_a_robot_that_another_program_drives_is_left_alone(
    robot: RobotModel, monkeypatch: pytest.MonkeyPatch, move_joints: bool
) -> None:
    for opener in ("probe", "open_link"):
        monkeypatch.setattr(examination, opener, lambda *arguments: pytest.fail("something was opened"))
    driver = lease.Lease(ROBOT)
    with pytest.raises(lease.LeaseTakenError):
        examination.examine(robot, "192.0.2.1", move_joints=move_joints)
    driver.release()


def test_nobody_drives_while_the_doctor_listens_or_moves_the_joints(
    robot: RobotModel, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[str] = []

    def note(moment: str) -> None:
        with pytest.raises(lease.LeaseTakenError):
            lease.Lease(ROBOT)
        held.append(moment)

    class SilentLink:
        def close(self) -> None:
            note("close")

    def listen(*arguments: Any) -> Sample:
        note("listen")
        return heard.sample()

    def move(*arguments: Any) -> WiggleRecord:
        note("move")
        return WiggleRecord(np.zeros(0, int), np.zeros(0), np.zeros((0, 12)), "the hand that holds the robot")

    monkeypatch.setattr(examination, "probe", listen)
    monkeypatch.setattr(examination, "open_link", lambda *arguments: SilentLink())
    monkeypatch.setattr(examination, "wiggle", move)
    found = examination.examine(robot, "192.0.2.1", move_joints=True)
    assert [finding.diagnosis for finding in found.findings if finding.diagnosis] == ["wiggle-stopped"]
    assert held == ["listen", "move", "close"]
    lease.Lease(ROBOT).release()


def test_an_examination_that_breaks_off_gives_the_robot_back(
    robot: RobotModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> Sample:
        raise KeyboardInterrupt

    monkeypatch.setattr(examination, "probe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        examination.examine(robot, "192.0.2.1")
    lease.Lease(ROBOT).release()
