"""A session in the caller's own process: real time while it lasts, and the report that any process gives of it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Iterator

from deploy.onboard.realtime import RealTimeWish, request_real_time, scheduling_restored
from deploy.onboard.summary import ProcessSummary


@contextmanager
def in_real_time(name: str, wish: RealTimeWish) -> Iterator[ProcessSummary]:
    """Ask for what `wish` names, for the calling thread and this process's memory; say what became of it.

    To be entered when everything is set up. Threads and processes that begin within are not in real time. Afterwards
    the thread's scheduling is what it was; memory stays locked.
    """
    with scheduling_restored():
        grants = request_real_time(wish)
        yield ProcessSummary(name, os.getpid(), "ended in order", tuple(map(str, grants)))
