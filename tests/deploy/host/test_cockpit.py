"""The operator's seat: what is opened, asked for and held while a person drives, and what it all gives back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

from deploy.host import cockpit
from deploy.host.cockpit import Seat, _gamepad_path, drive, keyboard_help
from deploy.host.teleop import TeleopSettings
from deploy.onboard import lease
from deploy.onboard.keyboard import DEFLECTIONS, WISHES
from deploy.onboard.realtime import RealTimeWish
from policy.bundle import read_bundle
from robot_configs.robot import RobotModel
from tests.deploy.onboard import conftest as onboard
from tests.deploy.onboard.conftest import FakeLink, StateMaker

make_state, robot = onboard.make_state, onboard.robot
"""Fixtures of the onboard tests."""


@pytest.fixture
def link(make_state: StateMaker, robot: RobotModel) -> FakeLink:
    return FakeLink(make_state, robot.sit_position)


def test_the_help_names_every_key() -> None:
    text = keyboard_help()
    names = {" ": "space", "\x1b": "Esc", "=": "+"}
    for key in [*WISHES, *(key for key in DEFLECTIONS if len(key) == 1), "m"]:
        assert names.get(key, key) in text.replace(",", " ").split(), key


@pytest.mark.parametrize(
    ("commands", "path"),
    [
        ("keyboard", None),
        ("remote", None),
        ("gamepad", Path("/dev/input/js0")),
        ("gamepad:/dev/input/js3", Path("/dev/input/js3")),
    ],
)
def test_where_the_gamepad_is(commands: str, path: Optional[Path]) -> None:
    assert _gamepad_path(commands) == path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """The person's end of a terminal that is our standard input; leases are kept in a folder of the test's."""
    person, program = os.openpty()
    with os.fdopen(program, "r") as stream:
        monkeypatch.setattr(cockpit.sys, "stdin", stream)
        (tmp_path / "leases").mkdir(mode=0o777)
        (tmp_path / "leases").chmod(0o777)
        monkeypatch.setattr(lease, "_RUN_LOCK", tmp_path / "leases")
        yield person
    os.close(person)


ROBOT_ADDRESS = ("192.0.2.1", 8007)


def test_the_seat_asks_for_real_time_and_says_what_became_of_it(
    terminal: int,
    shipped: Path,
    robot: RobotModel,
    link: FakeLink,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A core that no machine has: it disturbs nobody, and the person reads that it was refused before they drive."""
    held: list[bool] = []

    def open_link(address: tuple[str, int], sdk: str, robot: RobotModel) -> FakeLink:
        with pytest.raises(lease.LeaseTakenError):
            lease.Lease("192.0.2.1:8007")
        held.append(True)
        return link

    monkeypatch.setattr(cockpit, "open_link", open_link)
    os.write(terminal, b"x")
    seat = Seat(real_time=RealTimeWish(0, core=10_000, lock_memory=False))
    summary = drive(read_bundle(shipped), robot, ROBOT_ADDRESS, tmp_path / "logs", seat, TeleopSettings())
    (process,) = summary.processes
    assert (process.name, process.pid) == ("teleop", os.getpid())
    assert process.real_time[0].startswith("core 10000 only: NOT granted")
    assert f"real time: {process.real_time[0]}" in capsys.readouterr().err
    assert (summary.stop_reason, held) == ("", [True])
    lease.Lease("192.0.2.1:8007").release()


def test_who_drives_by_hand_holds_the_robots_lease(
    terminal: int, shipped: Path, robot: RobotModel, link: FakeLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another runner has it: no link is opened."""
    monkeypatch.setattr(cockpit, "open_link", lambda *arguments: pytest.fail("a link was opened"))
    other = lease.Lease("192.0.2.1:8007")
    with pytest.raises(lease.LeaseTakenError):
        drive(read_bundle(shipped), robot, ROBOT_ADDRESS, tmp_path / "logs", Seat(), TeleopSettings())
    other.release()
