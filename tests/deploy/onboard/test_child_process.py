"""A child process: what it says arrives, how it ends is told, and it does not outlive its parent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from deploy.onboard.child_process import Child, Done, Reporter, start_child
from deploy.onboard.realtime import RealTimeWish
from robot_configs.errors import Go1Error

NOTHING = RealTimeWish(0, lock_memory=False)
PATIENCE_S = 30.0


def started(body: Callable[[Reporter], None]) -> Child:
    return start_child("test", body, NOTHING)


def sleep(reporter: Reporter) -> None:
    reporter.ready()
    time.sleep(PATIENCE_S)


def fail(error: BaseException) -> Callable[[Reporter], None]:
    def body(reporter: Reporter) -> None:
        raise error

    return body


def wait_until_ready(child: Child) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not child.ready and time.monotonic() < deadline_s:
        time.sleep(0.002)
        child.look()
    assert child.ready


def test_what_a_child_has_done_arrives_whole() -> None:
    """A result larger than a pipe, which the child can only write while the parent reads."""
    content = bytes(range(256)) * 4000
    child = started(lambda reporter: reporter.send(Done(content)))
    assert child.wait(PATIENCE_S)
    assert child.done == Done(content)
    assert child.ending == "ended in order"


def test_an_error_of_ours_survives_the_way() -> None:
    child = started(fail(Go1Error("this", "that", "Do so.")))
    assert child.wait(PATIENCE_S)
    assert child.failed is not None
    assert child.failed.error is not None
    assert (child.failed.error.expected, child.failed.error.remedy) == ("this", "Do so.")
    assert child.ending == "failed: Go1Error: expected this; found that. Do so."


@pytest.mark.parametrize("error", [ZeroDivisionError("division"), SystemExit(0), KeyboardInterrupt()])
def test_every_other_error_is_told_as_well(error: BaseException) -> None:
    child = started(fail(error))
    assert child.wait(PATIENCE_S)
    assert child.failed is not None
    assert child.failed.error is None
    assert child.ending.startswith(f"failed: {type(error).__name__}")


def test_a_child_does_not_go_on_in_its_parents_program() -> None:
    before = os.getpid()
    child = started(lambda reporter: None)
    assert os.getpid() == before
    assert child.wait(PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_signal_that_killed_it_is_named(number: int) -> None:
    child = started(sleep)
    wait_until_ready(child)
    child.signal(number)
    assert child.wait(PATIENCE_S)
    assert child.ending == f"was killed by {signal.Signals(number).name}"
    child.signal(number)  # there is nobody any more: no error, and nobody else gets it


def test_a_stopped_child_can_be_killed() -> None:
    child = started(sleep)
    wait_until_ready(child)
    child.signal(signal.SIGSTOP)
    assert not child.wait(0.05)
    child.kill()
    assert child.ending == "was killed by SIGKILL"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTSTP, signal.SIGHUP, signal.SIGQUIT])
def test_signals_of_the_terminal_are_left_to_the_parent(number: int) -> None:
    child = started(sleep)
    wait_until_ready(child)
    child.signal(number)
    assert not child.wait(0.05)
    child.kill()


def test_a_child_ends_with_its_parent() -> None:
    """The parent is itself a child here: killed, it takes its own child along."""

    def parent(reporter: Reporter) -> None:
        child = started(sleep)
        wait_until_ready(child)
        reporter.send(Done(child.pid))
        time.sleep(PATIENCE_S)

    child = started(parent)
    deadline_s = time.monotonic() + PATIENCE_S
    while child.done is None and time.monotonic() < deadline_s:
        child.look()
        time.sleep(0.002)
    assert child.done is not None
    grandchild: Any = child.done.result
    child.kill()
    while time.monotonic() < deadline_s:
        try:
            os.kill(grandchild, 0)
        except ProcessLookupError:
            return
        time.sleep(0.002)
    pytest.fail("the grandchild lives on")
