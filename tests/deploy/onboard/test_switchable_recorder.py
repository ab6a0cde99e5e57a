"""Recording on and off while the robot runs: numbered files, nothing overwritten, parts of episodes closed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.onboard.recorder import NO_EPISODE, RecorderReport
from deploy.onboard.switchable_recorder import SwitchableRecorder, next_session_id
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending, EventKind

PATIENCE_S = 20.0
"""For a thread to have done its work on a machine that is busy with other things."""


class Page:
    """A recorder that remembers what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events: list[tuple[EventKind, str, int, Ending]] = []
        self.commands = 0
        self.may_close = threading.Event()
        self.may_close.set()
        self.closed = False

    def low_state(self, state: Any, time_s: float) -> None:
        pass

    def policy_tick(self, step: Any, lateness_s: float) -> None:
        pass

    def low_cmd(self, decision: Any, mode: Mode, time_s: float, lateness_s: float) -> None:
        assert not self.closed
        self.commands += 1

    def event(self, kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending) -> None:
        assert not self.closed
        self.events.append((kind, text, episode, ending))

    def close(self) -> RecorderReport:
        assert self.may_close.wait(PATIENCE_S)
        self.closed = True
        return RecorderReport(self.name, {"/low_cmd": self.commands}, {"/low_cmd": 1}, "")


class Book:
    """Opens pages."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.fails = False

    def open(self) -> Page:
        if self.fails:
            raise OSError(28, "No space left on device")
        self.pages.append(Page(f"page {len(self.pages)}"))
        return self.pages[-1]


@pytest.fixture
def book() -> Book:
    return Book()


def tick(recorder: SwitchableRecorder) -> None:
    recorder.low_cmd(None, Mode.WALK, 0.0, 0.0)  # type: ignore[arg-type]


def tick_until(recorder: SwitchableRecorder, condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        tick(recorder)
        time.sleep(0.001)


def test_from_the_start_on(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=True)
    assert recorder.recording
    tick(recorder)
    recorder.mark(0.0, Mode.WALK, "ice")
    assert recorder.close() == RecorderReport("page 0", {"/low_cmd": 1}, {"/low_cmd": 1}, "")
    assert book.pages[0].events == [(EventKind.MARK, "ice", NO_EPISODE, Ending.NONE)]


def test_without_a_recording_nothing_is_opened(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=False)
    tick(recorder)
    recorder.mark(0.0, Mode.WALK, "nobody hears this")
    assert not recorder.recording
    assert recorder.close() == RecorderReport("", {}, {}, "")
    assert book.pages == []


def test_a_stop_within_an_episode_closes_it_as_stopped(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=True)
    recorder.event(EventKind.EPISODE_START, Mode.WALK, 0.0, "", 3, Ending.NONE)
    recorder.toggle(1.0, Mode.WALK)
    assert not recorder.recording
    tick(recorder)
    recorder.event(EventKind.EPISODE_END, Mode.STAND, 2.0, "planned", 3, Ending.TRUNCATED)
    recorder.close()
    assert book.pages[0].events[1:] == [
        (EventKind.EPISODE_END, "recording stopped", 3, Ending.STOPPED),
        (EventKind.STOP, "recording stopped", NO_EPISODE, Ending.NONE),
    ]
    assert book.pages[0].commands == 0


def test_a_stop_between_episodes_closes_none(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=True)
    recorder.event(EventKind.EPISODE_START, Mode.WALK, 0.0, "", 0, Ending.NONE)
    recorder.event(EventKind.EPISODE_END, Mode.STAND, 1.0, "", 0, Ending.TRUNCATED)
    recorder.toggle(2.0, Mode.STAND)
    recorder.close()
    assert [kind for kind, *_ in book.pages[0].events[2:]] == [EventKind.STOP]


def test_a_slow_disk_does_not_hold_up_a_stop(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=True)
    book.pages[0].may_close.clear()
    recorder.toggle(1.0, Mode.WALK)  # would wait for PATIENCE_S and fail if it were done here
    tick(recorder)
    assert not book.pages[0].closed
    book.pages[0].may_close.set()
    recorder.close()
    assert book.pages[0].closed


def test_a_start_in_the_middle_of_an_episode(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=False)
    recorder.event(EventKind.EPISODE_START, Mode.WALK, 0.0, "", 2, Ending.NONE)
    recorder.toggle(1.0, Mode.WALK)
    tick_until(recorder, lambda: recorder.recording)
    assert book.pages[0].events == [(EventKind.MODE_CHANGE, "recording started", 2, Ending.NONE)]
    before = book.pages[0].commands
    tick(recorder)
    assert book.pages[0].commands == before + 1
    recorder.close()


def test_every_recording_is_a_file_of_its_own_and_the_report_their_sum(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=True)
    tick(recorder)
    recorder.toggle(1.0, Mode.STAND)
    recorder.toggle(2.0, Mode.STAND)
    tick_until(recorder, lambda: recorder.recording)
    report = recorder.close()
    assert report.path == "page 0, page 1"
    assert report.messages["/low_cmd"] == book.pages[0].commands + book.pages[1].commands >= 2
    assert report.dropped == {"/low_cmd": 2}
    assert recorder.close() == report


def test_a_second_start_while_a_file_is_being_opened_is_the_first_one(book: Book) -> None:
    release = threading.Event()

    def slowly() -> Page:
        assert release.wait(PATIENCE_S)
        return book.open()

    recorder = SwitchableRecorder(slowly, record_at_once=False)
    recorder.toggle(0.0, Mode.STAND)
    recorder.toggle(0.1, Mode.STAND)
    release.set()
    tick_until(recorder, lambda: recorder.recording)
    recorder.close()
    assert len(book.pages) == 1


def test_a_file_that_was_opened_too_late_is_closed_too(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=False)
    recorder.toggle(0.0, Mode.STAND)
    assert recorder.close().path == "page 0"
    assert book.pages[0].closed


def test_a_full_disk_is_reported_and_stops_nothing(book: Book) -> None:
    recorder = SwitchableRecorder(book.open, record_at_once=False)
    book.fails = True
    recorder.toggle(0.0, Mode.WALK)
    tick_until(recorder, lambda: bool(recorder.error))
    tick(recorder)
    assert "No space left" in recorder.error and not recorder.recording
    book.fails = False
    recorder.toggle(1.0, Mode.WALK)
    tick_until(recorder, lambda: recorder.recording)
    assert recorder.error == ""
    recorder.close()


def test_a_folder_is_continued_by_number(tmp_path: Path) -> None:
    assert next_session_id(tmp_path).startswith("session_0001_")
    for name in ("session_0002_a.mcap", "session_0009_b.mcap", "session_0011_c.txt", "other.mcap", "session_x_.mcap"):
        (tmp_path / name).touch()
    assert next_session_id(tmp_path).startswith("session_0010_")
    (tmp_path / "session_12345_d.mcap").touch()
    assert next_session_id(tmp_path).startswith("session_12346_")


def test_two_sessions_of_one_moment_have_two_names(tmp_path: Path) -> None:
    assert next_session_id(tmp_path) != next_session_id(tmp_path)
