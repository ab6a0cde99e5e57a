"""A supervised session with a shadow that is left alone, killed, or stopped: the walk goes on, and the report says so.

The shadow is the driver itself. How it could disturb is tested in test_shadow_process.py, without real time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.onboard.shadow_report import read_report
from robot_configs.robot import RobotModel
from tests.deploy.onboard.real_time_robot import (
    BUNDLE,
    PATIENCE_S,
    RealTimeRobot,
    Session,
    children_of,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def session(make_state: Any, robot: RobotModel, tmp_path: Path) -> Iterator[Session]:
    server = RealTimeRobot(make_state, robot)
    session = Session(server.port, tmp_path, episode_s=1.0, shadow=True)
    yield session
    session.kill_all()
    server.stop()


def walked_as_planned(summary: dict[str, Any]) -> bool:
    endings = [(episode["ending"], episode["duration_s"]) for episode in summary["episodes"]]
    assert {process["ending"] for process in summary["processes"]} == {"ended in order"}
    return endings == [("truncated", 1.0)] and not summary["faults"] and not summary["stop_reason"]


def test_the_driver_in_its_own_shadow(session: Session) -> None:
    summary = session.summary()
    assert walked_as_planned(summary)
    report = summary["shadow"]
    assert report["failure"] == ""
    assert report["driver_steps"] >= summary["steps"] >= 30
    assert report["findings"]["steps"] == report["driver_steps"] - report["missed_steps"] > 0
    # A hole makes the shadow forget what the driver remembers; without one the two are one.
    assert report["missed_steps"] or report["findings"]["divergence"]["worst_rad"] < 1e-5
    assert (report["candidate_sha256"], report["may_drive"]) == (report["driver_sha256"], False)


@pytest.mark.parametrize(
    ("number", "failure"),
    [(signal.SIGKILL, "was killed by SIGKILL"), (signal.SIGSTOP, "was still busy 1 s after the session")],
)
def test_a_shadow_that_goes_is_not_missed_by_the_robot(session: Session, number: int, failure: str) -> None:
    wait_until(lambda: session.pid("gate") is not None, "up")
    session.signal("shadow", number)
    summary = session.summary()
    assert walked_as_planned(summary)
    report = summary["shadow"]
    assert report["failure"] == failure
    assert report["driver_steps"] >= summary["steps"] > 0
    assert report["missed_steps"] == report["driver_steps"]
    assert f"the shadow {failure}" in report["objections"]


def test_the_command_line_gives_the_shadow_neither_socket_nor_lease(
    make_state: Any, robot: RobotModel, tmp_path: Path
) -> None:
    """Nobody presses a key of the remote, so the robot lies there, damped, until the session is interrupted."""
    server = RealTimeRobot(make_state, robot)
    words = ["robot", "run", "--bundle", str(BUNDLE), "--shadow", str(BUNDLE), "--robot", f"127.0.0.1:{server.port}"]
    words += ["--commands", "remote", "--duration", "60", "--log-dir", str(tmp_path / "logs"), "--no-real-time"]
    program = "import sys, cli.main; sys.exit(cli.main.main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words, "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: bool(server.received), "heard of")
        processes = {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in children_of(process.pid)}
        assert means_to_drive(processes["go1-gate"])
        assert not means_to_drive(processes["go1-shadow"])
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        server.stop()
    assert process.returncode == 1
    [log] = (tmp_path / "logs").glob("*.mcap")
    report = log.with_name(f"{log.stem}.shadow.json")
    assert read_report(report).objections == ("0 steps compared, at least 500 needed",)
    assert f"should not drive: 0 steps compared, at least 500 needed ({report})" in errors.decode()
    assert json.loads(output)["shadow"]["may_drive"] is False


def means_to_drive(pid: int) -> bool:
    """Whether a process holds a socket or the robot's lease."""
    files = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return any(file.startswith("socket:") or file.endswith(".lease") for file in files)
