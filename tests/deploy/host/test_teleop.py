"""A whole session at the operator's seat on a fake clock: log, numbering, status, shadow; and the signals."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
import torch

from deploy.host.shadow_replay import _replay_ticks, replay
from deploy.host.status_line import StatusLine
from deploy.host.teleop import Teleoperation, TeleopError, TeleopSettings
from deploy.onboard.clock import VirtualClock
from deploy.onboard.operator_input import DeviceReading, Wish
from deploy.onboard.shadow import Shadow
from deploy.onboard.summary import RunSummary
from offline_data.log_reader import Log, read_log
from offline_data.log_schema import Ending, EventKind, decode_text
from policy.bundle import Bundle, Lineage, PolicySession
from policy.contract import PolicyContract
from policy.export import export_bundle
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import RobotModel
from tests.deploy.onboard import conftest as onboard
from tests.deploy.onboard.conftest import FakeLink, StateMaker

make_state, contract, robot = onboard.make_state, onboard.contract, onboard.robot
"""Fixtures of the onboard tests."""
STAND_WALK_QUIT = {0.1: Wish.STAND, 0.2: Wish.WALK, 2.9: Wish.QUIT}
"""It walks from 2.1 s, when the stand is finished, to 2.9 s: 40 steps. Coming to rest is no part of the episode."""


class Person:
    """A device that plays wishes and marks by time, and pushes forward all the while."""

    connected = True
    typing: Optional[str] = None

    def __init__(self, wishes: dict[float, Wish], marks: dict[float, str]) -> None:
        self._wishes, self._marks = dict(wishes), dict(marks)
        self.on_read: Callable[[float], None] = lambda time_s: None

    def read(self, time_s: float) -> DeviceReading:
        self.on_read(time_s)
        wishes = tuple(self._wishes.pop(at_s) for at_s in sorted(self._wishes) if at_s <= time_s)
        marks = tuple(self._marks.pop(at_s) for at_s in sorted(self._marks) if at_s <= time_s)
        return DeviceReading((1.0, 0.0, 0.0), wishes, marks)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, contract: PolicyContract, robot: RobotModel) -> Bundle:
    """A policy with random weights."""
    torch.manual_seed(0)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.1))
    lineage = Lineage("pretrain", (), (), "test", 0, "test")
    return export_bundle(graph, tmp_path_factory.mktemp("bundle") / "a.go1policy", lineage, 3, robot)


@pytest.fixture
def link(make_state: StateMaker, robot: RobotModel) -> FakeLink:
    return FakeLink(make_state, robot.sit_position)


class Stage:
    """Builds sessions on one link, in one folder."""

    def __init__(self, bundle: Bundle, robot: RobotModel, link: FakeLink, log_dir: Path) -> None:
        self._bundle, self._robot, self._link, self._log_dir = bundle, robot, link, log_dir
        self.person = Person({}, {})
        self.clock = VirtualClock()

    def __call__(
        self, wishes: dict[float, Wish], marks: Optional[dict[float, str]] = None, observers: Any = (), **settings: Any
    ) -> Teleoperation:
        self._link.sent.clear()
        self._link.received = 0
        self.person, self.clock = Person(wishes, marks or {}), VirtualClock()
        return Teleoperation(
            self._bundle,
            self._robot,
            self._link,
            self.clock,
            [self.person],
            TeleopSettings(**settings),
            self._log_dir,
            observers,
        )


@pytest.fixture
def session(bundle: Bundle, robot: RobotModel, link: FakeLink, tmp_path: Path) -> Stage:
    return Stage(bundle, robot, link, tmp_path / "logs")


def events(log: Log, kind: EventKind) -> list[tuple[str, Ending]]:
    chosen = log.event[log.event["kind"] == kind]
    return [(decode_text(row["text"]), Ending(int(row["ending"]))) for row in chosen]


def test_a_session_its_log_and_a_shadow_of_itself(
    session: Stage, bundle: Bundle, robot: RobotModel, tmp_path: Path
) -> None:
    shadow = Shadow(PolicySession(bundle, robot), bundle.contract, robot)
    summary = session(STAND_WALK_QUIT, {2.5: "wet grass"}, [shadow], speed=0.4).run()
    assert summary.stop_reason == "" and summary.faults == ()
    assert [(episode.ending, episode.steps) for episode in summary.episodes] == [("intervention", 40)]
    log = read_log(Path(summary.recorder.path))
    assert log.complete and not log.damages
    assert log.path.name.startswith("session_0001_")
    assert events(log, EventKind.MARK) == [("wet grass", Ending.NONE)]
    assert log.event["episode"][log.event["kind"] == EventKind.MARK].tolist() == [0]
    assert events(log, EventKind.EPISODE_END) == [("the operator quit", Ending.INTERVENTION)]
    forward = next(term for term in bundle.contract.commands if term.name == "vx")
    assert log.policy_tick["command"][39, 0] == pytest.approx(0.4 * forward.upper)
    findings = shadow.findings()
    assert (findings.steps, findings.starts) == (40, 1)
    assert findings.divergence is not None
    assert findings.divergence.worst_rad < 1e-5, "the same policy on the same signals"
    report = replay(tmp_path / "logs", bundle, robot)
    assert (report.candidate_sha256, report.driver_sha256, report.driver_steps) == (bundle.sha256, bundle.sha256, 40)
    assert report.findings.divergence is not None
    assert report.findings.divergence.worst_rad < 1e-5
    assert report.objections == ("40 steps compared, at least 500 needed",)


def test_a_second_session_continues_the_folder(session: Stage, tmp_path: Path) -> None:
    first = session({0.1: Wish.QUIT}).run()
    content = Path(first.recorder.path).read_bytes()
    session({0.1: Wish.QUIT}).run()
    names = sorted(path.name[:12] for path in (tmp_path / "logs").iterdir())
    assert names == ["session_0001", "session_0002"]
    assert Path(first.recorder.path).read_bytes() == content


def test_without_recording_the_folder_stays_empty(session: Stage, tmp_path: Path) -> None:
    assert session({0.1: Wish.QUIT}, record=False).run().recorder.path == ""
    assert not (tmp_path / "logs").exists()


def test_a_recording_that_is_stopped_while_walking(session: Stage) -> None:
    summary = session({**STAND_WALK_QUIT, 2.5: Wish.RECORDING}).run()
    log = read_log(Path(summary.recorder.path))
    assert log.complete
    assert events(log, EventKind.EPISODE_END) == [("recording stopped", Ending.STOPPED)]
    assert len(log.policy_tick) < summary.steps == 40


def test_scripted_commands_with_the_operators_modes(session: Stage) -> None:
    summary = session(STAND_WALK_QUIT, commands="vx=0.3,vy=0,yaw=0.1").run()
    ticks = read_log(Path(summary.recorder.path)).policy_tick
    assert np.allclose(ticks["command"][:40, :3], [0.3, 0.0, 0.1])
    assert not ticks["command"][41:].any(), "the operator's quitting brings the robot to rest, script or not"


def test_the_status_line_tells_what_matters(session: Stage) -> None:
    teleoperation = session({**STAND_WALK_QUIT, 2.5: Wish.SLOWER})
    assert teleoperation.status() == "waiting for the robot"
    seen: list[str] = []
    session.person.on_read = lambda time_s: seen.append(teleoperation.status())
    teleoperation.run()
    walking = [line for line in seen if line.startswith("WALK") and "x +0.40" in line]
    assert walking[-1] == "WALK  | REC |  80 % 30 C | x +0.40 y +0.00 turn +0.00 (speed 40%) | late 0.0 ms"
    assert len(walking[-1]) < 80, "a terminal's usual width"


def test_what_must_be_seen_comes_before_what_a_narrow_terminal_cuts_off(session: Stage) -> None:
    teleoperation = session(STAND_WALK_QUIT, {2.2: "wet grass"})
    seen: list[str] = []
    session.person.on_read = lambda time_s: seen.append(teleoperation.status())
    teleoperation.run()
    assert any(line.startswith("WALK  | marked: wet grass | REC | ") for line in seen)


def test_a_status_line_that_is_too_late_is_seen(session: Stage) -> None:
    teleoperation = session({1.2: Wish.QUIT})
    lines: list[str] = []

    def look(time_s: float) -> None:
        if 0.2 <= time_s < 0.202:
            session.clock.advance(0.005)
        lines.append(teleoperation.status())

    session.person.on_read = look
    teleoperation.run()
    # Shown when its window is over, a second after it began; a tick takes 2 ms, so 5 are 3 to 5 too late.
    assert any(re.search(r"late [3-5]\.\d ms", line) for line in lines)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
def test_a_lost_terminal_neither_kills_nor_suspends_the_loop(session: Stage, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    teleoperation = session({0.2: Wish.QUIT})
    session.person.on_read = lambda time_s: os.kill(os.getpid(), number) if 0.1 <= time_s < 0.102 else None
    assert teleoperation.run().stop_reason == ""
    assert signal.getsignal(number) is before


def test_ctrl_c_damps_and_ends_the_session(session: Stage, link: FakeLink) -> None:
    teleoperation = session({0.1: Wish.STAND, 0.2: Wish.WALK})
    session.person.on_read = lambda time_s: os.kill(os.getpid(), signal.SIGINT) if 2.5 <= time_s < 2.502 else None
    summary: RunSummary = teleoperation.run()
    assert summary.stop_reason == "SIGINT"
    assert [episode.ending for episode in summary.episodes] == ["stopped"]
    assert np.all(link.sent[-1].stiffness == 0.0)


@pytest.mark.parametrize("speed", [0.0, 0.09, 1.01, float("nan")])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(TeleopError, match="speed"):
        TeleopSettings(speed=speed)


# ---- The seat --------------------------------------------------------------------------------------------------------


class Closed(io.StringIO):
    """A terminal that was closed: writing fails as it does on a pseudo-terminal without its other end."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str) -> int:
        self.written.set()
        raise OSError(5, "Input/output error")


def test_a_closed_terminal_ends_the_status_line_and_nothing_else() -> None:
    stream = Closed()
    with StatusLine(stream, lambda: "WALK", interval_s=0.001):
        assert stream.written.wait(20.0)


def test_the_last_status_is_left_on_the_terminal() -> None:
    stream, texts = io.StringIO(), iter([*"ab", *"c" * 10000])
    with StatusLine(stream, lambda: next(texts), interval_s=0.001):
        pass
    assert stream.getvalue().endswith("\n")
    assert stream.getvalue().startswith("\r")


def test_the_replay_starts_anew_after_a_hole(session: Stage, bundle: Bundle, robot: RobotModel) -> None:
    summary = session(STAND_WALK_QUIT).run()
    log = read_log(Path(summary.recorder.path))
    shadow = Shadow(PolicySession(bundle, robot), bundle.contract, robot)
    ticks = np.delete(log.policy_tick, 20)
    _replay_ticks(shadow, ticks, bundle.contract.command_dim)
    findings = shadow.findings()
    assert (findings.steps, findings.starts) == (39, 2)
