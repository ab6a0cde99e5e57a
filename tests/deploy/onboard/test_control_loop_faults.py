"""What the control loop makes of bad states, a bad policy and a silent robot: damping, and the right ending."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import numpy as np
import pytest

from deploy.onboard import control_loop
from deploy.onboard.control_loop import SilentRobotError
from deploy.onboard.episode_schedule import EpisodeSchedule
from deploy.onboard.reasons import Reason
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.schedule import Change, TickView
from deploy.onboard.target import Mode
from deploy.onboard.wire import RobotState
from offline_data.log_schema import Ending, EventKind
from tests.deploy.onboard import control_bench
from tests.deploy.onboard.control_bench import FAREWELL, IN_WALK, TIPPED, Bench, ends_damped, from_tick, is_damping

TOO_OLD = 11
"""In the tenth tick without a state the last one is 20 ms old, which it may be."""


@pytest.mark.parametrize(
    ("changes", "ending", "reason"),
    [
        ({"orientation_trunk_in_world": TIPPED}, "terminated", "tilt"),
        ({"remote": encode_remote({Key.B})}, "intervention", "stop_key"),
        ({"joint_temperature": np.full(12, 99, np.int8)}, "intervention", "motor_hot"),
        ({"joint_velocity": np.full(12, np.nan, np.float32)}, "stopped", "state_not_finite"),
    ],
)
def test_a_bad_state_ends_the_episode_in_the_same_tick(
    bench: Bench, changes: dict[str, Any], ending: str, reason: str
) -> None:
    bench.link.tamper = from_tick(IN_WALK, lambda state: replace(state, **changes))
    summary = bench.loop(episode_s=1.0, episodes=3).run()
    assert [(episode.ending, episode.reason) for episode in summary.episodes] == [(ending, reason)]
    assert summary.faults == (reason,)
    assert summary.stop_reason == reason
    assert bench.link.received - FAREWELL == IN_WALK + 1  # damped on the very first bad state
    assert ends_damped(bench)
    decision, _, _ = bench.notes.commands[-1]
    assert decision.reasons == Reason[reason.upper()]
    assert (EventKind.EPISODE_END, reason, Ending[ending.upper()]) in [
        (kind, text, end) for kind, _, text, end in bench.notes.events
    ]


@pytest.mark.parametrize("offset", range(10))
def test_the_policy_never_sees_what_the_gate_refuses(bench: Bench, offset: int) -> None:
    """Wherever between two policy steps the sensors break."""
    broken: dict[str, Any] = {"joint_velocity": np.full(12, np.nan, np.float32)}
    bench.link.tamper = from_tick(IN_WALK + offset, lambda state: replace(state, **broken))
    bench.loop(episode_s=1.0, episodes=1).run()
    assert bench.policy.calls
    assert all(np.all(np.isfinite(signal)) for call in bench.policy.calls for signal in call)


def test_a_lost_link_damps_within_the_age_limit(bench: Bench) -> None:
    bench.link.tamper = from_tick(IN_WALK, lambda state: None)
    summary = bench.loop(episode_s=1.0, episodes=1).run()
    assert (summary.episodes[0].ending, summary.episodes[0].reason) == ("stopped", "state_stale")
    assert bench.link.received - FAREWELL == IN_WALK + TOO_OLD
    assert ends_damped(bench)


def test_a_robot_that_has_begun_to_count_anew_is_damped_when_its_last_believed_state_is_too_old(bench: Bench) -> None:
    bench.link.tamper = from_tick(IN_WALK, lambda state: replace(state, tick_ms=0))
    summary = bench.loop(episode_s=1.0, episodes=1).run()
    assert (summary.episodes[0].ending, summary.episodes[0].reason) == ("stopped", "tick_jump")
    assert bench.link.received - FAREWELL == IN_WALK + TOO_OLD
    assert ends_damped(bench)


def test_a_few_lost_states_do_no_harm(bench: Bench) -> None:
    bench.link.tamper = lambda number, state: None if number % 12 < 9 and number > 20 else state
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    assert summary.faults == ()
    assert summary.episodes[0].ending == "truncated"


def test_nan_from_the_policy_damps_in_the_same_tick(bench: Bench) -> None:
    bench.policy.tamper = lambda number, target: target * np.nan if number == 5 else target
    summary = bench.loop(episode_s=1.0, episodes=1).run()
    assert (summary.episodes[0].ending, summary.episodes[0].reason) == ("stopped", "target_not_finite")
    assert summary.episodes[0].steps == 6
    assert ends_damped(bench)
    assert all(np.all(np.isfinite(command.position)) for command in bench.link.sent)


def test_a_requested_stop_ends_the_session_in_order(bench: Bench) -> None:
    loop = bench.loop(episode_s=1.0, episodes=3)

    def tamper(number: int, state: RobotState) -> RobotState:
        if number == IN_WALK:
            loop.request_stop("SIGTERM")
        return state

    bench.link.tamper = tamper
    summary = loop.run()
    assert [(episode.ending, episode.reason) for episode in summary.episodes] == [("stopped", "SIGTERM")]
    assert summary.stop_reason == "SIGTERM"
    assert bench.link.received - FAREWELL == IN_WALK + 1
    assert ends_damped(bench)
    assert bench.notes.events[-1] == (EventKind.STOP, Mode.WALK, "SIGTERM", Ending.NONE)


def test_the_first_reason_to_stop_is_the_one_that_counts(bench: Bench) -> None:
    loop = bench.loop(episode_s=1.0, episodes=1)
    loop.request_stop("SIGTERM")
    loop.request_stop("SIGINT")
    bench.seat.stop_reason = "the pilot has died"
    assert loop.run().stop_reason == "SIGTERM"
    assert len(bench.link.sent) == 1 + FAREWELL


def test_a_pilot_that_cannot_go_on_ends_the_session_in_order(bench: Bench) -> None:
    def tamper(number: int, state: RobotState) -> RobotState:
        if number == IN_WALK:
            bench.seat.stop_reason = "the pilot has died"
        return state

    bench.link.tamper = tamper
    summary = bench.loop(episode_s=1.0, episodes=3).run()
    assert [(episode.ending, episode.reason) for episode in summary.episodes] == [("stopped", "the pilot has died")]
    assert summary.stop_reason == "the pilot has died"
    assert bench.link.received - FAREWELL == IN_WALK + 1
    assert ends_damped(bench)


def test_after_a_fall_it_stands_up_again_when_it_may(bench: Bench) -> None:
    """Tipped for 300 ticks, then set upright: rest, re-arm, stand, walk the remaining episode."""

    def tamper(number: int, state: RobotState) -> RobotState:
        tipped = IN_WALK <= number < IN_WALK + 300
        return replace(state, orientation_trunk_in_world=TIPPED) if tipped else state

    bench.link.tamper = tamper
    summary = bench.loop(episode_s=0.4, episodes=2, auto_rearm=True).run()
    assert [episode.ending for episode in summary.episodes] == ["terminated", "truncated"]
    assert summary.faults == ("tilt",)
    assert summary.stop_reason == ""
    down = [decision for decision, mode, _ in bench.notes.commands if mode is Mode.FAULT]
    # 299 ticks tipped after the first, 295 in which the gate forgets that the robot turned over within 2 ms, and half
    # a second of rest.
    assert len(down) == 549 + 295
    assert all(is_damping(decision.command) for decision in down)


def test_a_robot_that_never_speaks_is_an_error_with_advice(bench: Bench) -> None:
    bench.link.tamper = lambda number, state: None
    bench.silence_limit_s = 0.05
    with pytest.raises(SilentRobotError, match="sport mode"):
        bench.loop(episode_s=1.0, episodes=1).run()
    assert all(is_damping(command) for command in bench.link.sent)


def test_a_robot_that_falls_silent_ends_the_session(bench: Bench) -> None:
    bench.link.tamper = from_tick(IN_WALK, lambda state: None)
    bench.silence_limit_s = 0.05
    summary = bench.loop(episode_s=1.0, episodes=2, auto_rearm=True, rearm_timeout_s=1e6).run()
    assert summary.stop_reason.startswith("link lost")
    assert summary.episodes[0].ending == "stopped"


@pytest.fixture
def slow_states(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A sixteenth of a second of real time for every state that may come; a robot may be silent for two of them."""
    monkeypatch.setattr(control_loop.time, "perf_counter", lambda: 128.0 + 0.0625 * bench.link.received)
    bench.silence_limit_s = 0.125
    return bench


