"""A round's logs: what a session that ended early leaves counts, what a killed one leaves does not, nothing is lost."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.host.finetune_logs import LoggedSession, RoundIncomplete, RoundLogs, SessionEndedEarly
from robot_configs.errors import Go1Error

BUNDLE = Path("walk.go1policy")


class Killed(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


class Robot:
    """A collector that writes a line a session; each session goes as planned next: None, or what becomes of it."""

    def __init__(self, *plan: Callable[[int], BaseException] | None) -> None:
        self.plan = list(plan)
        self.calls: list[tuple[int, int]] = []
        """Steps wanted, seed."""

    def __call__(self, bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
        assert bundle == BUNDLE
        self.calls.append((steps, seed))
        log_dir.mkdir()  # a folder that is there already would mix two sessions
        (log_dir / "session.mcap").write_text(f"session {len(self.calls)}")
        becomes = self.plan.pop(0) if self.plan else None
        if becomes is not None:
            raise becomes(steps)


def falls_after(steps: int) -> Callable[[int], BaseException]:
    return lambda wanted: SessionEndedEarly(wanted, steps, "TILT")


def is_killed(wanted: int) -> BaseException:
    return Killed()


def loses_the_robot(wanted: int) -> BaseException:
    return Go1Error("an answer of the robot", "none", "Look at the cable.")


@pytest.fixture
def logs(tmp_path: Path) -> RoundLogs:
    """Of round 2 of 4: 100 steps, seeds 6, 10, 14, ..."""
    return RoundLogs(tmp_path, number=2, steps=100, seed=6, seed_stride=4)


def content(folder: Path) -> str:
    return (folder / "session.mcap").read_text()


def test_a_whole_session_makes_the_round(logs: RoundLogs, tmp_path: Path) -> None:
    robot = Robot()
    assert logs.missing_steps == 100
    logs.log(robot, BUNDLE)
    assert robot.calls == [(100, 6)]
    assert (logs.missing_steps, logs.sessions) == (0, (LoggedSession(seed=6, steps=100),))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs"]
    assert content(logs.path / "part_01") == "session 1"
    logs.log(robot, BUNDLE)
    assert len(robot.calls) == 1, "a round that is logged is not logged again"


def test_a_fall_keeps_its_steps_and_says_what_is_missing(logs: RoundLogs) -> None:
    with pytest.raises(RoundIncomplete) as stop:
        logs.log(Robot(falls_after(37)), BUNDLE)
    assert stop.value.expected == "100 policy steps in round 2"
    assert stop.value.found == "37 so far, 63 are missing; this session ended after 37: TILT"
    assert "back on its feet and give the same command again" in stop.value.remedy
    assert logs.missing_steps == 63
    assert content(logs.path / "part_01") == "session 1"


def test_the_next_sessions_log_only_what_is_missing_each_with_a_seed_of_its_own(logs: RoundLogs) -> None:
    robot = Robot(falls_after(37), falls_after(13), None)
    for _ in range(2):
        with pytest.raises(RoundIncomplete):
            logs.log(robot, BUNDLE)
    logs.log(robot, BUNDLE)
    assert robot.calls == [(100, 6), (63, 10), (50, 14)]
    assert logs.sessions == (
        LoggedSession(6, 37, "TILT"),
        LoggedSession(10, 13, "TILT"),
        LoggedSession(14, 50),
    )
    assert [content(logs.path / f"part_0{number}") for number in (1, 2, 3)] == ["session 1", "session 2", "session 3"]
    assert logs.missing_steps == 0


def test_no_two_sessions_of_a_run_share_a_seed(tmp_path: Path) -> None:
    """Three rounds of five sessions each, with the strides that a run of three rounds gives them."""
    seeds = []
    for index in range(3):
        folder = tmp_path / f"round_{index + 1}"
        folder.mkdir()
        robot = Robot(*[falls_after(20)] * 4)
        logs = RoundLogs(folder, index + 1, 100, seed=5 + index, seed_stride=3)
        for _ in range(4):
            with pytest.raises(RoundIncomplete):
                logs.log(robot, BUNDLE)
        logs.log(robot, BUNDLE)
        seeds += [seed for _, seed in robot.calls]
    assert sorted(seeds) == list(range(5, 20))


def test_an_early_end_with_the_last_step_is_no_shortfall(logs: RoundLogs) -> None:
    logs.log(Robot(falls_after(100)), BUNDLE)
    assert logs.missing_steps == 0


def test_a_session_without_steps_is_no_part_and_uses_up_no_seed(logs: RoundLogs, tmp_path: Path) -> None:
    robot = Robot(falls_after(0), None)
    with pytest.raises(RoundIncomplete, match="0 so far, 100 are missing"):
        logs.log(robot, BUNDLE)
    assert content(tmp_path / "session_without_steps_1") == "session 1"
    logs.log(robot, BUNDLE)
    assert robot.calls == [(100, 6), (100, 6)]
    assert len(logs.sessions) == 1


@pytest.mark.parametrize("becomes", [is_killed, loses_the_robot])
def test_what_is_not_over_is_set_aside_and_logged_anew_from_its_own_seed(
    becomes: Callable[[int], BaseException], logs: RoundLogs, tmp_path: Path
) -> None:
    robot = Robot(falls_after(37), becomes, becomes, None)
    for error in (RoundIncomplete, type(becomes(0)), type(becomes(0))):
        with pytest.raises(error):
            logs.log(robot, BUNDLE)
    logs.log(robot, BUNDLE)
    assert robot.calls == [(100, 6), (63, 10), (63, 10), (63, 10)]
    assert [content(tmp_path / f"unfinished_session_{number}") for number in (1, 2)] == ["session 2", "session 3"]
    assert [content(part) for part in sorted(logs.path.iterdir())] == ["session 1", "session 4"]
    assert not (tmp_path / "logs.partial").exists()


def test_a_kill_just_before_a_part_has_its_name(
    logs: RoundLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is written, but a part counts only as a whole."""

    def killed(path: Path, target: Path) -> None:
        raise Killed

    robot = Robot()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(Killed):
            logs.log(robot, BUNDLE)
    assert logs.missing_steps == 100
    logs.log(robot, BUNDLE)
    assert robot.calls == [(100, 6), (100, 6)]
    assert content(tmp_path / "unfinished_session_1") == "session 1"
    assert content(logs.path / "part_01") == "session 2"


def test_the_record_lies_beside_the_log(logs: RoundLogs) -> None:
    with pytest.raises(RoundIncomplete):
        logs.log(Robot(falls_after(37)), BUNDLE)
    record = json.loads((logs.path / "part_01" / "session.json").read_text())
    assert record == {"seed": 6, "steps": 37, "ended_early": "TILT"}


def test_an_early_end_survives_the_way_between_processes() -> None:
    early = pickle.loads(pickle.dumps(SessionEndedEarly(100, 37, "TILT")))
    assert (early.steps, early.reason, early.expected) == (37, "TILT", "100 policy steps in this session")
