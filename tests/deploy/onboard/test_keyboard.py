"""The keyboard: bytes to keys, keys to deflections that die away, and what a lost terminal looks like."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from deploy.onboard.keyboard import (
    DEFLECTIONS,
    ESCAPE_S,
    HOLD_S,
    MARK_KEY,
    WISHES,
    Keyboard,
    KeyDecoder,
    raw_terminal,
)
from deploy.onboard.operator_input import Wish

STILL = (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b"wq1", ["w", "q", "1"]),
        (b"\x1b[A\x1b[D", ["\x1b[A", "\x1b[D"]),
        (b"\x1bOC", ["\x1b[C"]),  # application mode
        (b"\x1b[15~w", ["\x1b[15~", "w"]),
        ("mü".encode(), ["m", "ü"]),
        (b"\x1bw", ["\x1b", "w"]),
        (b"\x1b[999999999999w", ["9", "9", "9", "9", "9", "w"]),
    ],
)
def test_keys(content: bytes, keys: list[str]) -> None:
    assert KeyDecoder().decode(content, 0.0) == keys


@pytest.mark.parametrize("cut", [1, 2])
def test_an_arrow_key_may_come_in_pieces(cut: int) -> None:
    """Over a network it does; the first piece must not be taken for Esc, which stops the robot."""
    decoder = KeyDecoder()
    assert decoder.decode(b"\x1b[A"[:cut], 0.0) == []
    assert decoder.decode(b"", 0.9 * ESCAPE_S) == []
    assert decoder.decode(b"\x1b[A"[cut:], 0.9 * ESCAPE_S) == ["\x1b[A"]


def test_esc_by_itself_is_a_key_after_a_moment() -> None:
    decoder = KeyDecoder()
    assert decoder.decode(b"\x1b", 0.0) == []
    assert decoder.decode(b"", 1.1 * ESCAPE_S) == ["\x1b"]
    assert decoder.decode(b"", 2.0) == []


def test_no_key_has_two_meanings() -> None:
    assert not set(DEFLECTIONS) & set(WISHES)
    assert MARK_KEY not in {**DEFLECTIONS, **WISHES}
    assert set(WISHES.values()) == set(Wish)


class Pipe:
    """A terminal's other end."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self.keyboard = Keyboard(self.read_end)

    def press(self, keys: bytes) -> None:
        os.write(self._write_end, keys)

    def hang_up(self) -> None:
        os.close(self._write_end)
        self._write_end = -1

    def close(self) -> None:
        os.close(self.read_end)
        if self._write_end >= 0:
            os.close(self._write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.mark.parametrize(("key", "deflection"), list(DEFLECTIONS.items()))
def test_a_key_of_motion_counts_until_it_is_not_renewed(
    pipe: Pipe, key: str, deflection: tuple[float, float, float]
) -> None:
    pipe.press(key.encode())
    assert pipe.keyboard.read(5.0).deflection == deflection
    assert pipe.keyboard.read(5.0 + 0.99 * HOLD_S).deflection == deflection
    assert pipe.keyboard.read(5.0 + 1.01 * HOLD_S).deflection == STILL


def test_repetition_renews_it(pipe: Pipe) -> None:
    for repetition in range(20):
        pipe.press(b"w")
        assert pipe.keyboard.read(0.1 * repetition).deflection == (1.0, 0.0, 0.0)
    assert pipe.keyboard.read(1.9 + 1.01 * HOLD_S).deflection == STILL


def test_wishes_come_once_and_in_order(pipe: Pipe) -> None:
    pipe.press(b"12r")
    assert pipe.keyboard.read(0.0).wishes == (Wish.STAND, Wish.WALK, Wish.RECORDING)
    assert pipe.keyboard.read(0.002).wishes == ()


@pytest.mark.parametrize("key", [b" ", b"\x1b"])
def test_stop_also_takes_the_deflection_away(pipe: Pipe, key: bytes) -> None:
    pipe.press(b"w" + key)
    pipe.keyboard.read(0.0)
    reading = pipe.keyboard.read(1.5 * ESCAPE_S) if key == b"\x1b" else None
    if reading is not None:
        assert reading.wishes == (Wish.STOP,)
        assert reading.deflection == STILL
    assert pipe.keyboard.read(0.1).deflection == STILL


def test_a_mark_is_typed_and_keys_are_letters_meanwhile(pipe: Pipe) -> None:
    pipe.press(b"mwet \x7f grass")
    reading = pipe.keyboard.read(0.0)
    assert (reading.deflection, reading.wishes, reading.marks) == (STILL, (), ())
    assert pipe.keyboard.typing == "wet grass"
    pipe.press(b"\r")
    assert pipe.keyboard.read(0.1).marks == ("wet grass",)
    assert pipe.keyboard.typing is None
    pipe.press(b"m\rm\r")
    assert pipe.keyboard.read(0.2).marks == ("mark 2", "mark 3")


def test_esc_stops_even_while_a_mark_is_typed(pipe: Pipe) -> None:
    pipe.press(b"mslip\x1b")
    pipe.keyboard.read(0.0)
    reading = pipe.keyboard.read(0.1)
    assert (reading.wishes, reading.marks) == ((Wish.STOP,), ())
    assert pipe.keyboard.typing is None


def test_the_end_of_the_input_is_the_end_of_the_keyboard(pipe: Pipe) -> None:
    pipe.press(b"w")
    pipe.keyboard.read(0.0)
    pipe.hang_up()
    assert pipe.keyboard.read(0.002).deflection == STILL
    assert not pipe.keyboard.connected
    assert pipe.keyboard.read(0.004) == (STILL, (), ())


def test_a_closed_terminal_is_the_end_of_the_keyboard() -> None:
    ours, theirs = pty.openpty()
    try:
        with raw_terminal(theirs):
            keyboard = Keyboard(theirs)
            os.write(ours, b"w")
            assert keyboard.read(0.0).deflection == (1.0, 0.0, 0.0)
            os.close(ours)
            assert keyboard.read(0.002).deflection == STILL
            assert not keyboard.connected
    finally:
        os.close(theirs)


def test_the_terminal_is_given_back_as_it_was() -> None:
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        with raw_terminal(theirs):
            local, characters = termios.tcgetattr(theirs)[3], termios.tcgetattr(theirs)[6]
            assert not local & (termios.ICANON | termios.ECHO)
            assert local & termios.ISIG, "Ctrl-C must stay a signal"
            # Ctrl-Z would suspend the loop, and the robot would hold its last command.
            assert characters[termios.VSUSP] == characters[termios.VQUIT] == b"\0"
            assert not termios.tcgetattr(theirs)[0] & termios.IXON, "Ctrl-S must not freeze the output"
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_is_no_terminal_is_left_alone(pipe: Pipe) -> None:
    with raw_terminal(pipe.read_end):
        pipe.press(b"w")
        assert pipe.keyboard.read(0.0).deflection == (1.0, 0.0, 0.0)
