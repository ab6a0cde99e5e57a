"""A terminal as an input device: keys by their bytes, without any package.

A terminal tells that a key went down and that it repeats, never that it was let go. So a key of motion counts for
`HOLD_S` and must be renewed by the keyboard's repetition: hands off, connection stalled, terminal closed, and the robot
stands still.

    w s  forward, backward   q e  turn      1 stand   space, Esc  stop: damp at once   m  mark (type a text, Enter)
    a d  left, right         u o  arcs      2 walk    0  let go, re-arm                r  recording on or off
    arrows: forward, backward, turn         3 sit     x  sit down and quit             + -  speed
"""

from __future__ import annotations

import codecs
import os
import select
import termios
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple

from deploy.onboard.operator_input import DeviceReading, Wish

HOLD_S = 0.15
"""How long a key of motion counts [s]: keyboards repeat every 0.03 to 0.04, a network may lose two of them."""

ESCAPE_S = 0.05
"""An Esc that nothing follows for so long is the key itself, not the beginning of an arrow key's sequence [s]."""

DEFLECTIONS: Dict[str, Tuple[float, float, float]] = {
    "w": (1.0, 0.0, 0.0),
    "s": (-1.0, 0.0, 0.0),
    "a": (0.0, 1.0, 0.0),
    "d": (0.0, -1.0, 0.0),
    "q": (0.0, 0.0, 1.0),
    "e": (0.0, 0.0, -1.0),
    "u": (1.0, 0.0, 1.0),
    "o": (1.0, 0.0, -1.0),
    "\x1b[A": (1.0, 0.0, 0.0),
    "\x1b[B": (-1.0, 0.0, 0.0),
    "\x1b[D": (0.0, 0.0, 1.0),
    "\x1b[C": (0.0, 0.0, -1.0),
}
"""Forward, left, left turn. The arcs exist because a terminal repeats one key at a time only."""

WISHES: Dict[str, Wish] = {
    "1": Wish.STAND,
    "2": Wish.WALK,
    "3": Wish.SIT,
    "0": Wish.LET_GO,
    " ": Wish.STOP,
    "\x1b": Wish.STOP,
    "x": Wish.QUIT,
    "r": Wish.RECORDING,
    "+": Wish.FASTER,
    "=": Wish.FASTER,
    "-": Wish.SLOWER,
}

MARK_KEY = "m"
_ENTER, _BACKSPACE = ("\r", "\n"), ("\x7f", "\b")
_READ_BYTES = 256
_LONGEST_SEQUENCE = 8
_INPUT_FLAGS, _LOCAL_FLAGS, _CONTROL_CHARACTERS = 0, 3, 6
"""Places in the list of `termios.tcgetattr`."""


class KeyDecoder:
    """Cuts a terminal's bytes into keys: characters, and escape sequences as a whole."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = ""
        self._waiting_since_s = 0.0

    def decode(self, content: bytes, time_s: float) -> List[str]:
        """The keys that are complete now. Call it without content as well: time completes a lone Esc."""
        keys: List[str] = []
        if self._waiting and time_s - self._waiting_since_s > ESCAPE_S:
            keys.append(self._waiting[0])
            self._waiting = ""
        for character in self._text.decode(content):
            if self._waiting:
                self._continue(character, keys)
            elif character == "\x1b":
                self._waiting, self._waiting_since_s = character, time_s
            else:
                keys.append(character)
        return keys

    def _continue(self, character: str, keys: List[str]) -> None:
        """One more character after an Esc: CSI and SS3 sequences end with a letter or a tilde."""
        if self._waiting == "\x1b" and character not in "[O":
            keys.append("\x1b")  # Esc, and then another key
            self._waiting = ""
            keys.append(character)
            return
        self._waiting += character
        if len(self._waiting) > 2 and (character.isalpha() or character == "~"):
            # In application mode arrows begin with SS3.
            keys.append(self._waiting.replace("\x1bO", "\x1b["))
            self._waiting = ""
        elif len(self._waiting) > _LONGEST_SEQUENCE:
            self._waiting = ""


class Keyboard:
    """Reads keys from a terminal that `raw_terminal` has prepared (or from a pipe, in tests).

    Args:
        descriptor: an open file descriptor; it stays the caller's.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = KeyDecoder()
        self._deflection = (0.0, 0.0, 0.0)
        self._held_until_s = 0.0
        self._marks_made = 0
        self.connected = True
        self.typing: Optional[str] = None

    def read(self, time_s: float) -> DeviceReading:
        """See `InputDevice.read`."""
        wishes: List[Wish] = []
        marks: List[str] = []
        for key in self._decoder.decode(self._available(), time_s):
            if self.typing is not None:
                self._type(key, wishes, marks)
            elif key in DEFLECTIONS:
                self._deflection, self._held_until_s = DEFLECTIONS[key], time_s + HOLD_S
            elif key in WISHES:
                wishes.append(WISHES[key])
            elif key == MARK_KEY:
                self.typing = ""
        if not self.connected or time_s > self._held_until_s or Wish.STOP in wishes:
            self._deflection = (0.0, 0.0, 0.0)
        return DeviceReading(self._deflection, tuple(wishes), tuple(marks))

    def _type(self, key: str, wishes: List[Wish], marks: List[str]) -> None:
        """While a mark is typed, keys are letters; Esc still stops the robot."""
        assert self.typing is not None
        if key == "\x1b":
            wishes.append(Wish.STOP)
            self.typing = None
        elif key in _ENTER:
            self._marks_made += 1
            marks.append(self.typing.strip() or f"mark {self._marks_made}")
            self.typing = None
        elif key in _BACKSPACE:
            self.typing = self.typing[:-1]
        elif key.isprintable():
            self.typing += key

    def _available(self) -> bytes:
        """What can be read without waiting; an end of file, or an error, is the end of the device."""
        if not self.connected or not select.select([self._descriptor], [], [], 0.0)[0]:
            return b""
        try:
            content = os.read(self._descriptor, _READ_BYTES)
        except OSError:  # EIO: the terminal was closed
            content = b""
        self.connected = bool(content)
        return content


@contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Keys arrive as they are pressed and are not shown; given back as it was.

    Ctrl-C stays a signal. Ctrl-Z and Ctrl-backslash do not: a runner that is suspended leaves the robot holding its
    last command. Ctrl-S must not freeze the output. A descriptor that is no terminal is left alone.
    """
    if not os.isatty(descriptor):
        yield
        return
    before: List[Any] = termios.tcgetattr(descriptor)
    during: List[Any] = [list(entry) if isinstance(entry, list) else entry for entry in before]
    during[_LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
    during[_INPUT_FLAGS] &= ~(termios.IXON | termios.ICRNL)
    for name in (termios.VSUSP, termios.VQUIT):
        during[_CONTROL_CHARACTERS][name] = b"\0"
    during[_CONTROL_CHARACTERS][termios.VMIN], during[_CONTROL_CHARACTERS][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSANOW, during)
    try:
        yield
    finally:
        try:
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
        except termios.error:
            pass  # the terminal was closed: there is nothing to give back
