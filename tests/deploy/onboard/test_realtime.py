"""Real time: what is granted is in force, what is refused is told with its remedy, and nothing fails."""

from __future__ import annotations

import os
import pickle
import resource
from collections.abc import Callable
from typing import Any

import pytest

from deploy.onboard.realtime import Grant, RealTimeWish, request_real_time, scheduling_restored

NOBODY = 65534


def in_a_child(body: Callable[[], Any]) -> Any:
    """What `body` returns in a forked process, whose own scheduling it may change."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, pickle.dumps(body()))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        content = stream.read()
    os.waitpid(pid, 0)
    return pickle.loads(content)


def as_nobody() -> None:
    """Give up every right, if there are any to give up."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    if os.geteuid() == 0:
        os.setuid(NOBODY)


def test_what_is_refused_is_told_with_its_remedy() -> None:
    def ask() -> tuple[Grant, ...]:
        as_nobody()
        return request_real_time(RealTimeWish(41, core=10_000))

    priority, memory, core = in_a_child(ask)
    assert (priority.granted, memory.granted, core.granted) == (False, False, False)
    assert str(priority).startswith("SCHED_FIFO priority 41: NOT granted; Operation not permitted; allow it:")
    assert "CAP_SYS_NICE" in priority.remedy
    assert "ulimit -l" in memory.remedy
    assert "core 10000 only: NOT granted" in str(core)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may always")
def test_what_is_granted_is_in_force() -> None:
    core = min(os.sched_getaffinity(0))

    def ask() -> tuple[Any, ...]:
        try:
            grants = request_real_time(RealTimeWish(41, core))
            locked = next(line for line in open("/proc/self/status") if line.startswith("VmLck"))
            policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
            return grants, policy, os.sched_getparam(0).sched_priority, os.sched_getaffinity(0), locked
        except OSError as error:
            return (str(error),)

    grants, policy, priority, cores, locked = in_a_child(ask)
    if not all(grant.granted for grant in grants):
        pytest.skip(f"a container without the capabilities: {'; '.join(map(str, grants))}")
    assert [str(grant) for grant in grants] == ["SCHED_FIFO priority 41", "memory locked", f"core {core} only"]
    assert (policy, priority, cores) == (os.SCHED_FIFO, 41, {core})
    assert int(locked.split()[1]) > 0


def test_who_asks_for_nothing_gets_nothing() -> None:
    before = os.sched_getscheduler(0)
    assert request_real_time(RealTimeWish(0, lock_memory=False)) == ()
    assert os.sched_getscheduler(0) == before


def test_the_scheduling_is_given_back_whatever_happens() -> None:
    """With SCHED_BATCH, which is no real time and may be had by everybody."""

    def borrow() -> tuple[int, int, int]:
        before = os.sched_getscheduler(0)
        within = before
        try:
            with scheduling_restored():
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
                within = os.sched_getscheduler(0)
                raise KeyError("the session fails")
        except KeyError:
            return before, within, os.sched_getscheduler(0)

    before, within, after = in_a_child(borrow)
    assert (within, after) == (os.SCHED_BATCH, before)


@pytest.mark.parametrize("allowed", [True, False], ids=["with CAP_SYS_NICE", "without"])
def test_real_time_is_given_up_even_where_its_flag_may_not_be(monkeypatch: pytest.MonkeyPatch, allowed: bool) -> None:
    """On a kernel that is played here, for the machine that tests is not to be disturbed."""
    flag, kernel = os.SCHED_RESET_ON_FORK, {"policy": os.SCHED_OTHER, "priority": 0}

    def set_scheduler(pid: int, policy: int, parameters: os.sched_param) -> None:
        if kernel["policy"] & flag and not policy & flag and not allowed:
            raise PermissionError(1, "Operation not permitted")
        kernel.update(policy=policy, priority=parameters.sched_priority)

    monkeypatch.setattr(os, "sched_setscheduler", set_scheduler)
    monkeypatch.setattr(os, "sched_getscheduler", lambda pid: kernel["policy"])
    monkeypatch.setattr(os, "sched_getparam", lambda pid: os.sched_param(kernel["priority"]))
    with scheduling_restored():
        assert request_real_time(RealTimeWish(42, lock_memory=False))[0].granted
        assert kernel == {"policy": os.SCHED_FIFO | flag, "priority": 42}
    assert kernel == {"policy": os.SCHED_OTHER | (0 if allowed else flag), "priority": 0}
