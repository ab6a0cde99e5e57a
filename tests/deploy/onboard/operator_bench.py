"""A person at the controls, and the desk at which their recording switch ends."""

from __future__ import annotations

from typing import Optional

from deploy.onboard.operator_input import DeviceReading, Wish
from deploy.onboard.operator_schedule import RecordingSwitch
from deploy.onboard.target import Mode


class Person:
    """A device that plays a script: wishes by time, full speed ahead in between, gone from `leaves_s` on."""

    def __init__(self, wishes: dict[float, Wish], leaves_s: float = 1e9, deflection: float = 1.0) -> None:
        self._wishes = sorted(wishes.items())
        self._leaves_s = leaves_s
        self._deflection = deflection
        self.connected = True
        self.typing: Optional[str] = None

    def read(self, time_s: float) -> DeviceReading:
        self.connected = self.connected and time_s < self._leaves_s
        due = tuple(wish for at_s, wish in self._wishes if at_s <= time_s)
        self._wishes = [entry for entry in self._wishes if entry[0] > time_s]
        return DeviceReading((self._deflection, 0.0, 0.0), due if self.connected else ())


class Desk:
    """What the recording switch was asked for."""

    def __init__(self) -> None:
        self.toggles: list[Mode] = []
        self.marks: list[tuple[Mode, str]] = []
        self.switch = RecordingSwitch(
            lambda time_s, mode: self.toggles.append(mode),
            lambda time_s, mode, text: self.marks.append((mode, text)),
        )
