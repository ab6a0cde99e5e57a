"""The shipped policies under whichever numpy and onnxruntime are installed: no training software is needed here.

`make test-old-onboard` runs this with the robot's own versions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader

from deploy.onboard.clock import VirtualClock
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.wire import POSITION_STOP
from policy.bundle import BUNDLES, GOLDEN_TOLERANCE, SUFFIX, Bundle, PolicySession, read_bundle, verify_bundle
from robot_configs.robot import RobotModel

PATHS = sorted(BUNDLES.glob(f"*{SUFFIX}"))


@pytest.fixture(scope="module", params=PATHS, ids=lambda path: path.stem)
def shipped(request: pytest.FixtureRequest) -> Bundle:
    return read_bundle(request.param)


def test_there_is_one() -> None:
    """Guards the tests below against passing because they looked at nothing."""
    assert PATHS


def test_it_is_for_this_robot_and_computes_what_was_sealed(shipped: Bundle, robot: RobotModel) -> None:
    report = verify_bundle(shipped, robot)
    assert report.sequences >= 64
    assert report.largest_error <= GOLDEN_TOLERANCE


def test_step_by_step_it_computes_the_same_as_in_the_golden_batch(shipped: Bundle, robot: RobotModel) -> None:
    session, golden = PolicySession(shipped, robot), shipped.golden
    signals = ("orientation_trunk_in_world", "angular_velocity_trunk_in_trunk", "joint_position", "joint_velocity")
    for sequence in (0, 1, 63):
        session.reset()
        for step in range(golden["in.command"].shape[1]):
            inputs = [golden[f"in.{name}"][sequence, step] for name in (*signals, "command", "noise")]
            output = session.step(*inputs)
            expected = golden["out.joint_target"][sequence, step]
            np.testing.assert_allclose(output.joint_target, expected, atol=2 * GOLDEN_TOLERANCE)


def test_a_session_stands_walks_lies_down_and_is_logged(
    shipped: Bundle, robot: RobotModel, folded_link: Any, tmp_path: Path
) -> None:
    commands = ",".join(f"{term.name}={term.rest}" for term in shipped.contract.commands)
    settings = RunSettings(commands, SessionSettings(episode_s=0.2, episodes=1), lockstep=True)
    summary = run_session(shipped, robot, folded_link, VirtualClock(), settings, tmp_path)
    assert (summary.faults, summary.stop_reason, summary.steps) == ((), "", 10)
    assert [episode.ending for episode in summary.episodes] == ["truncated"]
    assert (folded_link.sent[-1].position == POSITION_STOP).all()
    with open(summary.recorder.path, "rb") as stream:
        statistics = make_reader(stream).get_summary()
        assert statistics is not None and statistics.statistics is not None
        assert statistics.statistics.message_count == sum(summary.recorder.messages.values())
    assert summary.recorder.messages["/policy_tick"] == 10


def test_the_robots_command_verifies_it(run_on_robot: Callable[[str], "CompletedProcess[str]"]) -> None:
    result = run_on_robot(f"import cli.main; sys.exit(cli.main.main(['policy', 'verify', {str(PATHS[0])!r}]))")
    assert result.returncode == 0, result.stderr
    assert "golden sequences" in result.stdout
