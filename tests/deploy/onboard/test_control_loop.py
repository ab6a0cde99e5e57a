"""The control loop on a weightless robot under a virtual clock: sessions, endings, and what fails anywhere in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Optional

import numpy as np
import pytest

from deploy.onboard.clock import VirtualClock
from deploy.onboard.commands import ConstantCommands
from deploy.onboard.control_loop import ControlLoop, LoopSettings, SilentRobotError
from deploy.onboard.gate import GateDecision
from deploy.onboard.modes import ModeSettings
from deploy.onboard.pilot import Pilot, PilotStep
from deploy.onboard.pilot_seat import PilotAtHand
from deploy.onboard.reasons import Reason
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.schedule import EpisodeSchedule, SessionSettings
from deploy.onboard.summary import EpisodeSummary
from deploy.onboard.target import Mode
from deploy.onboard.wire import POSITION_STOP, JointCommand, RobotState
from offline_data.log_schema import Ending, EventKind
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel

MODES = ModeSettings(gain_ramp_s=0.1, move_s=0.3, settle_s=0.1)
STAND_TICKS = (
    252  # one tick of damping before the ramp, which lasts 0.5 s, and the tick in which it is found to be over
)
FAREWELL = 25
TIPPED = np.array([0.0, 1.0, 0.0, 0.0], np.float32)


class Notes(NoRecorder):
    """Keeps in memory what it is told."""

    def __init__(self) -> None:
        self.states = 0
        self.commands: list[tuple[GateDecision, Mode, float]] = []
        self.steps: list[PilotStep] = []
        self.events: list[tuple[EventKind, Mode, str, Ending]] = []
        self.closed = 0

    def low_state(self, state: RobotState, time_s: float) -> None:
        self.states += 1

    def low_cmd(self, decision: GateDecision, mode: Mode, time_s: float, lateness_s: float) -> None:
        self.commands.append((decision, mode, time_s))

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        self.steps.append(step)

    def event(self, kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending) -> None:
        self.events.append((kind, mode, text, ending))

    def close(self) -> Any:
        self.closed += 1
        return super().close()


class Bench:
    """A loop with all its parts at hand."""

    def __init__(self, link: Any, policy: Any, contract: PolicyContract, robot: RobotModel) -> None:
        self.link, self.policy, self.contract, self.robot = link, policy, contract, robot
        self.clock: Any = VirtualClock()
        self.notes = Notes()
        self.commands: Any = ConstantCommands(np.zeros(3, np.float32))
        self.observers: tuple[Any, ...] = ()
        self.silence_limit_s = 5.0

    def loop(self, **session: Any) -> ControlLoop:
        robot, contract = self.robot, self.contract
        pilot = Pilot(self.policy, contract, robot, self.commands, exploration=0.0, seed=0)
        return ControlLoop(
            robot,
            contract,
            self.link,
            self.clock,
            PilotAtHand(pilot, self.notes, self.observers),
            EpisodeSchedule(SessionSettings(**session), robot.link_hz, robot.ticks_per_policy_step),
            self.notes,
            LoopSettings(receive_timeout_s=0.0, silence_limit_s=self.silence_limit_s, modes=MODES),
            self.observers,
        )


@pytest.fixture
def bench(folded_link: Any, policy: Any, contract: PolicyContract, robot: RobotModel) -> Bench:
    return Bench(folded_link, policy, contract, robot)


def is_damping(command: JointCommand) -> bool:
    return bool(np.all(command.position == POSITION_STOP) and np.all(command.stiffness == 0.0))


def ends_damped(bench: Bench) -> bool:
    return len(bench.link.sent) >= FAREWELL and all(is_damping(command) for command in bench.link.sent[-FAREWELL:])


def test_a_session_from_the_ground_to_the_ground(bench: Bench) -> None:
    summary = bench.loop(episode_s=0.4, episodes=2).run()
    assert [(episode.ending, episode.steps) for episode in summary.episodes] == [("truncated", 20)] * 2
    assert [episode.duration_s for episode in summary.episodes] == pytest.approx([0.4, 0.4])
    assert (summary.stop_reason, summary.faults, summary.steps) == ("", (), 40)
    assert ends_damped(bench)
    modes = [mode for _, mode, _ in bench.notes.commands]
    order = [mode for index, mode in enumerate(modes) if index == 0 or mode is not modes[index - 1]]
    assert order == [Mode.STAND, Mode.WALK, Mode.STAND, Mode.WALK, Mode.STAND, Mode.SIT, Mode.DAMP]
    assert bench.notes.closed == 1


def test_a_folded_robot_stands_up_smoothly(bench: Bench, robot: RobotModel) -> None:
    """From calves outside the limits to the standing pose: no clamp, no jump, gains from zero."""
    bench.loop(episode_s=0.1, episodes=1).run()
    modes = [mode for _, mode, _ in bench.notes.commands]
    before_walk = bench.notes.commands[: modes.index(Mode.WALK)]
    standing = [decision for decision, mode, _ in before_walk if mode is Mode.STAND]
    positions = np.stack([decision.command.position for decision in standing])
    assert positions[0][2::3] == pytest.approx(-2.78)
    assert positions[-1] == pytest.approx(robot.stand_position)
    assert (
        np.abs(np.diff(positions, axis=0)).max() < 0.02
    )  # peak of the blend: 0.98 rad * 1.875 / 0.3 s * 2 ms = 0.0123
    stiffness = np.stack([decision.command.stiffness for decision in standing])
    assert np.all(stiffness[0] == 0.0)
    assert np.all(np.diff(stiffness, axis=0) >= -1e-9)
    assert np.all(stiffness[-1] == robot.stand.stiffness)
    assert all(decision.reasons == 0 for decision in standing)


def test_out_of_a_walk_the_gains_rise_from_the_policys(
    bench: Bench, robot: RobotModel, contract: PolicyContract
) -> None:
    """From 30 to 60 Nm/rad in 50 ticks: no step above the blend's peak of 30 * 1.875 / 50, and the same for Kd."""
    bench.loop(episode_s=0.4, episodes=1).run()
    modes = [mode for _, mode, _ in bench.notes.commands]
    last_walk = len(modes) - 1 - modes[::-1].index(Mode.WALK)
    commands = [decision.command for decision, _, _ in bench.notes.commands[last_walk : last_walk + 60]]
    for name, first, last in (
        ("stiffness", contract.stiffness[0], robot.stand.stiffness),
        ("damping", contract.damping[0], robot.stand.damping),
    ):
        gains = np.stack([getattr(command, name) for command in commands])
        assert np.all(gains[0] == first) and np.all(gains[-1] == last)
        assert np.abs(np.diff(gains, axis=0)).max() <= (last - first) * 1.875 / 50 + 1e-9


