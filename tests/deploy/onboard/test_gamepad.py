"""The gamepad: the kernel's eight bytes an event, through a FIFO that stands in for /dev/input/js0."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.onboard.gamepad import LAYOUTS, PLAYSTATION, XBOX, Gamepad, GamepadError
from deploy.onboard.operator_input import Wish

STILL = (0.0, 0.0, 0.0)
BUTTON, AXIS, OPENING = 1, 2, 0x80


def event(kind: int, number: int, value: int) -> bytes:
    return struct.pack("<IhBB", 123, value, kind, number)


class Fifo:
    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.gamepad = Gamepad(path, XBOX)
        self._writer = os.open(path, os.O_WRONLY)

    def send(self, *events: bytes) -> None:
        os.write(self._writer, b"".join(events))

    def unplug(self) -> None:
        os.close(self._writer)
        self._writer = -1

    def close(self) -> None:
        self.gamepad.close()
        if self._writer >= 0:
            os.close(self._writer)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    made = Fifo(tmp_path / "js0")
    yield made
    made.close()


HOLD_ON = event(BUTTON, XBOX.dead_man_button, 1)


@pytest.mark.parametrize(
    ("axis", "value", "deflection"),
    [
        (XBOX.forward_axis, -32767, (1.0, 0.0, 0.0)),  # away from the person
        (XBOX.forward_axis, 32767, (-1.0, 0.0, 0.0)),
        (XBOX.sideways_axis, 32767, (0.0, -1.0, 0.0)),  # to the right
        (XBOX.turn_axis, -32767, (0.0, 0.0, 1.0)),  # to the left
        (XBOX.forward_axis, -32768, (1.0, 0.0, 0.0)),  # one more than full
        (XBOX.forward_axis, -2600, STILL),  # inside the dead zone of 0.08
        (2, 32767, STILL),  # a trigger
    ],
)
def test_a_stick_with_the_dead_man_button_held(
    fifo: Fifo, axis: int, value: int, deflection: tuple[float, float, float]
) -> None:
    fifo.send(HOLD_ON, event(AXIS, axis, value))
    assert fifo.gamepad.read(0.0).deflection == pytest.approx(deflection)
    # It reports changes only: silence means that nothing has changed.
    assert fifo.gamepad.read(9.0).deflection == pytest.approx(deflection)


def test_half_way_is_half_way_behind_the_dead_zone(fifo: Fifo) -> None:
    fifo.send(HOLD_ON, event(AXIS, XBOX.forward_axis, -round(0.54 * 32767)))
    assert fifo.gamepad.read(0.0).deflection[0] == pytest.approx(0.5, abs=1e-4)


def test_without_the_dead_man_button_nothing_moves(fifo: Fifo) -> None:
    fifo.send(event(AXIS, XBOX.forward_axis, -32767))
    assert fifo.gamepad.read(0.0).deflection == STILL
    fifo.send(HOLD_ON)
    assert fifo.gamepad.read(0.1).deflection == (1.0, 0.0, 0.0)
    fifo.send(event(BUTTON, XBOX.dead_man_button, 0))
    assert fifo.gamepad.read(0.2).deflection == STILL


def test_a_button_that_was_down_at_the_opening_was_not_pressed_for_us(fifo: Fifo) -> None:
    fifo.send(event(BUTTON | OPENING, XBOX.dead_man_button, 1), event(AXIS | OPENING, XBOX.forward_axis, -32767))
    fifo.send(event(BUTTON | OPENING, 7, 1))
    reading = fifo.gamepad.read(0.0)
    assert (reading.deflection, reading.wishes) == (STILL, ())


@pytest.mark.parametrize("layout", LAYOUTS.values())
def test_every_wish_but_speed_has_one_button(layout) -> None:
    assert sorted(layout.wishes.values(), key=str) == sorted(set(Wish) - {Wish.FASTER, Wish.SLOWER}, key=str)
    assert not {layout.dead_man_button, layout.mark_button} & set(layout.wishes)
    assert layout.dead_man_button != layout.mark_button


def test_the_round_right_hand_button_stops_on_both_makes() -> None:
    assert XBOX.wishes[1] is PLAYSTATION.wishes[1] is Wish.STOP


def test_a_press_counts_once(fifo: Fifo) -> None:
    fifo.send(event(BUTTON, 1, 1), event(BUTTON, 1, 0), event(BUTTON, XBOX.mark_button, 1))
    reading = fifo.gamepad.read(0.0)
    assert (reading.wishes, reading.marks) == ((Wish.STOP,), ("gamepad mark 1",))
    assert fifo.gamepad.read(0.1) == (STILL, (), ())


def test_an_event_may_come_in_pieces(fifo: Fifo) -> None:
    whole = HOLD_ON + event(AXIS, XBOX.turn_axis, -32767)
    fifo.send(whole[:11])
    assert fifo.gamepad.read(0.0).deflection == STILL
    fifo.send(whole[11:])
    assert fifo.gamepad.read(0.1).deflection == (0.0, 0.0, 1.0)


def test_unplugged(fifo: Fifo) -> None:
    fifo.send(HOLD_ON, event(AXIS, XBOX.forward_axis, -32767))
    assert fifo.gamepad.read(0.0).deflection == (1.0, 0.0, 0.0)
    fifo.unplug()
    assert fifo.gamepad.read(0.002).deflection == STILL
    assert not fifo.gamepad.connected
    assert fifo.gamepad.read(0.004).deflection == STILL


def test_a_device_that_fails_is_gone(fifo: Fifo, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> bytes:
        raise OSError(19, "No such device")

    fifo.send(HOLD_ON, event(AXIS, XBOX.forward_axis, -32767))
    fifo.gamepad.read(0.0)
    monkeypatch.setattr("deploy.onboard.gamepad.os.read", fail)
    assert fifo.gamepad.read(0.002).deflection == STILL
    assert not fifo.gamepad.connected


def test_no_gamepad(tmp_path: Path) -> None:
    with pytest.raises(GamepadError, match="js7"):
        Gamepad(tmp_path / "js7", XBOX)


def test_closing_twice(fifo: Fifo) -> None:
    fifo.gamepad.close()
    fifo.gamepad.close()
    assert not fifo.gamepad.connected
