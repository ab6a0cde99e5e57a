"""The runner: puts bundle, link, clock, pilot, schedule and recorder together, and runs a session.

In lockstep with a twin everything happens in one process, deterministically; in real time gate, pilot and recorder have
processes of their own, so that no crash, inference or disk can hold up the one that keeps the robot safe.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional, Sequence, Tuple, Union

from deploy.onboard.clock import Clock, MonotonicClock, VirtualClock
from deploy.onboard.commands import parse_commands
from deploy.onboard.control_loop import ControlLoop, LoopSettings, SilentRobotError
from deploy.onboard.held_commands import with_gait
from deploy.onboard.lease import Lease
from deploy.onboard.link import Link, PacketLink, UdpTransport
from deploy.onboard.lockstep_link import LockstepLink
from deploy.onboard.log_folder import foreseen_walk_s, log_not_begun, require_log_folder
from deploy.onboard.own_process import in_real_time
from deploy.onboard.pilot import Pilot
from deploy.onboard.pilot_seat import Observer, PilotAtHand
from deploy.onboard.realtime import RealTimeWish
from deploy.onboard.recorder import McapRecorder, NoRecorder, Recorder
from deploy.onboard.robot_address import parse_robot_address
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.session import RunSettings, make_metadata, make_schedule
from deploy.onboard.shadow_process import IN_LOCKSTEP, ShadowProcessSettings, shadow_beside
from deploy.onboard.stop_signals import signals_stop
from deploy.onboard.summary import RunSummary
from deploy.onboard.supervision import SessionPlan, SupervisorSettings
from deploy.onboard.supervisor import run_supervised
from deploy.onboard.vendor_link import VendorLink
from policy.bundle import Bundle, PolicySession, read_bundle, verify_bundle
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel, load_robot

LOCKSTEP_ANSWER_S = 1.0
"""How long a tick waits for the twin's answer in lockstep [s of real time]."""


SUPERVISION = SupervisorSettings()
"""How processes are run and watched unless told otherwise."""


class RunnerError(Go1Error):
    """A session that was asked for in a way that cannot be carried out."""