def test_the_pilot_steps_every_tenth_tick(bench: Bench) -> None:
    bench.loop(episode_s=0.4, episodes=1).run()
    times = np.array([step.time_s for step in bench.notes.steps])
    assert np.diff(times) == pytest.approx(0.02)
    assert [step.tick for step in bench.notes.steps] == list(range(20))
    assert all(step.state_time_s == step.time_s for step in bench.notes.steps)
    assert len(bench.policy.calls) == 20


def test_every_tick_receives_and_sends_once(bench: Bench) -> None:
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    ticks = len(bench.notes.commands)
    assert bench.notes.states == ticks
    assert len(bench.link.sent) == 1 + ticks + FAREWELL
    assert summary.ticks == ticks + FAREWELL
    assert np.diff([time_s for _, _, time_s in bench.notes.commands]) == pytest.approx(0.002)


def test_two_runs_are_the_same_to_the_bit(
    bench: Bench, contract: PolicyContract, robot: RobotModel, make_state: Any
) -> None:
    bench.loop(episode_s=0.4, episodes=1).run()
    twin = Bench(
        type(bench.link)(make_state, robot.sit_position), type(bench.policy)(robot.stand_position), contract, robot
    )
    twin.link.position[2::3] = np.float32(-2.78)
    twin.loop(episode_s=0.4, episodes=1).run()
    for mine, other in zip(bench.link.sent, twin.link.sent, strict=True):
        assert np.array_equal(mine.position, other.position)


