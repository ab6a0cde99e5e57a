"""The guard: asleep while anybody watches over the robot, and damping it when nobody does any more."""

from __future__ import annotations

import functools
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from typing import Any, Optional

import pytest

from deploy.onboard import guard
from deploy.onboard.child_process import PARENT_DIED
from deploy.onboard.exchange import OrderWriter, PulseWriter, Slots
from deploy.onboard.guard import GuardPost, damp_robot, dismiss_guard, stand_guard
from robot_configs.robot import RobotModel

ALWAYS_NEW_S, ALWAYS_OLD_S = 1e12, 0.0
"""Times of an order that is fresh, or stale, however busy the machine is."""


class NoReporter:
    def ready(self) -> None:
        """Nobody listens."""


class Post:
    """A guard's post in this process: its writing end stands for gate and supervisor."""

    def __init__(self, robot: RobotModel, link: Any) -> None:
        self.link = link
        self.slots = Slots.create()
        reading, self.writing = os.pipe()
        self.post = GuardPost(robot, link, self.slots, reading, os.getpid(), os.getpid(), 0.1, 0.02)

    def stand(self) -> None:
        stand_guard(self.post, NoReporter())  # type: ignore[arg-type]


@pytest.fixture
def post(robot: RobotModel, folded_link: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """One that fails instead of standing guard for ever; no test here needs it for longer than a second."""
    look, looks = select.select, iter(range(1000))

    def look_again(*arguments: Any) -> Any:
        assert next(looks, None) is not None, "it does not end"
        return look(*arguments)

    monkeypatch.setattr(guard.select, "select", look_again)
    numbers = (signal.SIGTERM, PARENT_DIED)
    before = [signal.getsignal(number) for number in numbers]
    yield Post(robot, folded_link)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_pipe_that_has_ended_is_damped_for_its_time(post: Post) -> None:
    os.close(post.writing)
    post.stand()
    assert len(post.link.sent) == 10  # 20 ms at 500 Hz
    assert all(not command.stiffness.any() and command.damping.all() for command in post.link.sent)


def test_a_dismissed_guard_sends_nothing(post: Post) -> None:
    dismiss_guard(post.writing)
    os.close(post.writing)
    post.stand()
    assert post.link.sent == []


@pytest.mark.parametrize("byte", [b"\0", b"\2", b"\xff"])
def test_any_byte_but_the_agreed_one_is_no_dismissal(post: Post, byte: bytes) -> None:
    os.write(post.writing, byte)
    post.stand()
    assert len(post.link.sent) == 10


def test_signals_that_end_programs_do_not_end_it(post: Post) -> None:
    """They come as soon as it stands, and by default would end this process."""

    class Disturber:
        def ready(self) -> None:
            for number in (signal.SIGTERM, PARENT_DIED):
                os.kill(os.getpid(), number)
            dismiss_guard(post.writing)

    stand_guard(post.post, Disturber())  # type: ignore[arg-type]
    assert post.link.sent == []


def test_a_guard_that_is_gone_is_dismissed_all_the_same(post: Post) -> None:
    os.close(post.post.pipe)
    dismiss_guard(post.writing)


@pytest.mark.parametrize(
    ("beats", "ordered_s", "kills"),
    [
        ([False], ALWAYS_OLD_S, True),
        ([False], ALWAYS_NEW_S, False),  # the supervisor is at it
        ([False, True], ALWAYS_OLD_S, False),  # the motors hold on to damping
        ([], ALWAYS_OLD_S, False),  # they are not on yet
    ],
)
def test_only_silence_of_both_with_the_motors_pulling_makes_it_act(
    post: Post, monkeypatch: pytest.MonkeyPatch, beats: list[bool], ordered_s: float, kills: bool
) -> None:
    pulse = PulseWriter(post.slots.pulse)
    for number, damping in enumerate(beats, 1):
        pulse.write(number, damping)
    OrderWriter(post.slots.order).write(ordered_s)
    killed: list[GuardPost] = []

    def kill(watched: GuardPost) -> None:
        killed.append(watched)
        os.close(post.writing)  # as the kernel does

    monkeypatch.setattr(guard, "_kill_both", kill)
    if not kills:
        threading.Timer(0.4, lambda: dismiss_guard(post.writing)).start()
    post.stand()
    assert bool(killed) is kills
    assert bool(post.link.sent) is kills


class Watch:
    """A guard's time, in looks of 62.5 ms from 128 s on: exact in binary, so that limits can be met to the bit."""

    LOOK_S = 0.0625

    def __init__(self, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks, self.killed_at = 0, 0
        self._pipe = post.post.pipe
        self.events: dict[int, Callable[[], None]] = {}
        self.ends_at = 12
        monkeypatch.setattr(guard.select, "select", self._select)
        monkeypatch.setattr(guard.time, "monotonic", lambda: 128.0 + self.LOOK_S * self.looks)
        monkeypatch.setattr(guard, "_kill_both", self._kill)
        monkeypatch.setattr(guard.os, "read", lambda pipe, size: guard._DISMISSAL if size == 1 else b"")

    def _select(self, reading: list[int], *rest: Any) -> tuple[list[int], list[int], list[int]]:
        assert (reading, rest) == ([self._pipe], ([], [], guard.POLL_S))
        self.looks += 1
        assert self.looks < 100, "it does not end"
        self.events.get(self.looks, lambda: None)()
        return ([self._pipe] if self.killed_at or self.looks == self.ends_at else [], [], [])

    def _kill(self, post: GuardPost) -> None:
        self.killed_at = self.looks


@pytest.mark.parametrize(
    ("beats", "ordered_s", "killed_at"),
    [
        ((1,), 0.0, 4),  # the last beat at look 1: 62.5, 125 ms of silence, and then more than the limit
        ((1, 3, 5), 0.0, 8),
        ((1, 3, 5, 7, 9, 11), 0.0, 0),  # a gate at work is enough
        ((1,), 128.0 + 6 * 0.0625, 9),  # so is a supervisor, until its sign is older than 125 ms
        ((1,), 1e9, 0),
        ((1,), None, 4),  # one that never said anything is none
    ],
)
def test_it_acts_when_both_have_been_silent_for_longer_than_the_limit(
    post: Post, monkeypatch: pytest.MonkeyPatch, beats: tuple[int, ...], ordered_s: Optional[float], killed_at: int
) -> None:
    post.post = replace(post.post, silence_limit_s=0.125)
    watch, pulse = Watch(post, monkeypatch), PulseWriter(post.slots.pulse)
    watch.events = {look: functools.partial(pulse.write, look, False) for look in beats}
    if ordered_s is not None:
        OrderWriter(post.slots.order).write(ordered_s)
    post.stand()
    assert watch.killed_at == killed_at
    assert post.link.sent == []


def test_it_looks_twenty_times_a_second() -> None:
    assert guard.POLL_S == 0.05


def test_damping_waits_for_no_answer_and_tells_of_every_frame(
    robot: RobotModel, folded_link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleeps: list[float] = []
    frames: list[int] = []
    monkeypatch.setattr(folded_link, "receive", waits.append)
    monkeypatch.setattr(guard.time, "monotonic", lambda: 128.0)
    monkeypatch.setattr(guard.time, "sleep", sleeps.append)
    damp_robot(folded_link, robot, 0.006, lambda: frames.append(len(folded_link.sent)))
    assert (waits, frames) == ([0.0] * 3, [1, 2, 3])
    assert sleeps == pytest.approx([0.002, 0.004, 0.006])
    monkeypatch.setattr(guard.time, "monotonic", iter([128.0, 129.0]).__next__)
    damp_robot(folded_link, robot, 0.002)
    assert sleeps[3:] == [0.0], "late already: it does not wait, nor for less than nothing"


def test_a_post_stays_what_it_was(post: Post) -> None:
    with pytest.raises(FrozenInstanceError):
        post.post.gate_pid = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("gates_title", "parent", "expected"),
    [
        ("go1-gate", 4242, [4711, 4242]),
        ("go1-gate", 1, [4711]),  # the supervisor has ended: the guard's parent is another
        ("bash", 4242, [4242]),  # the gate has ended, and its number is a stranger's
    ],
)
def test_both_are_killed_the_gate_first(
    post: Post, monkeypatch: pytest.MonkeyPatch, gates_title: str, parent: int, expected: list[int]
) -> None:
    kills: list[tuple[int, int]] = []
    monkeypatch.setattr(guard, "_title", lambda pid: {4711: gates_title}[pid])
    monkeypatch.setattr(guard.os, "getppid", lambda: parent)
    monkeypatch.setattr(guard.os, "kill", lambda pid, number: kills.append((pid, number)))
    guard._kill_both(replace(post.post, gate_pid=4711, supervisor_pid=4242))
    assert kills == [(pid, signal.SIGKILL) for pid in expected]


def test_it_kills_nobody_who_only_has_the_number(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is no gate by its title, and not its own parent; one that has ended has no title at all."""
    kills: list[int] = []
    monkeypatch.setattr(guard.os, "kill", lambda pid, number: kills.append(pid))
    guard._kill_both(post.post)
    guard._kill_both(GuardPost(post.post.robot, post.link, post.slots, 0, 0, 2**22 + 1, 0.1, 0.1))
    assert kills == []
