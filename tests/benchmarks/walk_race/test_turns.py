"""Turns and clocks of two trainings, and the policies that they keep."""

import socket
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.walk_race import turns as turns_module
from benchmarks.walk_race.keeping import Keeper, checkpoint_path, kept_moments, read_json
from benchmarks.walk_race.turns import OwnTurns, RaceError, Racer


class Clock:
    """A time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(turns_module.time, "monotonic", lambda: self.now)


def test_the_clock_stands_still_while_the_other_trains(monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        turns = OwnTurns(theirs, launched_at=990.0, turn_s=30.0)
        assert turns.own_s == 10.0
        clock.now += 19.9
        turns.pause_if_due()
        assert turns.pauses == 0
        clock.now += 0.1

        def other_turn() -> None:
            assert ours.recv(1) == b"p"
            clock.now += 500.0
            ours.sendall(b"123.5\n")

        thread = threading.Thread(target=other_turn)
        thread.start()
        turns.pause_if_due()
        thread.join()
        assert (turns.own_s, turns.cap_s, turns.pauses) == (30.0, 123.5, 1)
        clock.now += 5.0
        assert turns.own_s == 35.0
        clock.now += 25.0
        ours.close()
        # A training whose race was killed must not go on for ever.
        with pytest.raises(SystemExit):
            turns.pause_if_due()


RACER = """
import socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
print("cap", float(sys.argv[3]), flush=True)
for _ in range(2):
    channel.sendall(b"p")
    print("cap", float(channel.recv(64)), flush=True)
sys.exit({status})
"""


def racer(tmp_path: Path, status: str) -> Racer:
    return Racer("a training", [sys.executable, "-c", RACER.format(status=status)], tmp_path / "output.txt")


def test_a_racer_runs_turn_by_turn_to_its_end(tmp_path):
    one = racer(tmp_path, "0")
    assert [one.take_turn(cap) for cap in (float("inf"), 2.0, 3.0)] == [True, True, False]
    assert (tmp_path / "output.txt").read_text().split() == ["cap", "inf", "cap", "2.0", "cap", "3.0"]
    one.stop()


def test_a_training_that_fails_says_how(tmp_path):
    one = racer(tmp_path, "'out of luck'")
    assert one.take_turn(1.0) and one.take_turn(1.0)
    with pytest.raises(RaceError, match="a training to train to its end; found status 1: out of luck"):
        one.take_turn(1.0)


def test_the_keeper_tells_which_policies_there_are(tmp_path):
    keeper = Keeper(tmp_path, 2, OwnTurns(None, 0.0, 1.0))
    for iteration in (1, 2, 3, 4):
        keeper.note(iteration, 10 * iteration, 0.5)
        if keeper.due(iteration):
            keeper.path(iteration).touch()
    keeper.finish({"seed": 1})
    training = read_json(tmp_path / "training.json")
    assert training is not None and training["settings"] == {"seed": 1}
    assert [(moment.iteration, moment.steps) for moment in kept_moments(tmp_path, training)] == [(2, 20), (4, 40)]
    assert (tmp_path / "times.csv").read_text().count("\n") == 5


def test_a_checkpoints_name_is_its_iteration(tmp_path):
    assert int(checkpoint_path(tmp_path, 120).stem) == 120
