"""A session in the caller's own process: what it asks for, what it tells, what it gives back."""

from __future__ import annotations

import os

import pytest

from deploy.onboard import own_process
from deploy.onboard.own_process import in_real_time
from deploy.onboard.realtime import NOTHING, Grant, RealTimeWish


def test_who_asks_for_nothing_is_granted_nothing() -> None:
    with in_real_time("session", NOTHING) as process:
        assert (process.name, process.pid, process.real_time) == ("session", os.getpid(), ())


def test_what_was_granted_and_what_was_not_is_told_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = []

    def request(wish: RealTimeWish) -> tuple[Grant, ...]:
        wishes.append(wish)
        return Grant("SCHED_FIFO priority 41", True, ""), Grant("memory locked", False, "No; ulimit -l")

    monkeypatch.setattr(own_process, "request_real_time", request)
    with in_real_time("teleop", RealTimeWish(41)) as process:
        assert process.real_time == ("SCHED_FIFO priority 41", "memory locked: NOT granted; No; ulimit -l")
    assert wishes == [RealTimeWish(41)]


def test_the_scheduling_is_given_back_when_the_session_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """SCHED_BATCH may be had by everybody, and disturbs nobody."""
    before = os.sched_getscheduler(0)

    def request(wish: RealTimeWish) -> tuple[Grant, ...]:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return ()

    monkeypatch.setattr(own_process, "request_real_time", request)
    with pytest.raises(KeyError), in_real_time("session", RealTimeWish(41)):
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
        raise KeyError
    assert os.sched_getscheduler(0) == before
