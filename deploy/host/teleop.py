"""Teleoperation: a person at a keyboard or a gamepad drives the runner, in the operator's own process.

    devices ─► Operator ─► OperatorCommands ─► pilot ─┐
                    └────► OperatorSchedule ─► modes ─┴► gate ─► link ─► robot
                                └────► SwitchableRecorder ─► one file a recording

The loop polls the devices itself, without waiting: there is no second thread whose death could go unnoticed.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Optional, Union

from deploy.onboard.clock import Clock
from deploy.onboard.commands import CommandSource, parse_commands
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.held_commands import with_gait
from deploy.onboard.link import Link
from deploy.onboard.operator_input import (
    FASTEST,
    SLOWEST,
    InputDevice,
    Operator,
    OperatorCommands,
    SupervisedCommands,
)
from deploy.onboard.operator_schedule import OperatorSchedule, RecordingSwitch
from deploy.onboard.pilot import Pilot
from deploy.onboard.pilot_seat import Observer, PilotAtHand
from deploy.onboard.recorder import McapRecorder, Recorder
from deploy.onboard.schedule import TickView
from deploy.onboard.summary import RunSummary
from deploy.onboard.switchable_recorder import SwitchableRecorder, next_session_id
from offline_data.log_schema import SessionMetadata
from policy.bundle import Bundle, PolicySession, verify_bundle
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel

LATENESS_WINDOW_S = 1.0
"""The status line shows the latest tick of about this long [s]."""


class TeleopError(Go1Error):
    """A session that was asked for in a way that cannot be carried out."""


@dataclass(frozen=True)
class TeleopSettings:
    """What a session shall do; written into its logs."""

    commands: str = ""
    """Specification for `commands.parse_commands`; empty: the operator's own deflections."""
    speed: float = 0.5
    """Share of the policy's command range that full deflection asks for, to begin with."""
    exploration: float = 0.0
    """Factor on the policy's own noise: 0 acts with the mean, 1 samples (what fine-tuning learns from)."""
    seed: int = 0
    """Of that noise."""
    record: bool = True
    """Record from the start; the operator can switch it on and off."""
    gait: str = ""
    """Commands held over the operator's or the source's, for `held_commands.with_gait`; empty: none."""

    def __post_init__(self) -> None:
        if not SLOWEST <= self.speed <= FASTEST:
            raise TeleopError(f"a speed within [{SLOWEST}, {FASTEST}]", f"{self.speed}", "Correct it.")