def from_tick(first: int, change: Callable[[RobotState], Optional[RobotState]]) -> Callable[..., Optional[RobotState]]:
    """Tamper with every state from number `first` on."""
    return lambda number, state: state if number < first else change(state)


IN_WALK = STAND_TICKS + 57


@pytest.mark.parametrize(
    ("changes", "ending", "reason"),
    [
        ({"orientation_trunk_in_world": TIPPED}, "terminated", "tilt"),
        ({"remote": encode_remote({Key.B})}, "intervention", "stop_key"),
        ({"joint_temperature": np.full(12, 99, np.int8)}, "intervention", "motor_hot"),
        ({"joint_velocity": np.full(12, np.nan, np.float32)}, "stopped", "state_not_finite"),
        ({"tick_ms": 0}, "stopped", "tick_jump"),
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
    assert bench.link.received - FAREWELL == IN_WALK + 10  # 20 ms after the last state: the eleventh tick without one
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


class Broken(Exception):
    """Something nobody has thought of."""


def break_policy(bench: Bench) -> None:
    def tamper(number: int, target: np.ndarray) -> np.ndarray:
        if number == 5:
            raise Broken
        return target

    bench.policy.tamper = tamper


def break_commands(bench: Bench) -> None:
    class Commands(ConstantCommands):
        def command(self, time_s: float, state: RobotState) -> np.ndarray:
            if time_s > 0.1:
                raise Broken
            return super().command(time_s, state)

    bench.commands = Commands(np.zeros(3, np.float32))


def break_receive(bench: Bench) -> None:
    def tamper(number: int, state: RobotState) -> RobotState:
        if number >= IN_WALK:
            raise Broken
        return state

    bench.link.tamper = tamper


def break_one_send(bench: Bench) -> None:
    plain = bench.link.send
    sends = iter(range(10**6))

    def send(command: JointCommand) -> None:
        if next(sends) == IN_WALK:
            raise Broken
        plain(command)

    bench.link.send = send


def break_recorder(name: str) -> Callable[[Bench], None]:
    def break_it(bench: Bench) -> None:
        plain = getattr(bench.notes, name)

        def method(*arguments: Any) -> None:
            plain(*arguments)
            if len(bench.notes.steps) > 3:
                raise Broken

        setattr(bench.notes, name, method)

    return break_it


def break_observer(bench: Bench) -> None:
    class Observer:
        def on_policy_step(self, step: PilotStep) -> None:
            raise Broken

        def on_episode_end(self, summary: EpisodeSummary) -> None:
            raise Broken

    bench.observers = (Observer(),)


@pytest.mark.parametrize(
    "break_it",
    [
        break_policy,
        break_commands,
        break_receive,
        break_one_send,
        break_recorder("low_state"),
        break_recorder("low_cmd"),
        break_recorder("policy_tick"),
        break_recorder("event"),
        break_observer,
    ],
)
def test_whatever_breaks_the_last_frames_are_damping(bench: Bench, break_it: Callable[[Bench], None]) -> None:
    break_it(bench)
    with pytest.raises(Broken):
        bench.loop(episode_s=1.0, episodes=1).run()
    assert ends_damped(bench)
    assert bench.notes.closed == 1
    if break_it is break_policy:
        ending = [(text, end) for kind, _, text, end in bench.notes.events if kind is EventKind.EPISODE_END]
        assert ending == [("the program failed", Ending.STOPPED)]


def test_a_keyboard_interrupt_damps_too(bench: Bench) -> None:
    def tamper(number: int, state: RobotState) -> RobotState:
        if number == IN_WALK:
            raise KeyboardInterrupt
        return state

    bench.link.tamper = tamper
    with pytest.raises(KeyboardInterrupt):
        bench.loop(episode_s=1.0, episodes=1).run()
    assert ends_damped(bench)


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
    # 299 ticks tipped after the first, 225 in which the gate forgets that the robot turned over within 2 ms, and half
    # a second of rest.
    assert len(down) == 549 + 225
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


class StallingClock(VirtualClock):
    """A machine that freezes once, for `stall_s` at time `at_s`."""

    def __init__(self, at_s: float, stall_s: float) -> None:
        super().__init__()
        self._at_s, self._stall_s = at_s, stall_s

    def sleep_until(self, deadline_s: float) -> None:
        super().sleep_until(deadline_s)
        if self.now_s() >= self._at_s:
            self.advance(self._stall_s)
            self._at_s = float("inf")


def ticking_by(clock: VirtualClock) -> Callable[[int, RobotState], RobotState]:
    """The robot's own time passes while this side is frozen."""
    return lambda number, state: replace(state, tick_ms=round(1000.0 * clock.now_s()))


def test_missed_deadlines_are_skipped_and_counted(bench: Bench) -> None:
    """Frozen for 17 ms in the walk: that tick is late, and of the eight deadlines that passed seven are left out."""
    bench.clock = StallingClock(at_s=IN_WALK / 500, stall_s=0.017)
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    assert summary.ticks_missed == 7
    assert summary.lateness["maximum_s"] == pytest.approx(0.017)
    assert summary.faults == ()
    times = np.array([time_s for _, _, time_s in bench.notes.commands])
    late = int(np.argmax(np.diff(times)))
    assert np.diff(times)[late : late + 3] == pytest.approx([0.019, 0.0, 0.001])
    assert np.diff(times)[late + 3 :] == pytest.approx(0.002)
    assert np.diff([step.time_s for step in bench.notes.steps]).max() < 0.04
    assert summary.episodes[0].duration_s == pytest.approx(0.4)


def test_a_stall_between_two_policy_steps_makes_the_target_stale(bench: Bench) -> None:
    """The state that is found afterwards is fresh; what the policy wanted before it is not to be acted upon."""
    bench.clock = StallingClock(at_s=IN_WALK / 500, stall_s=0.045)
    bench.link.tamper = ticking_by(bench.clock)
    summary = bench.loop(episode_s=2.0, episodes=1).run()
    assert (summary.episodes[0].ending, summary.episodes[0].reason) == ("stopped", "target_stale")
    assert ends_damped(bench)


def test_policy_steps_that_were_missed_are_not_made_up_for(
    bench: Bench, make_state: Any, contract: PolicyContract, robot: RobotModel
) -> None:
    """Frozen for 45 ms as a step begins: the grid of 20 ms goes on from the next tick, without a burst of steps."""
    rehearsal = Bench(type(bench.link)(make_state, robot.stand_position), bench.policy, contract, robot)
    rehearsal.loop(episode_s=0.4, episodes=1).run()
    bench.clock = StallingClock(at_s=rehearsal.notes.steps[5].time_s - 1e-6, stall_s=0.045)
    bench.link.tamper = ticking_by(bench.clock)
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    assert summary.faults == ()
    assert summary.steps == 19  # of twenty, 5 came late, 6 and 7 were made together
    intervals = np.diff([step.time_s for step in bench.notes.steps])
    assert np.sum(intervals < 0.01) == 1


def test_observers_see_steps_and_endings(bench: Bench) -> None:
    class Observer:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_policy_step(self, step: PilotStep) -> None:
            self.seen.append(step.tick)

        def on_episode_end(self, summary: EpisodeSummary) -> None:
            self.seen.append(summary.ending)

    observer = Observer()
    bench.observers = (observer,)
    bench.loop(episode_s=0.06, episodes=2).run()
    assert observer.seen == [0, 1, 2, "truncated", 0, 1, 2, "truncated"]


def test_clamps_are_counted_per_episode(bench: Bench) -> None:
    """One joint asked 10 rad too far for the length of one policy step: ten ticks."""
    far = np.zeros(12, np.float32)
    far[0] = 10.0
    bench.policy.tamper = lambda number, target: target + far if number == 2 else target
    summary = bench.loop(episode_s=0.1, episodes=2).run()
    assert summary.episodes[0].clamped["position"] == 10
    assert summary.episodes[1].clamped == {"position": 0, "rate": 0, "torque": 0}


def test_the_summary_is_plain_data(bench: Bench) -> None:
    summary = bench.loop(episode_s=0.06, episodes=1).run()
    content = json.loads(json.dumps(summary.to_dict()))
    assert content["steps"] == 3
    assert content["episodes"][0]["ending"] == "truncated"
    assert content["link"]["packets_sent"] == len(bench.link.sent)
