"""A wall clock that is set while the robot walks, as happens when a machine finds a time server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from unittest import mock


class WallClock:
    """`time.time` and `time.time_ns` of this process, which `jump` moves; the monotonic clock stays as it is."""

    def __init__(self) -> None:
        self._true_ns = time.time_ns
        self._shift_ns = 0

    def jump(self, shift_s: float) -> None:
        """Set the clock forwards (backwards where negative) [s]."""
        self._shift_ns += round(shift_s * 1e9)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Everything in this process reads this clock meanwhile."""
        with mock.patch.multiple(time, time_ns=self._now_ns, time=lambda: self._now_ns() / 1e9):
            yield

    def _now_ns(self) -> int:
        return self._true_ns() + self._shift_ns
