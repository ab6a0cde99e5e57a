"""The runner: puts bundle, link, clock, pilot, schedule and recorder together, and runs a session."""

from __future__ import annotations

import json
import signal
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Iterator, Optional, Sequence, Tuple, Union

from deploy.onboard.clock import Clock, MonotonicClock, VirtualClock
from deploy.onboard.commands import parse_commands
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.link import Link, PacketLink, UdpTransport
from deploy.onboard.pilot import Pilot
from deploy.onboard.pilot_seat import Observer, PilotAtHand
from deploy.onboard.recorder import McapRecorder, NoRecorder, Recorder
from deploy.onboard.schedule import EpisodeSchedule, RemoteSchedule, Schedule, SessionSettings
from deploy.onboard.summary import RunSummary
from deploy.onboard.vendor_link import VendorLink
from offline_data.log_schema import SessionMetadata
from policy.bundle import Bundle, PolicySession, read_bundle, verify_bundle
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel, load_robot

LOCKSTEP_ANSWER_S = 1.0
"""How long a tick waits for the twin's answer in lockstep [s of real time]."""

REMOTE = "remote"
"""Command specification with which a person drives, modes included."""


class RunnerError(Go1Error):
    """A session that was asked for in a way that cannot be carried out."""


@dataclass(frozen=True)
class RunSettings:
    """What a session shall do; written into its log."""

    commands: str
    """Specification for `commands.parse_commands`; "remote" also gives the choice of modes to the remote's keys."""
    session: SessionSettings
    exploration: float = 0.0
    """Factor on the policy's own noise: 0 acts with the mean, 1 samples (what fine-tuning learns from)."""
    seed: int = 0
    """Of that noise."""
    lockstep: bool = False
    """Virtual time, one answer for each command: twins only."""


def run_session(
    bundle: Bundle,
    robot: RobotModel,
    link: Link,
    clock: Clock,
    settings: RunSettings,
    log_dir: Optional[Path] = None,
    observers: Sequence[Observer] = (),
) -> RunSummary:
    """Run one session over an open link; the link stays open, the robot lies damped afterwards.

    Args:
        log_dir: where the log goes; None records nothing.

    Raises:
        ContractError, BundleError: the policy is not for this robot, or does not compute what was sealed.
        CommandError: the command specification is not for this policy.
        SilentRobotError: nothing came from the robot.
    """
    # Everything that can be refused is refused here, before anything is sent.
    verify_bundle(bundle, robot)
    contract = bundle.contract
    commands = parse_commands(settings.commands, contract.commands)
    pilot = Pilot(PolicySession(bundle, robot), contract, robot, commands, settings.exploration, settings.seed)
    schedule = _schedule(settings, robot)
    loop_settings = LoopSettings(receive_timeout_s=LOCKSTEP_ANSWER_S if settings.lockstep else 0.0)
    recorder = _recorder(bundle, robot, clock, settings, log_dir)
    seat = PilotAtHand(pilot, recorder, observers)
    loop = ControlLoop(robot, contract, link, clock, seat, schedule, recorder, loop_settings, observers)
    with _signals_stop(loop):
        return loop.run()


def run_on_robot(
    bundle_path: Union[str, Path],
    robot_address: Union[str, Tuple[str, int]],
    commands_spec: str,
    duration_s: float,
    log_dir: Union[str, Path],
    lockstep: bool = False,
    sdk: str = "codec",
    exploration: float = 0.0,
    seed: int = 0,
    episodes: Optional[int] = None,
    episode_s: Optional[float] = None,
    auto_rearm: bool = False,
) -> RunSummary:
    """Open the link to a robot or a twin, run one session, close the link.

    Args:
        robot_address: "HOST:PORT", or the pair of them.
        duration_s: walking to collect, over all episodes [s].
        sdk: "codec" for ours over UDP, "vendor" for the vendor's binding.
        exploration, seed: see `RunSettings`.
        episodes: at most this many; None: as many as it takes.
        episode_s: longest episode [s]; None: one episode of the whole duration.
        auto_rearm: see `SessionSettings`.

    Raises:
        RunnerError: an unusable address or SDK name; see `run_session` for the rest.
    """
    robot = load_robot()
    bundle = read_bundle(bundle_path)
    session = SessionSettings(
        episode_s=duration_s if episode_s is None else episode_s,
        episodes=episodes,
        walk_s=duration_s,
        auto_rearm=auto_rearm,
    )
    settings = RunSettings(commands_spec, session, exploration, seed, lockstep)
    clock: Clock = VirtualClock() if lockstep else MonotonicClock()
    link = open_link(robot_address, sdk, robot)
    try:
        return run_session(bundle, robot, link, clock, settings, Path(log_dir))
    finally:
        link.close()


def open_link(robot_address: Union[str, Tuple[str, int]], sdk: str, robot: RobotModel) -> Link:
    """A link to HOST:PORT.

    Raises:
        RunnerError: an unusable address or SDK name.
        LinkError: the socket cannot be opened.
    """
    host, port = _host_and_port(robot_address) if isinstance(robot_address, str) else robot_address
    # The robot answers to the port its own examples use; a twin may share this machine with other clients.
    local_port = robot.network.local_port if host == robot.network.host else 0
    if sdk == "codec":
        return PacketLink(UdpTransport(host, port, local_port))
    if sdk == "vendor":
        return VendorLink(host, port, local_port)
    raise RunnerError('an SDK "codec" or "vendor"', repr(sdk), "Leave the option out for our own codec.")


def _host_and_port(address: str) -> Tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise RunnerError("a robot address HOST:PORT", repr(address), "For example 192.168.123.10:8007.")
    return host, int(port)


def _schedule(settings: RunSettings, robot: RobotModel) -> Schedule:
    if settings.commands.strip() == REMOTE:
        return RemoteSchedule(settings.session.walk_s, robot.link_hz)
    return EpisodeSchedule(settings.session, robot.link_hz, robot.ticks_per_policy_step)


def _recorder(
    bundle: Bundle, robot: RobotModel, clock: Clock, settings: RunSettings, log_dir: Optional[Path]
) -> Recorder:
    if log_dir is None:
        return NoRecorder()
    # The random part keeps names apart where the clock is wrong, as on the robot.
    session_id = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "_" + uuid.uuid4().hex[:8]
    metadata = SessionMetadata(
        session_id=session_id,
        contract_json=bundle.contract.to_json(),
        bundle_sha256=bundle.sha256,
        robot_sha256=robot.sha256,
        settings_json=json.dumps(asdict(settings), sort_keys=True),
    )
    return McapRecorder(log_dir, metadata, bundle.version, clock.now_s(), wait_for_disk=settings.lockstep)


@contextmanager
def _signals_stop(loop: ControlLoop) -> Iterator[None]:
    """SIGINT and SIGTERM end the session in order: damped, with a complete log. (Only the main thread gets signals.)"""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Optional[FrameType]) -> None:
        loop.request_stop(signal.Signals(number).name)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