@pytest.mark.parametrize(("comes", "waited_for"), [((), IN_WALK + 3), ((IN_WALK + 2,), IN_WALK + 6)])
def test_silence_for_as_long_as_the_limit_is_borne_and_counted_from_the_last_state(
    slow_states: Bench, comes: tuple[int, ...], waited_for: int
) -> None:
    slow_states.link.tamper = lambda number, state: state if number < IN_WALK or number in comes else None
    assert slow_states.loop(episode_s=1.0, episodes=1).run().stop_reason == "link lost: no state for 0.125 s"
    assert slow_states.link.received - FAREWELL == waited_for


def test_the_first_state_is_waited_for_as_long(slow_states: Bench) -> None:
    slow_states.link.tamper = lambda number, state: None
    with pytest.raises(SilentRobotError, match="within 0.125 s"):
        slow_states.loop(episode_s=1.0, episodes=1).run()
    assert slow_states.link.received - FAREWELL == 3


class Impatient(EpisodeSchedule):
    """Asks to be armed again in every tick of a fault, whatever the robot's state."""

    def decide(self, view: TickView) -> Optional[Change]:
        if view.mode is not Mode.FAULT:
            return super().decide(view)
        return Change(Mode.DAMP)


def test_a_schedule_that_asks_too_early_does_not_rearm(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tipped for 40 ticks, then upright: the robot stays in FAULT for the 40, however often it is asked to leave it."""
    monkeypatch.setattr(control_bench, "EpisodeSchedule", Impatient)
    bench.link.tamper = lambda number, state: (
        replace(state, orientation_trunk_in_world=TIPPED) if IN_WALK <= number < IN_WALK + 40 else state
    )
    bench.loop(episode_s=0.2, episodes=2, auto_rearm=True).run()
    after = bench.notes.commands[IN_WALK + 1 :]
    modes = [mode for _, mode, _ in after]
    rearmed = modes.index(Mode.DAMP)
    assert rearmed >= 39 and set(modes[:rearmed]) == {Mode.FAULT}
    assert Mode.WALK in modes[rearmed:], "upright again, it may go on"
    assert all(is_damping(decision.command) for decision, _, _ in after[:rearmed])
