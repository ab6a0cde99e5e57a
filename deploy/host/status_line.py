"""One line on the operator's terminal that is always up to date, written by a thread that may wait for the terminal."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from typing import Optional, TextIO

INTERVAL_S = 0.1
_CLOSING_S = 1.0  # for so long a terminal that takes no more holds up the end of the program


class StatusLine:
    """Writes what `text` returns ten times a second until closed.

    A slow connection, or a terminal that was closed, holds up this thread and nothing else.
    """

    def __init__(self, stream: TextIO, text: Callable[[], str], interval_s: float = INTERVAL_S) -> None:
        self._stream, self._text, self._interval_s = stream, text, interval_s
        self._closing = threading.Event()
        # A daemon: a terminal that never takes another byte must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="status_line", daemon=True)

    def __enter__(self) -> StatusLine:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._thread.join(timeout=_CLOSING_S)

    def _run(self) -> None:
        shown: Optional[str] = None
        while True:
            last = self._closing.wait(self._interval_s)
            text = self._text()
            try:
                if text != shown:
                    width = shutil.get_terminal_size().columns - 1
                    self._stream.write("\r" + text[:width].ljust(width))
                    self._stream.flush()
                if last:
                    self._stream.write("\n")
                    self._stream.flush()
            except (OSError, ValueError):  # the terminal was closed; ValueError is Python's word for a closed file
                return
            if last:
                return
            shown = text
