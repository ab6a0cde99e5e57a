"""What a person at a keyboard or a gamepad wants: deflections that die away, wishes that count once, and their loss.

    Keyboard ─┐  DeviceReading                 ┌─► deflection ──► OperatorCommands ──► pilot
    Gamepad  ─┴──────────────► Operator.poll ──┼─► wishes     ──► OperatorSchedule ──► modes, recording, marks
                               (once a tick)   └─► lost since ──► OperatorSchedule ──► stand, sit, let go

Nothing here waits: a device that has nothing to say costs a tick some microseconds.
"""

from __future__ import annotations

import enum
from typing import List, NamedTuple, Optional, Protocol, Sequence, Tuple

import numpy as np

from deploy.onboard.commands import CommandSource, StickAxes, neutral_command
from deploy.onboard.wire import RobotState
from policy.contract import CommandTerm

RISE_S = 0.4
"""A deflection from nothing to full takes this long [s]: keys know no half way, legs do not like steps."""

FALL_S = 0.15
"""From full to nothing [s]. With `keyboard.HOLD_S` it makes the 0.3 s after which nothing moves without a person."""

SPEED_STEP = 0.1
SLOWEST, FASTEST = 0.1, 1.0
"""Share of the policy's command range that full deflection asks for."""


class Wish(enum.Enum):
    """Something asked for once; the value is how it is shown."""

    STAND = "stand"
    WALK = "walk"
    SIT = "sit"
    LET_GO = "let go"
    """Damp; after a fault also re-arm."""
    STOP = "stop"
    """Damp at once, whatever is going on."""
    QUIT = "quit"
    """Sit down and end the session."""
    RECORDING = "recording"
    """Start recording, or stop it."""
    FASTER = "faster"
    SLOWER = "slower"


class DeviceReading(NamedTuple):
    """What a device reports at one moment."""

    deflection: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Forward, to the left, turning to the left; each within [-1, 1]."""
    wishes: Tuple[Wish, ...] = ()
    """New since the reading before, in order."""
    marks: Tuple[str, ...] = ()
    """Texts of the operator's marks, new since the reading before."""


class InputDevice(Protocol):
    """A keyboard, a gamepad, or a test's stand-in."""

    @property
    def connected(self) -> bool:
        """False for good once the device has gone."""
        ...

    @property
    def typing(self) -> Optional[str]:
        """The unfinished text of a mark; None while none is typed."""
        ...

    def read(self, time_s: float) -> DeviceReading:
        """What has happened up to now; never waits, never raises for a device that has gone."""
        ...


class Operator:
    """Everything the person wants, over all their devices.

    Args:
        devices: the largest deflection of them counts, so that an idle one does not hold another back; the loss of any
            one is the loss of the operator.
        speed: the share of the command range that full deflection asks for, to begin with.
    """

    def __init__(self, devices: Sequence[InputDevice], speed: float) -> None:
        self._devices = tuple(devices)
        self._deflection = np.zeros(3)
        self._polled_s: Optional[float] = None
        self._wishes: List[Wish] = []
        self._marks: List[str] = []
        self.speed = speed
        self.lost_since_s: Optional[float] = None
        """When a device was first found gone [s]; None while all are there."""

    @property
    def deflection(self) -> np.ndarray:
        """(3,) forward, left, left turn: each within [-speed, speed], without jumps."""
        return self._deflection * self.speed

    @property
    def typing(self) -> Optional[str]:
        """The unfinished text of a mark."""
        return next((device.typing for device in self._devices if device.typing is not None), None)

    def poll(self, time_s: float) -> None:
        """Read the devices; once a tick."""
        readings = [device.read(time_s) for device in self._devices]
        for reading in readings:
            self._marks.extend(reading.marks)
            for wish in reading.wishes:
                self._hear(wish)
        if self.lost_since_s is None and not all(device.connected for device in self._devices):
            self.lost_since_s = time_s
        wanted = np.zeros(3)
        if self.lost_since_s is None and readings:
            columns = np.array([reading.deflection for reading in readings])
            wanted = columns[np.abs(columns).argmax(axis=0), np.arange(3)]
        elapsed_s = 0.0 if self._polled_s is None else time_s - self._polled_s
        self._polled_s = time_s
        self._deflection = _approach(self._deflection, np.clip(wanted, -1.0, 1.0), elapsed_s)

    def take_wishes(self) -> List[Wish]:
        """The wishes since the last call, in order; those about the speed are carried out here and left out."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def take_marks(self) -> List[str]:
        """The marks since the last call."""
        marks, self._marks = self._marks, []
        return marks

    def _hear(self, wish: Wish) -> None:
        if wish is Wish.FASTER or wish is Wish.SLOWER:
            step = SPEED_STEP if wish is Wish.FASTER else -SPEED_STEP
            self.speed = round(min(max(self.speed + step, SLOWEST), FASTEST), 3)
        else:
            self._wishes.append(wish)


def _approach(now: np.ndarray, wanted: np.ndarray, elapsed_s: float) -> np.ndarray:
    """`now` (3,) moved towards `wanted` (3,): fast towards zero, slower away from it, through zero on a reversal."""
    goal = np.where(now * wanted < 0.0, 0.0, wanted)
    falls = np.abs(goal) < np.abs(now)
    step = np.where(falls, elapsed_s / FALL_S, elapsed_s / RISE_S)
    return now + np.clip(goal - now, -step, step)


class OperatorCommands:
    """A command source (`commands.CommandSource`) that follows the operator's deflections."""

    def __init__(self, terms: Sequence[CommandTerm], operator: Operator) -> None:
        self._axes = StickAxes(terms)
        self._operator = operator

    def begin_episode(self, episode: int) -> None:
        """Nothing depends on the episode."""

    def command(self, time_s: float, state: RobotState) -> np.ndarray:
        """See `CommandSource.command`."""
        return self._axes.command(self._operator.deflection)


class SupervisedCommands:
    """Another source's commands for as long as there is an operator who lets them through; otherwise standing still."""

    def __init__(self, source: CommandSource, terms: Sequence[CommandTerm], operator: Operator) -> None:
        self._source, self._operator = source, operator
        self._rest = neutral_command(terms)

    def begin_episode(self, episode: int) -> None:
        """See `CommandSource.begin_episode`."""
        self._source.begin_episode(episode)

    def command(self, time_s: float, state: RobotState) -> np.ndarray:
        """See `CommandSource.command`."""
        if self._operator.lost_since_s is not None:
            return self._rest
        return self._source.command(time_s, state)