def run_session(
    bundle: Bundle,
    robot: RobotModel,
    link: Link,
    clock: Clock,
    settings: RunSettings,
    log_dir: Optional[Path] = None,
    observers: Sequence[Observer] = (),
    real_time: Optional[RealTimeWish] = None,
) -> RunSummary:
    """Run one session over an open link; the link stays open, the robot lies damped afterwards.

    Args:
        log_dir: where the log goes; None records nothing.
        real_time: what to ask the machine for while it lasts; None: nothing, and no report of it.

    Raises:
        ContractError, BundleError: the policy is not for this robot, or does not compute what was sealed.
        CommandError: the command specification is not for this policy.
        LogFolderError: the log can not be begun.
        SilentRobotError: nothing came from the robot.
    """
    # Everything that can be refused is refused here, before anything is sent.
    verify_bundle(bundle, robot)
    contract = bundle.contract
    commands = with_gait(parse_commands(settings.commands, contract.commands), settings.gait, contract.commands)
    pilot = Pilot(PolicySession(bundle, robot), contract, robot, commands, settings.exploration, settings.seed)
    schedule = make_schedule(settings, robot)
    loop_settings = LoopSettings(LOCKSTEP_ANSWER_S if settings.lockstep else 0.0, modes=settings.modes)
    recorder: Recorder = NoRecorder()
    if log_dir is not None:
        metadata = make_metadata(bundle, robot, settings)
        try:
            recorder = McapRecorder(log_dir, metadata, bundle.version, clock.now_s(), wait_for_disk=settings.lockstep)
        except OSError as error:
            raise log_not_begun(log_dir, error) from None
    seat = PilotAtHand(pilot, recorder, observers)
    loop = ControlLoop(robot, contract, link, clock, seat, schedule, recorder, loop_settings, observers)
    with signals_stop(loop.request_stop):
        if real_time is None:
            return loop.run()
        with in_real_time("session", real_time) as process:
            return replace(loop.run(), processes=(process,))


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
    supervision: SupervisorSettings = SUPERVISION,
    shadow: Optional[Bundle] = None,
    gait: str = "",
) -> RunSummary:
    """Take the robot's lease, open the link to it (or to a twin), run one session, give both back.

    Args:
        robot_address: "HOST[:PORT]", or the pair of host and port.
        duration_s: walking to collect, over all episodes [s].
        sdk: "codec" for ours over UDP, "vendor" for the vendor's binding.
        exploration, seed, gait: see `RunSettings`.
        episodes: at most this many; None: as many as it takes.
        episode_s: longest episode [s]; None: one episode of the whole duration.
        auto_rearm: see `SessionSettings`.
        supervision: how gate, pilot and recorder are run in processes of their own; in lockstep all run in this one.
        shadow: a policy that runs beside the one that drives, in a process of its own, and is compared with it.

    Raises:
        RobotAddressError: an unusable address.
        RunnerError: an unusable SDK name.
        LogFolderError: no log can be written to `log_dir`, or there is no room for the session's.
        ShadowError: the shadow cannot be compared with the driver, or is not for this robot.
        LeaseTakenError: another runner of this machine drives the robot.
        SilentRobotError: nothing came from the address.
        NotInLockstepError: in lockstep with a twin that is not.
        SupervisorError: a process could not be brought up.
        See `run_session` for the rest.
    """
    robot = load_robot()
    bundle = read_bundle(bundle_path)
    session = SessionSettings(
        episode_s=duration_s if episode_s is None else episode_s,
        episodes=episodes,
        walk_s=duration_s,
        auto_rearm=auto_rearm,
    )
    settings = RunSettings(commands_spec, session, exploration, seed, lockstep, gait=gait)
    address = parse_robot_address(robot_address) if isinstance(robot_address, str) else robot_address
    require_log_folder(Path(log_dir), foreseen_walk_s(duration_s, episodes, episode_s))
    if shadow is None:
        summary = _drive(bundle, robot, address, sdk, settings, Path(log_dir), supervision)
        return replace(summary, bundle_sha256=bundle.sha256)
    # Started before lease and link are there: what a process does not have, it cannot misuse.
    waiting = IN_LOCKSTEP if lockstep else ShadowProcessSettings()
    with shadow_beside(shadow, bundle, robot, waiting) as beside:
        summary = _drive(bundle, robot, address, sdk, settings, Path(log_dir), supervision, (beside.window,))
        report = beside.report(shadow.sha256, bundle.sha256)
        return replace(summary, shadow=report, bundle_sha256=bundle.sha256)


def _drive(
    bundle: Bundle,
    robot: RobotModel,
    address: Tuple[str, int],
    sdk: str,
    settings: RunSettings,
    log_dir: Path,
    supervision: SupervisorSettings,
    observers: Sequence[Observer] = (),
) -> RunSummary:
    """One session between taking the lease and giving it back."""
    lease = Lease("{}:{}".format(*address))
    try:
        link = open_link(address, sdk, robot)
        try:
            if settings.lockstep:
                lockstep = LockstepLink(link, robot.link_hz)
                return run_session(bundle, robot, lockstep, VirtualClock(), settings, log_dir, observers)
            if supervision.one_process:
                clock, wish = MonotonicClock(), supervision.gate_wish
                return run_session(bundle, robot, link, clock, settings, log_dir, observers, wish)
            bundle.contract.check_robot(robot)
            return run_supervised(SessionPlan(bundle, robot, link, settings, log_dir, lease, observers), supervision)
        except SilentRobotError as error:
            host, port = address
            remedy = f"{error.remedy} `go1 robot doctor {host}:{port}` tells these apart."
            raise SilentRobotError(f"{error.expected}, at {host}:{port}", error.found, remedy) from None
        finally:
            link.close()
    finally:
        lease.release()


def open_link(robot_address: Union[str, Tuple[str, int]], sdk: str, robot: RobotModel) -> Link:
    """A link to HOST[:PORT].

    Raises:
        RobotAddressError: an unusable address.
        RunnerError: an unusable SDK name.
        LinkError: the socket cannot be opened.
    """
    host, port = parse_robot_address(robot_address) if isinstance(robot_address, str) else robot_address
    # The robot answers to the port its own examples use; a twin may share this machine with other clients.
    local_port = robot.network.local_port if host == robot.network.host else 0
    if sdk == "codec":
        return PacketLink(UdpTransport(host, port, local_port))
    if sdk == "vendor":
        return VendorLink(host, port, local_port)
    raise RunnerError('an SDK "codec" or "vendor"', repr(sdk), "Leave the option out for our own codec.")
