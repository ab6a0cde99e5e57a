"""A control loop with all its parts at hand: a weightless robot, a virtual clock, a recorder that keeps notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.commands import ConstantCommands
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.episode_schedule import EpisodeSchedule
from deploy.onboard.gate import GateDecision
from deploy.onboard.modes import ModeSettings
from deploy.onboard.pilot import Pilot, PilotStep
from deploy.onboard.pilot_seat import PilotAtHand
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.target import Mode
from deploy.onboard.wire import POSITION_STOP, JointCommand, RobotState
from offline_data.log_schema import Ending, EventKind
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel

MODES = ModeSettings(gain_ramp_s=0.1, move_s=0.3, settle_s=0.1)
STAND_TICKS = 252
"""One tick of damping before the ramp, which lasts 0.5 s, and the tick in which it is found to be over."""
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
        self.seat = PilotAtHand(pilot, self.notes, self.observers)
        return ControlLoop(
            robot,
            contract,
            self.link,
            self.clock,
            self.seat,
            EpisodeSchedule(SessionSettings(**session), robot.link_hz, robot.ticks_per_policy_step),
            self.notes,
            LoopSettings(receive_timeout_s=0.0, silence_limit_s=self.silence_limit_s, modes=MODES),
            self.observers,
        )


def is_damping(command: JointCommand) -> bool:
    return bool(np.all(command.position == POSITION_STOP) and np.all(command.stiffness == 0.0))


def ends_damped(bench: Bench) -> bool:
    return len(bench.link.sent) >= FAREWELL and all(is_damping(command) for command in bench.link.sent[-FAREWELL:])


def from_tick(first: int, change: Callable[[RobotState], Optional[RobotState]]) -> Callable[..., Optional[RobotState]]:
    """Tamper with every state from number `first` on."""
    return lambda number, state: state if number < first else change(state)


IN_WALK = STAND_TICKS + 57
"""Number of a state, counted from the first, that comes in the first walk, between two steps of the policy."""
