"""The operator's seat: opens link, devices and terminal for a `Teleoperation`, and gives them all back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from deploy.host.status_line import StatusLine
from deploy.host.teleop import Teleoperation, TeleopSettings
from deploy.onboard.clock import MonotonicClock
from deploy.onboard.gamepad import LAYOUTS, Gamepad
from deploy.onboard.keyboard import Keyboard, raw_terminal
from deploy.onboard.keyboard import __doc__ as KEYBOARD_HELP
from deploy.onboard.lease import Lease
from deploy.onboard.operator_input import InputDevice
from deploy.onboard.own_process import in_real_time
from deploy.onboard.pilot_seat import Observer
from deploy.onboard.realtime import NOTHING, RealTimeWish
from deploy.onboard.runner import open_link
from deploy.onboard.summary import RunSummary
from policy.bundle import Bundle
from robot_configs.robot import RobotModel

KEYBOARD, GAMEPAD = "keyboard", "gamepad"
FIRST_GAMEPAD = "/dev/input/js0"


@dataclass(frozen=True)
class Seat:
    """What the person has in their hands."""

    commands: str = KEYBOARD
    """keyboard, gamepad, gamepad:/dev/input/js1, or what `commands.parse_commands` reads. Modes always have keys."""
    gamepad_layout: str = "xbox"
    """Key of `gamepad.LAYOUTS`."""
    sdk: str = "codec"
    """Through which to talk to the robot: see `runner.open_link`."""
    real_time: RealTimeWish = NOTHING
    """What the loop's thread and this process's memory shall be given while the session lasts."""


def drive(
    bundle: Bundle,
    robot: RobotModel,
    address: tuple[str, int],
    log_dir: Path,
    seat: Seat,
    settings: TeleopSettings,
    observers: Sequence[Observer] = (),
) -> RunSummary:
    """Drive the robot at `address` from this terminal until the operator quits.

    Raises:
        LeaseTakenError: another runner of this machine drives the robot.
        LinkError, GamepadError: link or gamepad cannot be opened; see `Teleoperation` for the rest.
    """
    with ExitStack() as stack:
        lease = Lease("{}:{}".format(*address))
        stack.callback(lease.release)
        link = open_link(address, seat.sdk, robot)
        stack.callback(link.close)
        descriptor = sys.stdin.fileno()
        devices: list[InputDevice] = [Keyboard(descriptor)]
        gamepad_path = _gamepad_path(seat.commands)
        if gamepad_path is not None:
            gamepad = Gamepad(gamepad_path, LAYOUTS[seat.gamepad_layout])
            stack.callback(gamepad.close)
            devices.append(gamepad)
        if gamepad_path is None and seat.commands != KEYBOARD:
            settings = replace(settings, commands=seat.commands)
        teleoperation = Teleoperation(bundle, robot, link, MonotonicClock(), devices, settings, log_dir, observers)
        print(keyboard_help(), file=sys.stderr)
        process = stack.enter_context(in_real_time("teleop", seat.real_time))
        for granted_or_not in process.real_time:
            print(f"real time: {granted_or_not}", file=sys.stderr)
        stack.enter_context(raw_terminal(descriptor))
        stack.enter_context(StatusLine(sys.stderr, teleoperation.status))
        return replace(teleoperation.run(), processes=(process,))


def keyboard_help() -> str:
    """The keys, a few lines."""
    lines = (KEYBOARD_HELP or "").splitlines()
    return "\n".join(line for line in lines if line.startswith("    "))


def _gamepad_path(commands: str) -> Optional[Path]:
    """Where the gamepad is, if it drives."""
    if commands == GAMEPAD:
        return Path(FIRST_GAMEPAD)
    prefix = GAMEPAD + ":"
    return Path(commands[len(prefix) :]) if commands.startswith(prefix) else None
