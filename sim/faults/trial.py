"""One case on the twin: stand up, walk, break something, watch. In virtual time, with the runner's own objects.

person with the remote ── LowState ──► PacketLink, ControlLoop, Gate, Pilot, recorder ──► LowCmd ──► monitor, twin
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

from deploy.onboard.clock import VirtualClock
from deploy.onboard.commands import RemoteCommands
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.link import PacketLink
from deploy.onboard.modes import ModeSettings
from deploy.onboard.pilot import Pilot
from deploy.onboard.recorder import McapRecorder, NoRecorder, Recorder
from deploy.onboard.schedule import RemoteSchedule
from deploy.onboard.summary import RunSummary
from offline_data.log_schema import SessionMetadata
from policy.bundle import Bundle, PolicySession
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.faults.case import FaultCase
from sim.faults.director import STICK_FORWARDS, Director
from sim.faults.disk_faults import FailingDisk
from sim.faults.monitor import CommandMonitor
from sim.faults.pilot_faults import FaultySeat, InjectedCrashError
from sim.faults.wall_clock import WallClock
from sim.twin.body import TwinBody
from sim.twin.network_faults import FaultyNetwork
from sim.twin.transport import TwinTransport

# Quicker than a session's own, because trials are many; virtual silence is no silence, so real time sets no limit.
_LOOP = LoopSettings(
    receive_timeout_s=0.0, silence_limit_s=600.0, modes=ModeSettings(gain_ramp_s=0.2, move_s=0.8, settle_s=0.2)
)
_TRIAL_OVER = "trial over"


@dataclass(frozen=True)
class TrialResult:
    """What happened; times are seconds since the onset.

    Attributes:
        damped_s: the first damping command left; None if none did.
        tilted_s: the trunk passed the tilt limit and had not been damped; None if it did not.
        reasons: what the gate latched on, or how else the session ended.
        moved_again_s: a command that moves the robot left after damping; None if none did.
        allowed_again_s: from when on a person had asked for it; infinite in trials without re-arming.
        violations: commands outside the limits, by kind (`CommandMonitor`).
        speed_error_m_s: mean norm of the true horizontal velocity's error, until it was damped.
        longest_silence_s: longest time without a command, in the whole trial.
        refused: packets that the twin refused, by error.
        recorder_error: why writing the log failed; records_dropped: how many records that cost.
        commands_sha256: of every byte that was sent.
    """

    name: str
    onset_s: float
    damped_s: Optional[float]
    tilted_s: Optional[float]
    reasons: str
    moved_again_s: Optional[float]
    allowed_again_s: float
    violations: Dict[str, int]
    commands: int
    speed_error_m_s: float
    longest_silence_s: float
    refused: Dict[str, int]
    recorder_error: str
    records_dropped: int
    commands_sha256: str


def run_trial(case: FaultCase, bundle: Bundle, robot: RobotModel, condition: TwinCondition) -> TrialResult:
    """Run one case: about three seconds of the robot's time.

    The same case, bundle and condition give the same result to the bit, the recorder's figures under a slow disk aside.
    """
    with contextlib.ExitStack() as stack:
        clock = VirtualClock()
        body = TwinBody(condition, case.seed, robot=robot)
        data = body.data
        monitor = CommandMonitor(robot, condition.encoders, data.qpos[7:19], data.qvel[6:18])
        digest = hashlib.sha256()

        def sent(packet: bytes) -> None:
            digest.update(packet)
            monitor.sent(packet, clock.now_s())

        loops: List[ControlLoop] = []
        contract = bundle.contract
        forwards = next(term for term in contract.commands if term.name == "vx")
        director = Director(
            case, body, monitor, STICK_FORWARDS * forwards.upper, lambda: loops[0].request_stop(_TRIAL_OVER)
        )
        twin = TwinTransport(body)
        twin.sensor_fault = director.sensor
        network = director.network = FaultyNetwork(twin, clock, case.seed, director.before_tick, sent, monitor.accepted)
        recorder = _recorder(case, director, bundle, robot, clock, stack)
        commands = RemoteCommands(contract.commands)
        pilot = Pilot(PolicySession(bundle, robot), contract, robot, commands, exploration=0.0, seed=case.seed)
        seat = director.seat = FaultySeat(pilot, recorder, case.pilot, clock, case.seed)
        schedule = RemoteSchedule(None, robot.link_hz)
        loops.append(ControlLoop(robot, contract, PacketLink(network), clock, seat, schedule, recorder, _LOOP))
        reasons, summary = "", None
        try:
            summary = loops[0].run()
            reasons = "; ".join(summary.faults)
        except InjectedCrashError as error:
            reasons = str(error)
        return _result(case, director, monitor, twin, reasons, summary, digest.hexdigest())


def _recorder(
    case: FaultCase,
    director: Director,
    bundle: Bundle,
    robot: RobotModel,
    clock: VirtualClock,
    stack: contextlib.ExitStack,
) -> Recorder:
    """A log where the fault is about logs or stamps; elsewhere none, which is quicker."""
    if case.disk is None and not case.wall_clock_jump_s:
        return NoRecorder()
    log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="go1_faults_")))
    if case.disk is not None:
        director.disk = FailingDisk(case.disk, log_dir)
        stack.enter_context(director.disk.mounted())
    if case.wall_clock_jump_s:
        director.wall_clock = WallClock()
        stack.enter_context(director.wall_clock.installed())
    metadata = SessionMetadata(
        session_id="trial",
        contract_json=bundle.contract.to_json(),
        bundle_sha256=bundle.sha256,
        robot_sha256=robot.sha256,
        settings_json="{}",
    )
    return McapRecorder(log_dir, metadata, bundle.version, clock.now_s())


def _result(
    case: FaultCase,
    director: Director,
    monitor: CommandMonitor,
    twin: TwinTransport,
    reasons: str,
    summary: Optional[RunSummary],
    commands_sha256: str,
) -> TrialResult:
    onset_s = director.onset_s

    def since_onset(time_s: Optional[float]) -> Optional[float]:
        return None if time_s is None else time_s - onset_s

    # The frames with which every session ends are no reaction to the fault.
    ended = summary is not None and summary.stop_reason == _TRIAL_OVER and not summary.faults
    return TrialResult(
        name=case.name,
        onset_s=onset_s,
        damped_s=None if ended else since_onset(monitor.first_damping_s),
        tilted_s=director.sighting.tilted_s,
        reasons=reasons,
        moved_again_s=since_onset(monitor.motion_after_damping_s),
        allowed_again_s=director.stand_again_s - onset_s,
        violations={kind: count for kind, count in monitor.violations.items() if count},
        commands=monitor.commands,
        speed_error_m_s=director.sighting.speed_error_m_s,
        longest_silence_s=monitor.longest_silence_s,
        refused=dict(twin.refused),
        recorder_error=summary.recorder.error if summary is not None else "",
        records_dropped=sum(summary.recorder.dropped.values()) if summary is not None else 0,
        commands_sha256=commands_sha256,
    )
