"""A twin that does not wait for our commands is named as that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Optional

import pytest

from deploy.onboard.link import LinkStatistics
from deploy.onboard.lockstep_link import LockstepLink, NotInLockstepError
from deploy.onboard.wire import JointCommand, RobotState
from robot_configs.robot import RobotModel


class Ticks:
    """A link whose states carry these ticks [ms]; None: no state."""

    statistics = LinkStatistics(0, 0, 0, {}, 0)

    def __init__(self, ticks: "Iterable[Optional[int]]", make_state: Callable[..., RobotState]) -> None:
        self._ticks, self._make_state = iter(ticks), make_state

    def send(self, command: JointCommand) -> None:
        pass

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        tick_ms = next(self._ticks)
        return None if tick_ms is None else self._make_state(tick_ms=tick_ms)

    def close(self) -> None:
        pass


@pytest.fixture
def commands_until_refused(
    make_state: Callable[..., RobotState], robot: RobotModel
) -> "Callable[[list[Optional[int]]], Optional[int]]":
    """Commands sent after the first state, when it was refused; None if it was not."""

    def of(ticks: "list[Optional[int]]") -> Optional[int]:
        link = LockstepLink(Ticks(ticks, make_state), robot.link_hz)
        for number in range(len(ticks)):
            link.send(JointCommand.damp(robot))
            try:
                link.receive(0.0)
            except NotInLockstepError:
                return number
        return None

    return of


def test_one_period_for_each_command_is_lockstep(commands_until_refused: Callable[..., Optional[int]]) -> None:
    assert commands_until_refused([2 * n for n in range(2000)]) is None


def test_four_periods_for_each_command_are_not(commands_until_refused: Callable[..., Optional[int]]) -> None:
    # 8 n - 1.1 * 2 n > 50 first holds for n = 9.
    assert commands_until_refused([8 * n for n in range(2000)]) == 9


def test_a_pause_of_ours_shows_also_after_a_long_time_in_step(
    commands_until_refused: Callable[..., Optional[int]],
) -> None:
    in_step = [2 * n for n in range(5000)]
    assert commands_until_refused([*in_step, in_step[-1] + 52]) is None
    assert commands_until_refused([*in_step, in_step[-1] + 53]) == 5000


def test_lost_states_cost_no_lockstep(commands_until_refused: Callable[..., Optional[int]]) -> None:
    assert commands_until_refused([2 * n if n % 200 == 0 else None for n in range(2000)]) is None


def test_a_counter_that_wraps_and_states_that_were_overtaken(
    commands_until_refused: Callable[..., Optional[int]],
) -> None:
    ticks = [(2**32 - 100 + 2 * n) % 2**32 for n in range(200)]
    ticks[100], ticks[101] = ticks[101], ticks[100]
    assert commands_until_refused(ticks) is None


def test_what_was_sent_before_the_first_state_does_not_count(
    commands_until_refused: Callable[..., Optional[int]],
) -> None:
    assert commands_until_refused([None] * 500 + [8 * n for n in range(2000)]) == 509


def test_the_message_says_what_to_do(make_state: Callable[..., RobotState], robot: RobotModel) -> None:
    link = LockstepLink(Ticks([0, 300], make_state), robot.link_hz)
    link.receive(0.0)
    link.send(JointCommand.damp(robot))
    with pytest.raises(
        NotInLockstepError, match=r"300 ms in 1 commands: it runs in real time\. Start the twin with --lockstep"
    ):
        link.receive(0.0)
