"""The signals that stop programs, turned into a request to end the session in order."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from types import FrameType
from typing import Callable, Iterator, Optional

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
"""Hanging up and Ctrl-Z are among them: a robot must not be left to a program that is stopped."""


@contextmanager
def signals_stop(request_stop: Callable[[str], None]) -> Iterator[None]:
    """Call `request_stop` with the signal's name when one comes. (Only the main thread gets signals.)"""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Optional[FrameType]) -> None:
        request_stop(signal.Signals(number).name)

    previous = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
