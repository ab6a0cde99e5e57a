"""The guard: asleep while anybody watches over the robot, and damping it when nobody does any more."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from deploy.onboard import guard
from deploy.onboard.child_process import PARENT_DIED
from deploy.onboard.exchange import OrderWriter, PulseWriter, Slots
from deploy.onboard.guard import GuardPost, dismiss_guard, stand_guard
from robot_configs.robot import RobotModel
from tests.deploy.onboard.real_time_robot import children_of, wait_until
from tests.deploy.onboard.supervised_walk import Walk, assert_nothing_left, endings

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
def post(robot: RobotModel, folded_link: Any) -> Iterator[Post]:
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


def test_it_kills_nobody_who_only_has_the_number(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is no gate by its title, and not its own parent; one that has ended has no title at all."""
    kills: list[int] = []
    monkeypatch.setattr(guard.os, "kill", lambda pid, number: kills.append(pid))
    guard._kill_both(post.post)
    guard._kill_both(GuardPost(post.post.robot, post.link, post.slots, 0, 0, 2**22 + 1, 0.1, 0.1))
    assert kills == []


# ---- In a session, for real ------------------------------------------------------------------------------------------


def test_gate_and_supervisor_killed_in_the_same_instant(walking: Callable[..., Walk]) -> None:
    walk = walking()
    pids = children_of(walk.session.process.pid)
    gate = walk.session.pid("gate")
    assert gate is not None
    killed_s = time.monotonic()
    os.kill(walk.session.process.pid, signal.SIGSTOP)  # it cannot notice what happens to the gate
    os.kill(gate, signal.SIGKILL)
    os.kill(walk.session.process.pid, signal.SIGKILL)
    walk.assert_damped_since(killed_s)
    assert_nothing_left(walk, pids)


def test_gate_and_supervisor_stopped_are_killed_and_the_robot_damped(walking: Callable[..., Walk]) -> None:
    walk = walking(guard_silence_limit_s=0.3)
    pids = children_of(walk.session.process.pid)
    stopped_s = time.monotonic()
    walk.session.signal("supervisor", signal.SIGSTOP)
    walk.session.signal("gate", signal.SIGSTOP)
    walk.assert_damped_since(stopped_s)
    assert_nothing_left(walk, pids)
    assert walk.session.process.wait(timeout=10.0) == -signal.SIGKILL


def test_a_killed_guard_is_replaced_and_the_robot_walks_on(walking: Callable[..., Walk]) -> None:
    walk = walking(episode_s=1.5)
    first = walk.session.signal("guard", signal.SIGKILL)
    wait_until(lambda: walk.session.pid("guard") not in (None, first), "replaced")
    summary = walk.session.summary()
    assert [episode["ending"] for episode in summary["episodes"]] == ["truncated"]
    guards = [process["ending"] for process in summary["processes"] if process["name"] == "guard"]
    assert guards == ["was killed by SIGKILL", "ended in order"]
    assert endings(summary)["gate"] == "ended in order"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_both_killed_in_any_order_at_any_phase(walking: Callable[..., Walk], seed: int) -> None:
    generator = np.random.default_rng(seed)
    walk = walking()
    pids = children_of(walk.session.process.pid)
    gate = walk.session.pid("gate")
    assert gate is not None
    both = [gate, walk.session.process.pid]
    generator.shuffle(both)
    time.sleep(generator.uniform(0.0, 0.1))
    killed_s = time.monotonic()
    for pid in both:
        os.kill(pid, signal.SIGKILL)
    walk.assert_damped_since(killed_s)
    assert_nothing_left(walk, pids)