class Teleoperation:
    """One session: built where everything can still be refused, then run."""

    def __init__(
        self,
        bundle: Bundle,
        robot: RobotModel,
        link: Link,
        clock: Clock,
        devices: Sequence[InputDevice],
        settings: TeleopSettings,
        log_dir: Path,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Neither opens nor closes the link; the devices are the caller's too.

        Raises:
            ContractError, BundleError: the policy is not for this robot, or does not compute what was sealed.
            CommandError: the command specification is not for this policy, or it takes no velocities.
            OSError: the log cannot be created.
        """
        verify_bundle(bundle, robot)
        contract = bundle.contract
        self._operator = Operator(devices, settings.speed)
        commands: CommandSource = OperatorCommands(contract.commands, self._operator)
        if settings.commands:
            source = parse_commands(settings.commands, contract.commands)
            commands = SupervisedCommands(source, contract.commands, self._operator)
        commands = with_gait(commands, settings.gait, contract.commands)
        session = PolicySession(bundle, robot)
        pilot = Pilot(session, contract, robot, commands, settings.exploration, settings.seed)
        self._watch = _TickWatch(robot.link_hz)
        opener = _opener(bundle, robot, clock, settings, log_dir)
        self._recorder = SwitchableRecorder(opener, settings.record)
        switch = RecordingSwitch(self._recorder.toggle, self._recorder.mark)
        self._schedule = OperatorSchedule(self._operator, switch, self._watch.see)
        seat = PilotAtHand(pilot, self._recorder, observers)
        loop_settings = LoopSettings(receive_timeout_s=0.0)
        self.loop = ControlLoop(
            robot, contract, link, clock, seat, self._schedule, self._recorder, loop_settings, observers
        )

    def run(self) -> RunSummary:
        """Drive until the operator quits or is lost, or a signal comes; the robot is damped afterwards."""
        with _signals_end(self.loop):
            return self.loop.run()

    def status(self) -> str:
        """One line for the operator: mode, news, recording, battery, temperature, command, lateness.

        What a person must see comes first: a terminal of 80 columns cuts the end off.
        """
        view = self._watch.view
        if view is None:
            return "waiting for the robot"
        parts = [f"{view.mode.name:5}"]
        typing = self._operator.typing
        news = f"mark: {typing}_" if typing is not None else self._recorder.error or self._schedule.notice
        if news:
            parts.append(news)
        parts.append("REC" if self._recorder.recording else "not recording")
        if view.state is not None:
            parts.append(f"{view.state.battery_soc_percent:3d} % {int(view.state.joint_temperature.max())} C")
        forward, left, turn = self._operator.deflection
        parts.append(f"x {forward:+.2f} y {left:+.2f} turn {turn:+.2f} (speed {self._operator.speed:.0%})")
        parts.append(f"late {self._watch.worst_late_s * 1e3:.1f} ms")
        return " | ".join(parts)


class _TickWatch:
    """Remembers the newest tick, and how late ticks came."""

    def __init__(self, link_hz: int) -> None:
        self._period_s = 1.0 / link_hz
        self._window_ends_s = -math.inf
        self._worst_s = 0.0
        self.view: Optional[TickView] = None
        self.worst_late_s = 0.0
        """Longest wait for a tick beyond its period, in the last full window [s]."""

    def see(self, view: TickView) -> None:
        """A tick has begun."""
        if self.view is not None:
            self._worst_s = max(self._worst_s, view.time_s - self.view.time_s - self._period_s)
        if view.time_s >= self._window_ends_s:
            self.worst_late_s, self._worst_s = self._worst_s, 0.0
            self._window_ends_s = view.time_s + LATENESS_WINDOW_S
        self.view = view


def _opener(
    bundle: Bundle, robot: RobotModel, clock: Clock, settings: TeleopSettings, log_dir: Path
) -> Callable[[], Recorder]:
    """Makes the recorder of a new file in `log_dir`, with the next number."""

    def open_recorder() -> Recorder:
        log_dir.mkdir(parents=True, exist_ok=True)
        metadata = SessionMetadata(
            session_id=next_session_id(log_dir),
            contract_json=bundle.contract.to_json(),
            bundle_sha256=bundle.sha256,
            robot_sha256=robot.sha256,
            settings_json=json.dumps(asdict(settings), sort_keys=True),
        )
        return McapRecorder(log_dir, metadata, bundle.version, clock.now_s())

    return open_recorder


@contextmanager
def _signals_end(loop: ControlLoop) -> Iterator[None]:
    """SIGINT and SIGTERM end the session in order. What would suspend or kill it over a lost terminal is ignored.

    A closed terminal sends SIGHUP; the keyboard finds it gone as well, and the schedule brings the robot down.
    """

    def stop(number: int, frame: Optional[FrameType]) -> None:
        loop.request_stop(signal.Signals(number).name)

    handlers: dict[signal.Signals, Union[Callable[[int, Optional[FrameType]], None], signal.Handlers]] = {
        signal.SIGINT: stop,
        signal.SIGTERM: stop,
        signal.SIGHUP: signal.SIG_IGN,
        signal.SIGTSTP: signal.SIG_IGN,
        signal.SIGTTIN: signal.SIG_IGN,
        signal.SIGTTOU: signal.SIG_IGN,
    }
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
