"""One case on the twin: stand up, walk, break something, watch. In virtual time, with the runner's own objects.

person with the remote ── LowState ──► PacketLink, ControlLoop, Gate, Pilot, recorder ──► LowCmd ──► monitor, twin
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from deploy.onboard.recorder import McapRecorder, NoRecorder
from offline_data.log_schema import SessionMetadata
from policy.bundle import Bundle
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.faults.branching import Branches
from sim.faults.case import FaultCase
from sim.faults.disk_faults import FailingDisk
from sim.faults.stage import TRIAL_OVER, Stage
from sim.faults.wall_clock import WallClock


@dataclass(frozen=True)
class TrialResult:
    """What happened; times are seconds since the onset.

    Attributes:
        damped_s: the first damping command left; None if none did. Of a pilot that is late, since its step was due.
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


def run_branches(
    cases: Sequence[FaultCase], bundle: Bundle, robot: RobotModel, condition: TwinCondition
) -> Tuple[TrialResult, ...]:
    """Run cases of one world: the robot stands up and walks once, and at the onset the process forks for every case.

    A fork is an exact copy, so each result is what `run_trial` gives, in a quarter of the time.

    Raises:
        BranchError: a trial broke in a way that its fault does not explain.
    """
    branches = Branches(cases)
    stage = Stage(bundle, robot, condition, cases[0].world, NoRecorder(), branches.choose)
    results = branches.collect(lambda: _play(stage))
    return results


def run_trial(case: FaultCase, bundle: Bundle, robot: RobotModel, condition: TwinCondition) -> TrialResult:
    """Run one case, with a recorder: about two seconds of the robot's time.

    The same case, bundle and condition give the same result to the bit, the recorder's figures under a slow disk aside.
    """
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="go1_faults_")))
        metadata = SessionMetadata(
            session_id="trial",
            contract_json=bundle.contract.to_json(),
            bundle_sha256=bundle.sha256,
            robot_sha256=robot.sha256,
            settings_json="{}",
        )
        recorder = McapRecorder(log_dir, metadata, bundle.version, start_s=0.0)
        stage = Stage(bundle, robot, condition, case.world, recorder, lambda: case)
        if case.disk is not None:
            stage.director.disk = FailingDisk(case.disk, log_dir)
            stack.enter_context(stage.director.disk.mounted())
        if case.wall_clock_jump_s:
            stage.director.wall_clock = WallClock()
            stack.enter_context(stage.director.wall_clock.installed())
        return _play(stage)


def _play(stage: Stage) -> TrialResult:
    summary, reasons = stage.play()
    director, monitor, case = stage.director, stage.monitor, stage.director.case
    assert case is not None, "a session that ends before the onset is no trial"
    onset_s = director.onset_s
    late_since_s = director.seat.late_since_s if director.seat is not None else None
    fault_s = onset_s if late_since_s is None else late_since_s

    def since_onset(time_s: Optional[float]) -> Optional[float]:
        return None if time_s is None else time_s - onset_s

    # The frames with which every session ends are no reaction to the fault.
    ended = summary is not None and summary.stop_reason == TRIAL_OVER and not summary.faults
    return TrialResult(
        name=case.name,
        onset_s=onset_s,
        damped_s=None if ended or monitor.first_damping_s is None else monitor.first_damping_s - fault_s,
        tilted_s=director.sighting.tilted_s,
        reasons=reasons,
        moved_again_s=since_onset(monitor.motion_after_damping_s),
        allowed_again_s=director.stand_again_s - onset_s,
        violations={kind: count for kind, count in monitor.violations.items() if count},
        commands=monitor.commands,
        speed_error_m_s=director.sighting.speed_error_m_s,
        longest_silence_s=monitor.longest_silence_s,
        refused=dict(stage.twin.refused),
        recorder_error=summary.recorder.error if summary is not None else "",
        records_dropped=sum(summary.recorder.dropped.values()) if summary is not None else 0,
        commands_sha256=stage.commands_sha256.hexdigest(),
    )
