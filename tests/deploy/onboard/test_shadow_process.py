"""A shadow in a process of its own: what it sees, what it misses, and that nothing of it reaches the robot."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from deploy.onboard.clock import VirtualClock
from deploy.onboard.commands import ConstantCommands
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.episode_schedule import EpisodeSchedule
from deploy.onboard.joint_command import COMMAND_FIELDS
from deploy.onboard.modes import ModeSettings
from deploy.onboard.pilot import Pilot, PilotStep
from deploy.onboard.pilot_seat import Observer, PilotAtHand
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.shadow import Shadow
from deploy.onboard.shadow_process import (
    IN_LOCKSTEP,
    ShadowProcess,
    ShadowProcessSettings,
    ShadowWindow,
    shadow_beside,
    step_layout,
)
from deploy.onboard.shadow_report import ShadowError, ShadowReport
from policy.bundle import BUNDLES, Bundle, read_bundle
from policy.contract import ContractError, PolicyContract
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel
from tests.deploy.onboard.conftest import FakeLink, FakePolicy

MODES = ModeSettings(gain_ramp_s=0.05, move_s=0.1, settle_s=0.0)
IMPATIENT = ShadowProcessSettings(drain_s=0.0, end_limit_s=0.2)
STEPS = 20
PIPE_BYTES = 1 << 16
HANG_S = 600.0
HANGS_IN_STEP = 5


class Output(NamedTuple):
    joint_target: np.ndarray


class Candidate:
    """A session that does to every target what the test says."""

    def __init__(self, contract: PolicyContract, act: Callable[[int, np.ndarray], np.ndarray]) -> None:
        self.contract, self._act = contract, act
        self._stand, self._steps = np.array(contract.default_position, np.float32), 0

    def reset(self) -> None:
        self._steps = 0

    def step(self, *signals: np.ndarray) -> Output:
        self._steps += 1
        return Output(self._act(self._steps, self._stand.copy()))


def agree(step: int, target: np.ndarray) -> np.ndarray:
    return target


def talk_nonsense(step: int, target: np.ndarray) -> np.ndarray:
    return np.full_like(target, np.nan)


def ask_for_the_impossible(step: int, target: np.ndarray) -> np.ndarray:
    return target + np.float32(1e6)


def raise_an_error(step: int, target: np.ndarray) -> np.ndarray:
    if step == 5:
        raise ValueError("the candidate has a defect")
    return target


def crash(step: int, target: np.ndarray) -> np.ndarray:
    if step == 5:
        faulthandler.disable()  # pytest's own would print what is meant to happen
        os.kill(os.getpid(), signal.SIGSEGV)
    return target


def hang(step: int, target: np.ndarray) -> np.ndarray:
    if step == HANGS_IN_STEP:
        time.sleep(HANG_S)
    return target


@pytest.fixture
def beside(contract: PolicyContract, robot: RobotModel) -> Iterator[Callable[..., ShadowProcess]]:
    """Starts a shadow whose candidate acts as told."""
    started: list[ShadowProcess] = []

    def start(act: Any, settings: ShadowProcessSettings = IN_LOCKSTEP) -> ShadowProcess:
        def make_shadow() -> Shadow:
            candidate: Any = Candidate(contract, act)
            return Shadow(candidate, contract, robot)

        started.append(ShadowProcess(make_shadow, contract.command_dim, settings))
        return started[-1]

    yield start
    for process in started:
        process.close()


def report_of(process: ShadowProcess) -> ShadowReport:
    return process.report("c" * 64, "d" * 64)


def walked(contract: PolicyContract, robot: RobotModel, make_state: Any, *observers: Observer) -> list[bytes]:
    """Every command of a walk of `STEPS` steps under a virtual clock, bit for bit; noise makes every step another."""
    link, policy = FakeLink(make_state, robot.sit_position), FakePolicy(robot.stand_position)
    session: Any = policy
    pilot = Pilot(session, contract, robot, ConstantCommands(np.zeros(3, np.float32)), 1.0, seed=3)
    plan = SessionSettings(episode_s=STEPS / robot.control_hz, episodes=1)
    schedule = EpisodeSchedule(plan, robot.link_hz, robot.ticks_per_policy_step)
    seat, settings = PilotAtHand(pilot, NoRecorder(), observers), LoopSettings(0.0, modes=MODES)
    loop = ControlLoop(robot, contract, link, VirtualClock(), seat, schedule, NoRecorder(), settings, observers)
    assert loop.run().steps == STEPS
    fields = ("mode", *COMMAND_FIELDS)
    return [b"".join(getattr(command, name).tobytes() for name in fields) for command in link.sent]


@pytest.mark.parametrize(
    ("act", "settings", "seen", "failure"),
    [
        (agree, IN_LOCKSTEP, STEPS, ""),
        (ask_for_the_impossible, IN_LOCKSTEP, STEPS, ""),
        (talk_nonsense, IN_LOCKSTEP, STEPS, ""),
        (raise_an_error, IN_LOCKSTEP, 0, "failed: ValueError: the candidate has a defect"),
        (crash, IN_LOCKSTEP, 0, "was killed by SIGSEGV"),
        (hang, IMPATIENT, 0, "was still busy 0.2 s after the session"),
    ],
)
def test_the_robot_gets_the_same_commands_with_any_shadow(
    act: Any,
    settings: ShadowProcessSettings,
    seen: int,
    failure: str,
    beside: Any,
    contract: PolicyContract,
    robot: RobotModel,
    make_state: Any,
) -> None:
    process = beside(act, settings)
    with_shadow = walked(contract, robot, make_state, process.window)
    report = report_of(process)
    assert report.driver_steps == STEPS
    assert (STEPS - report.missed_steps, report.failure) == (seen, failure)
    assert not report.may_drive
    alone = walked(contract, robot, make_state)
    assert len(set(alone)) > STEPS, "the targets differ from step to step"
    assert with_shadow == alone


def test_nonsense_is_counted(beside: Any, contract: PolicyContract, robot: RobotModel, make_state: Any) -> None:
    process = beside(talk_nonsense)
    walked(contract, robot, make_state, process.window)
    findings = report_of(process).findings
    assert (findings.steps, findings.non_finite_steps) == (0, STEPS)


@pytest.fixture
def a_step(policy: Any, contract: PolicyContract, robot: RobotModel, make_state: Any) -> PilotStep:
    pilot = Pilot(policy, contract, robot, ConstantCommands(np.array([0.1, 0.2, 0.3], np.float32)), 0.0, 0)
    return pilot.step(make_state(), 1.0, 1.001)


def test_nobody_waits_for_a_shadow_that_hangs(beside: Any, a_step: PilotStep, contract: PolicyContract) -> None:
    """What the pipe holds is kept, the rest is missed; a window that waited would do so for ten minutes."""
    offered = 2 * PIPE_BYTES // step_layout(contract.command_dim).itemsize
    process = beside(hang, IMPATIENT)
    started_s = time.monotonic()
    for tick in range(offered):
        process.window.on_policy_step(a_step._replace(tick=tick))
    assert time.monotonic() - started_s < HANG_S / 2
    report = report_of(process)
    assert report.driver_steps == offered
    # On a machine that is too busy to let it come to the step it hangs in, it ends in order, with the few before.
    assert report.missed_steps >= offered - HANGS_IN_STEP


def test_a_slow_shadow_misses_steps_and_starts_anew_after_them(
    beside: Any, a_step: PilotStep, contract: PolicyContract
) -> None:
    offered = 3 * PIPE_BYTES // step_layout(contract.command_dim).itemsize

    def think(step: int, target: np.ndarray) -> np.ndarray:
        time.sleep(0.002)
        return target

    process = beside(think, ShadowProcessSettings(drain_s=30.0, end_limit_s=60.0))
    for tick in range(offered):
        process.window.on_policy_step(a_step._replace(tick=tick))
    report = report_of(process)
    assert 0 < report.missed_steps < offered
    assert report.findings.steps == offered - report.missed_steps
    assert report.failure == ""
    assert any("were missed" in objection for objection in report.objections)


def test_what_is_left_in_the_pipe_is_given_up_after_a_while(beside: Any, a_step: PilotStep) -> None:
    def think(step: int, target: np.ndarray) -> np.ndarray:
        time.sleep(0.2)
        return target

    process = beside(think, ShadowProcessSettings(drain_s=0.1, end_limit_s=60.0))
    for tick in range(100):
        process.window.on_policy_step(a_step._replace(tick=tick))
    report = report_of(process)
    assert report.failure == ""
    assert report.missed_steps > 50


def test_in_lockstep_a_shadow_that_hangs_is_waited_for_once(
    a_step: PilotStep, contract: PolicyContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited_s: list[float] = []

    def in_vain(reading: Any, writing: Any, failing: Any, timeout_s: float) -> tuple[list[int], ...]:
        waited_s.append(timeout_s)
        return [], [], []

    monkeypatch.setattr(select, "select", in_vain)
    reading, writing = os.pipe()
    window = ShadowWindow(writing, contract.command_dim, patience_s=7.0)
    for tick in range(3):
        window.on_policy_step(a_step._replace(tick=tick))
    assert waited_s == [7.0]
    assert window.steps == 3
    os.close(reading)
    os.close(writing)


def test_in_lockstep_a_step_waits_for_room(beside: Any, a_step: PilotStep, contract: PolicyContract) -> None:
    offered = 3 * PIPE_BYTES // step_layout(contract.command_dim).itemsize
    process = beside(agree, IN_LOCKSTEP)
    for tick in range(offered):
        process.window.on_policy_step(a_step._replace(tick=tick))
    report = report_of(process)
    assert (report.findings.steps, report.findings.starts, report.missed_steps) == (offered, 1, 0)


def test_the_shadow_sees_what_the_driver_saw(
    a_step: PilotStep, contract: PolicyContract, robot: RobotModel, make_state: Any
) -> None:
    """Through the pipe, in order: each field of the step in its own place."""
    seen: list[np.ndarray] = []

    class Witness(Candidate):
        def step(self, *signals: np.ndarray) -> Output:
            seen.extend(signals)
            told = np.concatenate([np.ravel(signal) for signal in signals])
            raise Go1Error("nothing", str(told.tolist()), "A witness only reports.")

    def make_shadow() -> Shadow:
        witness: Any = Witness(contract, agree)
        return Shadow(witness, contract, robot)

    process = ShadowProcess(make_shadow, contract.command_dim, IN_LOCKSTEP)
    process.window.on_policy_step(a_step)
    told = process.report("", "").failure
    state = make_state()
    signals = (
        state.orientation_trunk_in_world,
        state.angular_velocity_trunk_in_trunk,
        state.joint_position,
        state.joint_velocity,
        np.array([0.1, 0.2, 0.3], np.float32),
    )
    assert str(np.concatenate(signals).tolist()) in told


def test_a_candidate_that_can_not_be_made_is_a_clear_error(contract: PolicyContract) -> None:
    def make_shadow() -> Shadow:
        raise ContractError("stiffness of at most 60", "80", "Train with softer gains.")

    with pytest.raises(ShadowError, match="a candidate that can run beside: stiffness of at most 60; found 80"):
        ShadowProcess(make_shadow, contract.command_dim, IN_LOCKSTEP)


def test_a_candidate_that_dies_while_it_loads_is_a_clear_error(contract: PolicyContract) -> None:
    def make_shadow() -> Shadow:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.raises(ShadowError, match="ready within 60 s; found was killed by SIGKILL"):
        ShadowProcess(make_shadow, contract.command_dim, IN_LOCKSTEP)


def test_a_candidate_that_never_gets_ready_is_given_up(contract: PolicyContract) -> None:
    def make_shadow() -> Shadow:
        time.sleep(HANG_S)
        raise AssertionError

    with pytest.raises(ShadowError, match="still loading"):
        ShadowProcess(make_shadow, contract.command_dim, replace(IN_LOCKSTEP, start_limit_s=0.1))


def test_nothing_is_left_of_a_shadow_whose_session_failed(shipped: Bundle, robot: RobotModel) -> None:
    with pytest.raises(KeyboardInterrupt), shadow_beside(shipped, shipped, robot) as process:
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return read_bundle(BUNDLES / "go1_velocity.go1policy")


def test_a_bundle_for_another_robot_is_refused(shipped: Bundle, robot: RobotModel) -> None:
    with (
        pytest.raises(ShadowError, match="a candidate that can run beside: robot = 'unitree_go1'"),
        shadow_beside(shipped, shipped, replace(robot, name="another")),
    ):
        raise AssertionError("it was let in")


def test_a_bundle_with_other_gains_is_refused_before_a_process_is_started(shipped: Bundle, robot: RobotModel) -> None:
    softer = replace(shipped, contract=replace(shipped.contract, stiffness=(20.0,) * 12))
    with pytest.raises(ShadowError, match="the driver's stiffness"), shadow_beside(softer, shipped, robot):
        raise AssertionError("it was let in")
