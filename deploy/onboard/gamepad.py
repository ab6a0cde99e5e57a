"""A gamepad through Linux's joystick interface, /dev/input/js*: eight bytes an event, without any package.

    u32 time [ms] | i16 value | u8 type (1 button, 2 axis; +0x80 for the state at opening) | u8 number

Source: Documentation/input/joydev/joystick-api.rst of the Linux kernel. A gamepad reports changes only: a stick that is
held still says nothing, so silence cannot be told from absence. What can: the device going away (unplugged, receiver
gone) is an error of the file; and motion needs the dead-man button held down.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

from deploy.onboard.operator_input import DeviceReading, Wish
from deploy.onboard.remote import with_dead_zone
from robot_configs.errors import Go1Error

EVENT = struct.Struct("<IhBB")
BUTTON, AXIS, AT_OPENING = 0x01, 0x02, 0x80
FULL = 32767
_EVENTS_A_READ = 64


class GamepadError(Go1Error):
    """The gamepad cannot be opened."""


@dataclass(frozen=True)
class GamepadLayout:
    """Which number means what; numbers follow the kernel's driver of the make."""

    forward_axis: int
    """Grows towards the person."""
    sideways_axis: int
    """Grows to the right."""
    turn_axis: int
    """Grows to the right."""
    dead_man_button: int
    """Must be held for the robot to move."""
    wishes: Dict[int, Wish]
    """What the other buttons ask for."""
    mark_button: int


XBOX = GamepadLayout(
    forward_axis=1,
    sideways_axis=0,
    turn_axis=3,
    dead_man_button=4,  # left shoulder
    wishes={
        0: Wish.STAND,  # A
        1: Wish.STOP,  # B, as on the robot's own remote
        2: Wish.SIT,  # X
        3: Wish.LET_GO,  # Y
        6: Wish.RECORDING,  # back
        7: Wish.WALK,  # start
        8: Wish.QUIT,  # guide
    },
    mark_button=5,  # right shoulder
)

PLAYSTATION = GamepadLayout(
    forward_axis=1,
    sideways_axis=0,
    turn_axis=3,
    dead_man_button=4,  # L1
    wishes={
        0: Wish.STAND,  # cross
        1: Wish.STOP,  # circle
        3: Wish.SIT,  # square
        2: Wish.LET_GO,  # triangle
        8: Wish.RECORDING,  # share
        9: Wish.WALK,  # options
        10: Wish.QUIT,  # PS
    },
    mark_button=5,  # R1
)

LAYOUTS: Dict[str, GamepadLayout] = {"xbox": XBOX, "playstation": PLAYSTATION}


class Gamepad:
    """Reads a joystick device; `close` it."""

    def __init__(self, path: Path, layout: GamepadLayout) -> None:
        """Open `path`.

        Raises:
            GamepadError: it cannot be opened.
        """
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise GamepadError(
                f"a gamepad at {path}",
                error.strerror or str(error),
                "Plug it in and look for /dev/input/js*; its user must be in the group input.",
            ) from None
        self._layout = layout
        self._axes: Dict[int, float] = {}
        self._pressed: Set[int] = set()
        self._marks_made = 0
        self._rest = b""
        self.connected = True
        self.typing: Optional[str] = None

    def read(self, time_s: float) -> DeviceReading:
        """See `InputDevice.read`."""
        wishes: List[Wish] = []
        marks: List[str] = []
        content = self._rest + self._available()
        whole = len(content) - len(content) % EVENT.size
        self._rest = content[whole:]
        for _, value, kind, number in EVENT.iter_unpack(content[:whole]):
            if kind & AXIS:
                self._axes[number] = with_dead_zone(max(value / FULL, -1.0))
            elif kind & BUTTON:
                # A button that is down when the device is opened was not pressed for us.
                self._press(number, bool(value), not kind & AT_OPENING, wishes, marks)
        return DeviceReading(self._deflection(), tuple(wishes), tuple(marks))

    def close(self) -> None:
        """Give the device back; closing twice is allowed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self.connected = -1, False

    def _press(self, number: int, down: bool, counts: bool, wishes: List[Wish], marks: List[str]) -> None:
        if not down or not counts:
            self._pressed.discard(number)
            return
        self._pressed.add(number)
        if number in self._layout.wishes:
            wishes.append(self._layout.wishes[number])
        elif number == self._layout.mark_button:
            self._marks_made += 1
            marks.append(f"gamepad mark {self._marks_made}")

    def _deflection(self) -> Tuple[float, float, float]:
        layout = self._layout
        if not self.connected or layout.dead_man_button not in self._pressed:
            return (0.0, 0.0, 0.0)
        axes = (layout.forward_axis, layout.sideways_axis, layout.turn_axis)
        forward, sideways, turn = (-self._axes.get(axis, 0.0) for axis in axes)
        return (forward, sideways, turn)

    def _available(self) -> bytes:
        if not self.connected:
            return b""
        try:
            content = os.read(self._descriptor, EVENT.size * _EVENTS_A_READ)
        except BlockingIOError:
            return b""
        except OSError:  # ENODEV: unplugged
            content = b""
        self.connected = bool(content)
        return content
